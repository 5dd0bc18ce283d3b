//! `sum` and `mean` over axes.

use super::dims::axis_of;
use crate::{Entry, Error, Gradient, Kind, Operator, Params, PartialShape, Result, Schema, Shapes, Value};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new()
        .param(
            "axis",
            Kind::Tuple,
            Some(Value::None),
            "The axes; None or () is all of them. Negative ones count from the end.",
        )
        .bool("keepdims", Some(false), "Leave the axes in, with length 1.")
        .bool("exclude", Some(false), "Reduce the axes that are not named instead.")
});

/// Which axes of a tensor of this rank a reduction reduces.
///
/// # Errors
/// [`Error::Param`] for an axis out of range or named twice.
pub fn reduced_axes(params: &Params, rank: usize) -> Result<Vec<bool>> {
    let axes = params.tuple("axis");
    if axes.is_empty() {
        return Ok(vec![true; rank]);
    }
    let mut named = vec![false; rank];
    for axis in axes {
        if std::mem::replace(&mut named[axis_of(*axis, rank)?], true) {
            return Err(Error::Param(format!(
                "parameter \"axis\" is {}, which names axis {axis} twice",
                params.value("axis")
            )));
        }
    }
    let exclude = params.bool("exclude");
    Ok(named.into_iter().map(|n| n != exclude).collect())
}

/// Tells the whole tensor and the reduced one of each other.
fn reduced_shape(params: &Params, whole: &PartialShape) -> Result<PartialShape> {
    let Some(dims) = whole.dims() else { return Ok(PartialShape::unknown()) };
    let reduced = reduced_axes(params, dims.len()).map_err(|e| Error::Shape(format!("data has shape {whole}: {e}")))?;
    let keep = params.bool("keepdims");
    let mut out: Vec<_> =
        dims.iter().zip(&reduced).filter(|(_, r)| keep || !**r).map(|(d, r)| if *r { Some(1) } else { *d }).collect();
    if out.is_empty() {
        out.push(Some(1));
    }
    Ok(PartialShape::new(out))
}

/// What the reduced tensor tells of the axes that are left of a tensor of this rank.
fn whole_shape(params: &Params, rank: usize, out: &PartialShape) -> Result<PartialShape> {
    let reduced = reduced_axes(params, rank)?;
    let keep = params.bool("keepdims");
    let mut next = 0;
    let mut dims = Vec::with_capacity(rank);
    for (axis, reduced) in reduced.into_iter().enumerate() {
        dims.push(if reduced { None } else { out.dim(if keep { axis } else { next }) });
        next += usize::from(!reduced);
    }
    Ok(PartialShape::new(dims))
}

/// Sum or mean.
pub(super) struct Reduce {
    /// Whether the sum is divided by the number of its terms.
    pub(super) mean: bool,
}

impl Operator for Reduce {
    fn name(&self) -> &str {
        if self.mean { "mean" } else { "sum" }
    }

    fn aliases(&self) -> &[&str] {
        if self.mean { &[] } else { &["sum_axis"] }
    }

    fn doc(&self) -> &str {
        if self.mean {
            "The mean of data over axes, which are dropped, or of length 1 with keepdims. Over all axes: shape (1,)."
        } else {
            "The sum of data over axes, which are dropped, or of length 1 with keepdims. Over all axes: shape (1,)."
        }
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        s.set_output(0, reduced_shape(params, s.input(0))?, &format!("from data {}", s.input(0)))?;
        let Some(rank) = s.input(0).rank() else { return Ok(()) };
        s.set_input(0, whole_shape(params, rank, s.output(0))?, &format!("from output {}", s.output(0)))
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let inputs = [grad.out_grad(0)?];
        grad.backward(if self.mean { "_backward_mean" } else { "_backward_sum" }, &inputs, 1)
    }
}

/// Gradient of [`Reduce`].
pub(super) struct Backward {
    /// Of the mean.
    pub(super) mean: bool,
}

impl Operator for Backward {
    fn name(&self) -> &str {
        if self.mean { "_backward_mean" } else { "_backward_sum" }
    }

    fn doc(&self) -> &str {
        if self.mean {
            "d_data = out_grad / n, repeated along the reduced axes, where n is the number of elements in a mean."
        } else {
            "d_data = out_grad, repeated along the reduced axes."
        }
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        vec!["out_grad".to_string()]
    }

    fn outputs(&self, _: &Params) -> Vec<String> {
        vec!["d_data".to_string()]
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        s.set_input(0, reduced_shape(params, s.output(0))?, &format!("from d_data {}", s.output(0)))
    }
}
