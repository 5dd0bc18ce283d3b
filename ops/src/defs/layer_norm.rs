//! `LayerNorm`: the elements along one axis with mean 0 and variance 1.

use super::dims::axis_of;
use crate::{Entry, Error, Gradient, Operator, Params, PartialShape, Result, Schema, Shapes};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new()
        .int(
            "axis",
            i64::from(i32::MIN)..=i64::from(i32::MAX),
            Some(-1),
            "The axis whose elements are normalised together; negative ones count from the end.",
        )
        .float("eps", 0.0..=f64::MAX, Some(1e-5), "Added to the variance.")
        .bool("output_mean_var", Some(false), "Show the outputs mean and std.")
});

/// Normalisation along an axis.
pub(super) struct LayerNorm;

/// The vectors along the axis (inputs), and the statistics, in which the axis has length 1.
fn infer(
    params: &Params,
    s: &mut Shapes,
    data: usize,
    vectors: (&[usize], &[usize]),
    statistics: (&[usize], &[usize]),
) -> Result<()> {
    let Some(dims) = s.input(data).dims().map(<[_]>::to_vec) else { return s.same(vectors.0, vectors.1) };
    let axis = axis_of(params.int("axis"), dims.len())
        .map_err(|e| Error::Shape(format!("data has shape {}: {e}", s.input(data))))?;
    let why = format!("from data {}", s.input(data));
    let vector = PartialShape::new([dims[axis]]);
    vectors.0.iter().try_for_each(|i| s.set_input(*i, vector.clone(), &why))?;
    vectors.1.iter().try_for_each(|o| s.set_output(*o, vector.clone(), &why))?;
    s.same(vectors.0, vectors.1)?;
    let mut one = dims.clone();
    one[axis] = Some(1);
    let one = PartialShape::new(one);
    statistics.0.iter().try_for_each(|i| s.set_input(*i, one.clone(), &why))?;
    statistics.1.iter().try_for_each(|o| s.set_output(*o, one.clone(), &why))?;
    let Some(len) = vectors.0.iter().find_map(|i| s.input(*i).dim(0)) else { return Ok(()) };
    let along = (0..dims.len()).map(|a| (a == axis).then_some(len));
    s.set_input(data, PartialShape::new(along), &format!("from {len} elements of gamma"))
}

impl Operator for LayerNorm {
    fn name(&self) -> &str {
        "LayerNorm"
    }

    fn doc(&self) -> &str {
        "output = gamma · (data - mean) / std + beta with mean the mean of data along axis and std = √(variance + eps), the \
         variance by the number of elements. gamma and beta have one number a place along axis; in the outputs mean and std \
         that axis has length 1. Ba, Kiros and Hinton, 2016."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        ["data", "gamma", "beta"].map(String::from).to_vec()
    }

    fn outputs(&self, _: &Params) -> Vec<String> {
        ["output", "mean", "std"].map(String::from).to_vec()
    }

    fn num_visible_outputs(&self, params: &Params) -> usize {
        if params.bool("output_mean_var") { 3 } else { 1 }
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        s.same(&[0], &[0])?;
        infer(params, s, 0, (&[1, 2], &[]), (&[], &[1, 2]))?;
        s.same(&[0], &[0])
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let inputs = [grad.out_grad(0)?, grad.inputs[0], grad.inputs[1], grad.outputs[1], grad.outputs[2]];
        grad.backward("_backward_LayerNorm", &inputs, 3)
    }
}

/// Gradients of [`LayerNorm`].
pub(super) struct Backward;

impl Operator for Backward {
    fn name(&self) -> &str {
        "_backward_LayerNorm"
    }

    fn doc(&self) -> &str {
        "With x = (data - mean) / std, g = out_grad · gamma and means over the elements along axis: d_data = (g - mean of g - x · \
         mean of g · x) / std; d_gamma = Σ out_grad · x and d_beta = Σ out_grad over all other axes."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        ["out_grad", "data", "gamma", "mean", "std"].map(String::from).to_vec()
    }

    fn outputs(&self, _: &Params) -> Vec<String> {
        ["d_data", "d_gamma", "d_beta"].map(String::from).to_vec()
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        s.same(&[0, 1], &[0])?;
        infer(params, s, 1, (&[2], &[1, 2]), (&[3, 4], &[]))?;
        s.same(&[0, 1], &[0])
    }
}
