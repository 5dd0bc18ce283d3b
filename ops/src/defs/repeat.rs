//! `tile` and `repeat`: elements several times.

use super::dims::axis_of;
use super::layout::{Backward, Dims, Layout, Order, by, tells_nothing, unchecked};
use crate::{Error, Kind, Params, Result, Schema, Value};
use std::sync::LazyLock;

static TILE: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new().tuple(
        "reps",
        None,
        "How often data is repeated along each axis, matched from the last; 1 if left out.",
    )
});

static REPEAT: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new().int("repeats", 0..=i64::from(i32::MAX), None, "How often each element is repeated.").param(
        "axis",
        Kind::Int(i64::from(i32::MIN), i64::from(i32::MAX)),
        Some(Value::None),
        "The axis; negative ones count from the end. None is data as one axis.",
    )
});

/// How often `tile` repeats along each axis of the output, which has as many axes as data, or more.
#[must_use]
pub fn tile_reps(params: &Params, rank: usize) -> Vec<usize> {
    let reps = params.tuple("reps");
    let missing = rank.saturating_sub(reps.len());
    let given = reps.iter().map(|r| usize::try_from(*r).unwrap_or(1));
    std::iter::repeat_n(1, missing).chain(given).collect()
}

/// The axis along which `repeat` works, if not along data as one axis.
///
/// # Errors
/// [`Error::Param`] when data of this rank has no such axis.
pub fn repeat_axis(params: &Params, rank: usize) -> Result<Option<usize>> {
    match params.value("axis") {
        Value::Int(axis) => axis_of(*axis, rank).map(Some),
        _ => Ok(None),
    }
}

fn times(len: Option<usize>, by: usize) -> Result<Option<usize>> {
    let too_long = || Error::Shape(format!("wanted axes short enough to repeat {by} times"));
    len.map(|len| len.checked_mul(by).ok_or_else(too_long)).transpose()
}

/// The whole of data again and again.
pub(super) const TILE_OP: Layout = Layout {
    name: "tile",
    aliases: &[],
    doc: "Data repeated as a whole reps[i] times along axis i. Of data and reps the shorter gets axes of 1 in front.",
    schema: &TILE,
    check: |params| {
        if params.tuple("reps").iter().all(|r| *r > 0) {
            return Ok(());
        }
        Err(Error::Param(format!("parameter \"reps\" is {}, wanted numbers of at least 1", params.value("reps"))))
    },
    shape: |params, dims| {
        let reps = tile_reps(params, dims.len());
        let missing = reps.len() - dims.len();
        let dims = std::iter::repeat_n(Some(1), missing).chain(dims.iter().copied());
        dims.zip(reps).map(|(d, r)| times(d, r)).collect()
    },
    back: tells_nothing,
    order: Order::Changed,
    gradient: |grad| by("_backward_tile", grad),
};

/// Each element several times.
pub(super) const REPEAT_OP: Layout = Layout {
    name: "repeat",
    aliases: &[],
    doc: "Each element of data repeats times in a row, along an axis or in data as one axis.",
    schema: &REPEAT,
    check: unchecked,
    shape: |params, dims| {
        let repeats = params.usize("repeats");
        let mut out: Dims = dims.to_vec();
        match repeat_axis(params, dims.len())? {
            Some(axis) => out[axis] = times(out[axis], repeats)?,
            None => out = vec![times(super::dims::product(dims.iter().copied()), repeats)?],
        }
        Ok(out)
    },
    back: tells_nothing,
    order: Order::Changed,
    gradient: |grad| by("_backward_repeat", grad),
};

/// The gradients of both.
pub(super) const BACKWARD: [Backward; 2] = [
    Backward { name: "_backward_tile", doc: "d_data = out_grad, summed over the repeated elements.", of: &TILE_OP },
    Backward { name: "_backward_repeat", doc: "d_data = out_grad, summed over the repeated elements.", of: &REPEAT_OP },
];
