//! `reverse`: axes turned round.

use super::layout::{Dims, Layout, Order, by};
use crate::{Error, Params, Result, Schema};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new().tuple("axis", None, "The axes that are turned round; negative ones count from the end.")
});

/// Which axes of data of this rank a `reverse` turns round.
///
/// # Errors
/// [`Error::Param`] for an axis out of range.
pub fn reversed_axes(params: &Params, rank: usize) -> Result<Vec<bool>> {
    let mut reversed = vec![false; rank];
    for axis in params.tuple("axis") {
        reversed[super::dims::axis_of(*axis, rank)?] = true;
    }
    Ok(reversed)
}

fn shape(params: &Params, dims: &[Option<usize>]) -> Result<Dims> {
    reversed_axes(params, dims.len()).map(|_| dims.to_vec())
}

/// The last element first.
pub(super) const REVERSE: Layout = Layout {
    name: "reverse",
    aliases: &["flip"],
    doc: "output[…, i, …] = data[…, n - 1 - i, …] along the named axes.",
    schema: &SCHEMA,
    check: |params| {
        if params.tuple("axis").is_empty() {
            return Err(Error::Param("parameter \"axis\" is (), wanted an axis".to_string()));
        }
        Ok(())
    },
    shape,
    back: |_, _, out| Ok(out.to_vec()),
    order: Order::Changed,
    gradient: |grad| by("reverse", grad),
};
