//! `SoftmaxActivation`: softmax along the last axis or over the channels.

use super::elementwise::Elementwise;
use crate::{Entry, Error, Gradient, Operator, Params, Result, Schema, Shapes, TensorDesc};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new().choice(
        "mode",
        &["channel", "instance"],
        Some("instance"),
        "What adds up to 1: instance the numbers along the last axis; channel the channels at one place.",
    )
});

/// Softmax along the last axis or over channels.
pub(super) struct SoftmaxActivation;

impl Operator for SoftmaxActivation {
    fn name(&self) -> &str {
        "SoftmaxActivation"
    }

    fn doc(&self) -> &str {
        "output = e^data / Σ e^data, the sum along the last axis or over the channels at one place. data (N, …), or (N, C, …) \
         with mode channel. In MXNet too a sample of several axes is summed along the last one only."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        s.same(&[0], &[0])?;
        let least = if params.text("mode") == "channel" { 3 } else { 1 };
        match s.input(0).rank() {
            Some(rank) if rank < least => {
                let shape = s.input(0);
                Err(Error::Shape(format!("data has shape {shape}, wanted {least} axes or more")))
            }
            _ => Ok(()),
        }
    }

    fn inplace(&self, _: &Params) -> Vec<(usize, usize)> {
        vec![(0, 0)]
    }

    fn per_sample(&self, _: &Params, _: &[TensorDesc]) -> Option<Vec<usize>> {
        Some(vec![0])
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let inputs = [grad.out_grad(0)?, grad.outputs[0]];
        grad.backward("_backward_SoftmaxActivation", &inputs, 1)
    }
}

/// Its gradient.
pub(super) const BACKWARD: Elementwise = Elementwise::backward(
    "_backward_SoftmaxActivation",
    "d_data = output · (out_grad - Σ out_grad · output), the sum over what adds up to 1.",
    &["out_grad", "output"],
)
.with(&SCHEMA);
