//! `FullyConnected`: a matrix product with weights, and a bias.

use super::dims::product;
use crate::{Entry, Gradient, Operator, Params, PartialShape, Result, Schema, Shapes, TensorDesc};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new()
        .int("num_hidden", 1..=i64::MAX, None, "Number of outputs a sample.")
        .bool("no_bias", Some(false), "Leave the bias out.")
        .bool("flatten", Some(true), "Take all axes but the first as one; if False, work on the last axis only.")
});

/// `output = data · weightᵀ + bias`.
pub(super) struct FullyConnected;

impl Operator for FullyConnected {
    fn name(&self) -> &str {
        "FullyConnected"
    }

    fn doc(&self) -> &str {
        "output = data · weightᵀ + bias. data (N, …) is taken as (N, K) if flatten, else as (…, K); weight is \
         (num_hidden, K), bias (num_hidden,), output (N, num_hidden) or (…, num_hidden)."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn inputs(&self, params: &Params) -> Vec<String> {
        let names: &[&str] = if params.bool("no_bias") { &["data", "weight"] } else { &["data", "weight", "bias"] };
        names.iter().map(ToString::to_string).collect()
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        let hidden = params.usize("num_hidden");
        if !params.bool("no_bias") {
            s.set_input(2, PartialShape::new([Some(hidden)]), "from num_hidden")?;
        }
        s.set_input(1, PartialShape::new([Some(hidden), None]), "from num_hidden")?;
        let Some(dims) = s.input(0).dims().map(<[_]>::to_vec) else { return Ok(()) };
        let flatten = params.bool("flatten");
        let why = format!("from data {}", s.input(0));
        let inner = if flatten { &dims[dims.len().min(1)..] } else { &dims[dims.len().saturating_sub(1)..] };
        let k = product(inner.iter().copied());
        s.set_input(1, PartialShape::new([Some(hidden), k]), &why)?;
        let outer = dims.len() - inner.len();
        let batch = dims[..outer].iter().copied();
        s.set_output(0, PartialShape::new(batch.chain([Some(hidden)])), &why)?;
        // Backwards: the axes that stay are those of the output, and a single one that is summed over is weight's.
        let why = format!("from output {} and weight {}", s.output(0), s.input(1));
        let k = s.input(1).dim(1).filter(|_| inner.len() == 1);
        let back = (0..dims.len()).map(|a| if a < outer { s.output(0).dim(a) } else { k });
        s.set_input(0, PartialShape::new(back), &why)
    }

    fn per_sample(&self, _: &Params, _: &[TensorDesc]) -> Option<Vec<usize>> {
        Some(vec![0])
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let inputs = [grad.out_grad(0)?, grad.inputs[0], grad.inputs[1]];
        grad.backward("_backward_FullyConnected", &inputs, grad.inputs.len())
    }
}

/// Gradients of [`FullyConnected`] by data, weight and bias.
pub(super) struct Backward;

impl Operator for Backward {
    fn name(&self) -> &str {
        "_backward_FullyConnected"
    }

    fn doc(&self) -> &str {
        "d_data = out_grad · weight, d_weight = out_gradᵀ · data, d_bias = column sums of out_grad."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        ["out_grad", "data", "weight"].map(String::from).to_vec()
    }

    fn outputs(&self, params: &Params) -> Vec<String> {
        FullyConnected.inputs(params).into_iter().map(|n| format!("d_{n}")).collect()
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        s.same(&[1], &[0])?;
        s.same(&[2], &[1])?;
        if !params.bool("no_bias") {
            s.set_output(2, PartialShape::new([Some(params.usize("num_hidden"))]), "from num_hidden")?;
        }
        Ok(())
    }
}
