//! `InstanceNorm`: every channel of every sample with mean 0 and variance 1.

use crate::{Entry, Error, Gradient, Operator, Params, PartialShape, Result, Schema, Shapes};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> =
    LazyLock::new(|| Schema::new().float("eps", 0.0..=f64::MAX, Some(1e-3), "Added to the variance."));

/// Normalisation of channels over each sample alone.
pub(super) struct InstanceNorm;

fn infer_gamma(s: &mut Shapes, data: usize, vectors: &[usize]) -> Result<()> {
    if s.input(data).rank().is_some_and(|rank| rank < 3) {
        let shape = s.input(data);
        return Err(Error::Shape(format!("data has shape {shape}, wanted axes for samples, channels and places")));
    }
    let why = format!("from data {}", s.input(data));
    let channels = PartialShape::new([s.input(data).dim(1)]);
    vectors.iter().try_for_each(|i| s.set_input(*i, channels.clone(), &why))
}

impl Operator for InstanceNorm {
    fn name(&self) -> &str {
        "InstanceNorm"
    }

    fn doc(&self) -> &str {
        "output[n, c] = gamma[c] · (data[n, c] - mean) / √(variance + eps) + beta[c], with mean and variance those of \
         data[n, c], the variance by the number of elements. data (N, C, …), gamma and beta (C,). Ulyanov and others, 2016."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        ["data", "gamma", "beta"].map(String::from).to_vec()
    }

    fn infer_shape(&self, _: &Params, s: &mut Shapes) -> Result<()> {
        s.same(&[0], &[0])?;
        infer_gamma(s, 0, &[1, 2])?;
        s.same(&[1, 2], &[])
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let inputs = [grad.out_grad(0)?, grad.inputs[0], grad.inputs[1]];
        grad.backward("_backward_InstanceNorm", &inputs, 3)
    }
}

/// Gradients of [`InstanceNorm`].
pub(super) struct Backward;

impl Operator for Backward {
    fn name(&self) -> &str {
        "_backward_InstanceNorm"
    }

    fn doc(&self) -> &str {
        "With x = (data - mean) / √(variance + eps) and sums over the n elements of one channel of one sample: d_data = \
         gamma / √(variance + eps) · (out_grad - (Σ out_grad + x · Σ out_grad · x) / n); d_beta and d_gamma are these two sums, \
         added up over the samples."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        ["out_grad", "data", "gamma"].map(String::from).to_vec()
    }

    fn outputs(&self, _: &Params) -> Vec<String> {
        ["d_data", "d_gamma", "d_beta"].map(String::from).to_vec()
    }

    fn infer_shape(&self, _: &Params, s: &mut Shapes) -> Result<()> {
        s.same(&[0, 1], &[0])?;
        infer_gamma(s, 1, &[2])?;
        s.same(&[2], &[1, 2])
    }
}
