//! What outputs are made of beside the data.

use super::Conv;
use crate::compute::float::Float;
use crate::compute::mismatch::Mismatch;

/// The terms of an output: `clamp(Σ weight · data + bias + addend)`.
#[derive(Clone, Copy)]
pub struct Terms<'a, T> {
    /// `(filters, channels / groups, kernel…)`.
    pub weight: &'a [T],
    /// A number a filter.
    pub bias: Option<&'a [T]>,
    /// What is added to every output.
    pub addend: Addend<'a, T>,
    /// The least and the greatest output. What is not a number stays so.
    pub bounds: Option<[T; 2]>,
}

/// A tensor of the output's shape that is added to it.
#[derive(Clone, Copy)]
pub enum Addend<'a, T> {
    /// Nothing.
    None,
    /// What the output holds before.
    Output,
    /// These numbers.
    Slice(&'a [T]),
}

impl<'a, T: Float> Terms<'a, T> {
    /// A plain convolution.
    pub fn new(weight: &'a [T], bias: Option<&'a [T]>) -> Terms<'a, T> {
        Terms { weight, bias, addend: Addend::None, bounds: None }
    }

    /// Ok if bias and addend fit; an output that holds the data does not hold an addend.
    pub(super) fn check(&self, conv: &Conv, in_place: bool) -> Result<(), Mismatch> {
        if let Some(bias) = self.bias {
            Mismatch::check("Conv::forward", "length of bias", bias.len(), conv.filters())?;
        }
        let wanted = conv.samples() * conv.output_len();
        match self.addend {
            Addend::Slice(of) => Mismatch::check("Conv::forward", "length of addend", of.len(), wanted),
            Addend::Output if in_place => Mismatch::check("Conv::forward", "length of addend", 0, wanted),
            Addend::Output | Addend::None => Ok(()),
        }
    }
}
