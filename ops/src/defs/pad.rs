//! `Pad`: more elements around images and volumes.

use super::layout::{Backward, Dims, Layout, Order, by, tells_nothing};
use crate::{Error, Params, Result, Schema};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new()
        .choice(
            "mode",
            &["constant", "edge", "reflect"],
            None,
            "What is added: constant_value; the nearest element of data; data mirrored at its first and last element.",
        )
        .tuple(
            "pad_width",
            None,
            "Elements added before and after each axis: (before 0, after 0, before 1, …). Axes 0 and 1 get none.",
        )
        .float("constant_value", f64::MIN..=f64::MAX, Some(0.0), "With mode constant: the value.")
});

/// The elements that a `Pad` adds before and after each axis.
///
/// # Errors
/// [`Error::Param`] for widths of another number than data of 4 or 5 axes has, or for the first two axes.
pub fn pad_widths(params: &Params) -> Result<Vec<[usize; 2]>> {
    let given = params.tuple("pad_width");
    let refuse = |wanted: &str| {
        Error::Param(format!("parameter \"pad_width\" is {}, wanted {wanted}", params.value("pad_width")))
    };
    if !matches!(given.len(), 8 | 10) {
        return Err(refuse("8 numbers for data of 4 axes or 10 for data of 5"));
    }
    if given[..4].iter().any(|w| *w != 0) {
        return Err(refuse("0 before and after axes 0 and 1"));
    }
    let width = |w: i64| usize::try_from(w).ok().filter(|w| *w <= i32::MAX as usize);
    let pairs = given.chunks_exact(2).map(|pair| Some([width(pair[0])?, width(pair[1])?]));
    pairs.collect::<Option<Vec<_>>>().ok_or_else(|| refuse("numbers of at least 0"))
}

fn shape(params: &Params, dims: &[Option<usize>]) -> Result<Dims> {
    let widths = pad_widths(params)?;
    if dims.len() != widths.len() {
        return Err(Error::Shape(format!(
            "wanted {} axes as pad_width {} has",
            widths.len(),
            params.value("pad_width")
        )));
    }
    let mode = params.text("mode");
    let mut out = Vec::with_capacity(dims.len());
    for (axis, (dim, [before, after])) in dims.iter().zip(widths).enumerate() {
        // Edges are repeated from one element at least, and a mirror image is shorter than what it is the image of.
        let most = match (mode, dim) {
            ("edge", Some(0)) => Some(0),
            ("reflect", Some(len)) => Some(len.saturating_sub(1)),
            _ => None,
        };
        if most.is_some_and(|most| before.max(after) > most) {
            let least = if mode == "edge" { 1 } else { before.max(after) + 1 };
            return Err(Error::Shape(format!("wanted axis {axis} of at least {least} for mode {mode}")));
        }
        let padded = |len: usize| {
            let padded = len.checked_add(before).and_then(|n| n.checked_add(after));
            padded.ok_or_else(|| Error::Shape(format!("wanted axis {axis} short enough to pad")))
        };
        out.push(dim.map(padded).transpose()?);
    }
    Ok(out)
}

/// Data with more around it.
pub(super) const PAD: Layout = Layout {
    name: "Pad",
    aliases: &["pad"],
    doc: "Data (N, C, H, W) or (N, C, D, H, W) with pad_width elements added before and after its axes from the third on.",
    schema: &SCHEMA,
    check: |params| pad_widths(params).map(|_| ()),
    shape,
    back: |params, rank, out| {
        let widths = pad_widths(params)?;
        if out.len() != widths.len() {
            return tells_nothing(params, rank, out);
        }
        Ok(out.iter().zip(widths).map(|(d, [before, after])| d.and_then(|d| d.checked_sub(before + after))).collect())
    },
    order: Order::Changed,
    gradient: |grad| by("_backward_Pad", grad),
};

/// Its gradient.
pub(super) const BACKWARD: Backward = Backward {
    name: "_backward_Pad",
    doc: "d_data = the sum of out_grad at the places where the element is in the output.",
    of: &PAD,
};
