//! `MakeLoss` and `make_loss`: declare a tensor as what is to become small.

use super::compose;
use super::elementwise::NO_PARAMS;
use crate::{Entry, Gradient, Operator, Params, Result, Schema, Shapes};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new()
        .float("grad_scale", f64::MIN..=f64::MAX, Some(1.0), "The gradient.")
        .float("valid_thresh", f64::MIN..=f64::MAX, Some(0.0), "Elements above it count with normalization valid.")
        .choice(
            "normalization",
            &["null", "batch", "valid"],
            Some("null"),
            "What the gradient is divided by: null 1; batch the length of axis 0; valid the number of elements above \
             valid_thresh, at least 1.",
        )
});

/// Identity, where backward passes start.
pub(super) struct MakeLoss;

impl Operator for MakeLoss {
    fn name(&self) -> &str {
        "MakeLoss"
    }

    fn doc(&self) -> &str {
        "output = data. Gradient: grad_scale / normalization everywhere, whatever comes from outside."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn infer_shape(&self, _: &Params, s: &mut Shapes) -> Result<()> {
        s.same(&[0], &[0])
    }

    fn inplace(&self, _: &Params) -> Vec<(usize, usize)> {
        vec![(0, 0)]
    }

    fn is_loss(&self, _: &Params) -> bool {
        true
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let inputs = [grad.outputs[0]];
        grad.backward("_backward_MakeLoss", &inputs, 1)
    }
}

/// The same without parameters.
pub(super) struct MakePlainLoss;

impl Operator for MakePlainLoss {
    fn name(&self) -> &str {
        "make_loss"
    }

    fn doc(&self) -> &str {
        "loss = data. Gradient: 1 everywhere, whatever comes from outside."
    }

    fn schema(&self) -> &Schema {
        &NO_PARAMS
    }

    fn outputs(&self, _: &Params) -> Vec<String> {
        vec!["loss".to_string()]
    }

    fn infer_shape(&self, _: &Params, s: &mut Shapes) -> Result<()> {
        s.same(&[0], &[0])
    }

    fn inplace(&self, _: &Params) -> Vec<(usize, usize)> {
        vec![(0, 0)]
    }

    fn is_loss(&self, _: &Params) -> bool {
        true
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let inputs = [grad.outputs[0]];
        Ok(vec![Some(compose(grad, "data", "ones_like", &inputs)?)])
    }
}

/// Gradient of [`MakeLoss`].
pub(super) struct Backward;

impl Operator for Backward {
    fn name(&self) -> &str {
        "_backward_MakeLoss"
    }

    fn doc(&self) -> &str {
        "d_data = grad_scale / normalization everywhere."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        vec!["output".to_string()]
    }

    fn outputs(&self, _: &Params) -> Vec<String> {
        vec!["d_data".to_string()]
    }

    fn infer_shape(&self, _: &Params, s: &mut Shapes) -> Result<()> {
        s.same(&[0], &[0])
    }

    fn inplace(&self, _: &Params) -> Vec<(usize, usize)> {
        vec![(0, 0)]
    }
}
