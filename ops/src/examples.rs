//! Small uses of every built-in operator that has a name in symbols: what tests run over, and what is compared with MXNet.
//!
//! A family of operators has a file of its own here, and a line in [`all`].

use crate::{DType, Philox};

mod core;
mod elementwise;
mod indexing;
mod layers;
mod layout;
mod losses;
mod normalise;
mod reductions;

/// What values an input has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// In -3..3, none within 0.01 of zero or of another: no maximum and no kink is near.
    Apart,
    /// In 0.5..2.5.
    Positive,
    /// Whole numbers from 0 to below this, such as classes.
    Classes(usize),
    /// The same as int32.
    IntClasses(usize),
    /// Whole numbers from 1 to this, such as lengths of sequences.
    Lengths(usize),
    /// Whole numbers from minus this to below its double, such as indices of which some are out of range.
    Around(usize),
    /// In 0..1.
    Share,
    /// In 1.5..4.
    AboveOne,
}

impl Values {
    /// `len` such values, the same for the same `seed`, and the dtype that holds them: float64, or int32 where it must be.
    #[must_use]
    pub fn draw(self, len: usize, seed: u64) -> (DType, Vec<f64>) {
        let stream = Philox::new(seed, 0, 0);
        let share = |i: usize| stream.uniform2(i as u64)[0];
        let values = match self {
            Values::Apart => {
                let step = f64::max(6.0 / len.max(1) as f64, 0.02);
                let order = stream.permutation(len).into_iter();
                order.map(|i| (i as f64 - len as f64 / 2.0 + 0.37) * step).collect()
            }
            Values::Positive => (0..len).map(|i| 0.5 + 2.0 * share(i)).collect(),
            Values::Classes(n) | Values::IntClasses(n) => (0..len).map(|i| (share(i) * n as f64).floor()).collect(),
            Values::Lengths(n) => (0..len).map(|i| (share(i) * n as f64).floor() + 1.0).collect(),
            Values::Around(n) => (0..len).map(|i| ((share(i) * 3.0 - 1.0) * n as f64).floor()).collect(),
            Values::Share => (0..len).map(share).collect(),
            Values::AboveOne => (0..len).map(|i| 1.5 + 2.5 * share(i)).collect(),
        };
        let dtype = if matches!(self, Values::IntClasses(_)) { DType::I32 } else { DType::F64 };
        (dtype, values)
    }
}

/// Names and values of attributes.
pub type Given = &'static [(&'static str, &'static str)];
/// Shapes and values of inputs, auxiliary states last.
pub type Inputs = &'static [(&'static [usize], Values)];
/// Shapes of outputs, hidden ones included.
pub type Outputs = &'static [&'static [usize]];

/// Operator, attributes, inputs, and the shapes of outputs.
pub type Example = (&'static str, Given, Inputs, Outputs);

/// Each family's examples.
pub fn all() -> impl Iterator<Item = &'static Example> {
    [
        core::EXAMPLES,
        elementwise::EXAMPLES,
        reductions::EXAMPLES,
        layout::EXAMPLES,
        normalise::EXAMPLES,
        indexing::EXAMPLES,
        layers::EXAMPLES,
        layout::EXAMPLES,
        losses::EXAMPLES,
        normalise::EXAMPLES,
    ]
    .into_iter()
    .flatten()
}
