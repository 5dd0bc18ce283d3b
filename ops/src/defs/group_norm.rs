//! `GroupNorm`: every group of channels of every sample with mean 0 and variance 1.

use crate::{Entry, Error, Gradient, Operator, Params, PartialShape, Result, Schema, Shapes};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new()
        .int("num_groups", 1..=i64::from(i32::MAX), Some(1), "Groups that the channels are cut into.")
        .float("eps", 0.0..=f64::MAX, Some(1e-5), "Added to the variance.")
        .bool("output_mean_var", Some(false), "Show the outputs mean and std.")
});

/// Normalisation of groups of channels.
pub(super) struct GroupNorm;

/// One number a group (inputs), and one a sample and group.
fn infer(
    params: &Params,
    s: &mut Shapes,
    data: usize,
    vectors: (&[usize], &[usize]),
    statistics: (&[usize], &[usize]),
) -> Result<()> {
    let groups = params.usize("num_groups");
    let shape = s.input(data);
    if shape.rank().is_some_and(|rank| rank < 3) {
        return Err(Error::Shape(format!("data has shape {shape}, wanted axes for samples, channels and places")));
    }
    if shape.dim(1).is_some_and(|channels| !channels.is_multiple_of(groups)) {
        return Err(Error::Shape(format!("data has shape {shape}, wanted channels in {groups} groups of one size")));
    }
    let (vector, why) = (PartialShape::new([Some(groups)]), format!("from {groups} groups"));
    vectors.0.iter().try_for_each(|i| s.set_input(*i, vector.clone(), &why))?;
    vectors.1.iter().try_for_each(|o| s.set_output(*o, vector.clone(), &why))?;
    let why = format!("from data {} in {groups} groups", s.input(data));
    let each = PartialShape::new([s.input(data).dim(0), Some(groups)]);
    statistics.0.iter().try_for_each(|i| s.set_input(*i, each.clone(), &why))?;
    statistics.1.iter().try_for_each(|o| s.set_output(*o, each.clone(), &why))
}

impl Operator for GroupNorm {
    fn name(&self) -> &str {
        "GroupNorm"
    }

    fn doc(&self) -> &str {
        "output = gamma[g] · (data - mean[n, g]) / std[n, g] + beta[g] for the channels of group g of sample n, with mean their \
         mean and std = √(variance + eps), the variance by the number of elements. data (N, C, …), gamma and beta (groups,), \
         the outputs mean and std (N, groups). Wu and He, 2018; but for gamma and beta, which are one a group as in MXNet."
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
        infer(params, s, 0, (&[1, 2], &[]), (&[], &[1, 2]))
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let inputs = [grad.out_grad(0)?, grad.inputs[0], grad.inputs[1], grad.outputs[1], grad.outputs[2]];
        grad.backward("_backward_GroupNorm", &inputs, 3)
    }
}

/// Gradients of [`GroupNorm`].
pub(super) struct Backward;

impl Operator for Backward {
    fn name(&self) -> &str {
        "_backward_GroupNorm"
    }

    fn doc(&self) -> &str {
        "With x = (data - mean) / std and sums over the n elements of one group of one sample: d_data = gamma / std · \
         (out_grad - (Σ out_grad + x · Σ out_grad · x) / n); d_beta and d_gamma are these two sums, added up over the samples."
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
        infer(params, s, 1, (&[2], &[1, 2]), (&[3, 4], &[]))
    }
}
