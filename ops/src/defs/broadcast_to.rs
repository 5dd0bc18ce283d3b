//! `broadcast_to` and `broadcast_axis`: axes of length 1 repeated to a given length.

use super::dims::axis_of;
use super::layout::{Backward, Dims, Layout, Order, by, tells_nothing};
use crate::{Error, Params, Result, Schema};
use std::sync::LazyLock;

static TO: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new().tuple("shape", Some(&[]), "The output's shape, of as many axes as data; 0 is as in data.")
});

static AXIS: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new().tuple("axis", Some(&[]), "The axes that are repeated; negative ones count from the end.").tuple(
        "size",
        Some(&[]),
        "Their lengths in the output.",
    )
});

/// The length `wanted` of an axis that is of this length or 1.
fn stretched(axis: usize, len: Option<usize>, wanted: usize) -> Result<Option<usize>> {
    if len.is_some_and(|len| len != 1 && len != wanted) {
        return Err(Error::Shape(format!("wanted axis {axis} of length 1 or {wanted}")));
    }
    Ok(Some(wanted))
}

fn size(params: &Params, name: &str, given: i64) -> Result<usize> {
    usize::try_from(given)
        .map_err(|_| Error::Param(format!("parameter \"{name}\" is {}, wanted no negative number", params.value(name))))
}

fn to(params: &Params, dims: &[Option<usize>]) -> Result<Dims> {
    let wanted = params.tuple("shape");
    if wanted.len() != dims.len() {
        return Err(Error::Shape(format!("wanted as many axes as parameter shape {} has", params.value("shape"))));
    }
    let one = |(axis, (len, wanted)): (usize, (&Option<usize>, &i64))| match size(params, "shape", *wanted)? {
        0 => Ok(*len),
        wanted => stretched(axis, *len, wanted),
    };
    dims.iter().zip(wanted).enumerate().map(one).collect()
}

fn along(params: &Params, dims: &[Option<usize>]) -> Result<Dims> {
    let mut out = dims.to_vec();
    for (axis, wanted) in params.tuple("axis").iter().zip(params.tuple("size")) {
        let axis = axis_of(*axis, dims.len())?;
        out[axis] = stretched(axis, dims[axis].filter(|d| *d != 1), size(params, "size", *wanted)?)?;
    }
    Ok(out)
}

/// To a shape.
pub(super) const BROADCAST_TO: Layout = Layout {
    name: "broadcast_to",
    aliases: &[],
    doc: "Data repeated along its axes of length 1 to this shape.",
    schema: &TO,
    check: |params| params.tuple("shape").iter().try_for_each(|d| size(params, "shape", *d).map(|_| ())),
    shape: to,
    back: tells_nothing,
    order: Order::Changed,
    gradient: |grad| by("_backward_broadcast_to", grad),
};

/// Along axes.
pub(super) const BROADCAST_AXIS: Layout = Layout {
    name: "broadcast_axis",
    aliases: &["broadcast_axes"],
    doc: "Data repeated along axes of length 1 to these sizes.",
    schema: &AXIS,
    check: |params| {
        let (axis, sizes) = (params.tuple("axis"), params.tuple("size"));
        if axis.len() != sizes.len() {
            let (axis, sizes) = (params.value("axis"), params.value("size"));
            return Err(Error::Param(format!(
                "parameter \"size\" is {sizes}, wanted as many numbers as in axis {axis}"
            )));
        }
        sizes.iter().try_for_each(|d| size(params, "size", *d).map(|_| ()))
    },
    shape: along,
    back: tells_nothing,
    order: Order::Changed,
    gradient: |grad| by("_backward_broadcast_axis", grad),
};

/// The gradients of both.
pub(super) const BACKWARD: [Backward; 2] = [
    Backward {
        name: "_backward_broadcast_to",
        doc: "d_data = out_grad, summed over the repeated axes.",
        of: &BROADCAST_TO,
    },
    Backward {
        name: "_backward_broadcast_axis",
        doc: "d_data = out_grad, summed over the repeated axes.",
        of: &BROADCAST_AXIS,
    },
];
