//! Axis and shape parameters that several operators have.

use crate::{Attrs, Error, Params, PartialShape, Permutation, Result, Shape, TensorDesc};

/// The `shape` parameter of operators without inputs: `()` is unknown, as is an axis of 0 or less.
pub(super) fn given_shape(params: &Params) -> PartialShape {
    let dims = params.tuple("shape");
    if dims.is_empty() {
        return PartialShape::unknown();
    }
    PartialShape::new(dims.iter().map(|d| usize::try_from(*d).ok().filter(|d| *d > 0)))
}

/// The product of some lengths; `None` if one is not known, or it does not fit.
pub(super) fn product(dims: impl IntoIterator<Item = Option<usize>>) -> Option<usize> {
    dims.into_iter().try_fold(1_usize, |n, d| n.checked_mul(d?))
}

/// The axis of a tensor of this rank that `axis` stands for: negative ones count from the end.
///
/// # Errors
/// [`Error::Param`] when there is no such axis.
pub fn axis_of(axis: i64, rank: usize) -> Result<usize> {
    let size = usize::try_from(axis.unsigned_abs()).ok();
    let found = if axis < 0 { size.and_then(|a| rank.checked_sub(a)) } else { size.filter(|a| *a < rank) };
    found.ok_or_else(|| Error::Param(format!("axis {axis} is out of range for {rank} axes")))
}

/// The parameter that names an axis, for tensors with their axes in another order; `None` if not all have as many axes, or there is
/// no such axis.
pub(super) fn moved_axis(params: &Params, name: &str, descs: &[TensorDesc], order: &Permutation) -> Option<Attrs> {
    let rank = order.axes().len();
    let position = order.position(axis_of(params.int(name), rank).ok()?)?;
    let all = descs.iter().all(|desc| desc.shape.rank() == rank);
    all.then(|| Attrs::from([(name.to_string(), position.to_string())]))
}

/// A shape in which one axis is looked at: the elements before it, along it and after it.
#[must_use]
pub fn around_axis(shape: &Shape, axis: usize) -> [usize; 3] {
    let d = shape.dims();
    [d[..axis].iter().product(), d[axis], d[axis + 1..].iter().product()]
}
