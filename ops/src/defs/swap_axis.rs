//! `SwapAxis`: two axes in each other's place.

use super::dims::axis_of;
use super::layout::{Dims, Layout, Order, by, unchecked};
use crate::{Params, Result, Schema};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let range = || i64::from(i32::MIN)..=i64::from(i32::MAX);
    Schema::new().int("dim1", range(), Some(0), "The one axis; negative ones count from the end.").int(
        "dim2",
        range(),
        Some(0),
        "The other axis; negative ones count from the end.",
    )
});

/// Which axis of data of this rank becomes which of a `SwapAxis`'s output.
///
/// # Errors
/// [`crate::Error::Param`] for an axis out of range.
pub fn swapped_order(params: &Params, rank: usize) -> Result<Vec<usize>> {
    let mut order: Vec<usize> = (0..rank).collect();
    order.swap(axis_of(params.int("dim1"), rank)?, axis_of(params.int("dim2"), rank)?);
    Ok(order)
}

fn swapped(params: &Params, dims: &[Option<usize>]) -> Result<Dims> {
    Ok(swapped_order(params, dims.len())?.into_iter().map(|a| dims[a]).collect())
}

/// Two axes swapped.
pub(super) const SWAP_AXIS: Layout = Layout {
    name: "SwapAxis",
    aliases: &["swapaxes"],
    doc: "Data with axes dim1 and dim2 in each other's place.",
    schema: &SCHEMA,
    check: unchecked,
    shape: swapped,
    back: |params, _, out| swapped(params, out),
    order: Order::Changed,
    gradient: |grad| by("SwapAxis", grad),
};
