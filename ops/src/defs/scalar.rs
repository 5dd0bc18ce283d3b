//! Arithmetic of a tensor and a number.

use super::elementwise::{Elementwise, GradientFn};
use crate::{Result, Schema};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new().float("scalar", f64::MIN..=f64::MAX, Some(1.0), "The number, taken in the dtype of data.").bool(
        "is_int",
        Some(true),
        "Whether the number was written as an integer. Without effect.",
    )
});

const fn scalar(
    name: &'static str,
    aliases: &'static [&'static str],
    doc: &'static str,
    gradient: GradientFn,
) -> Elementwise {
    Elementwise::unary(name, aliases, doc, gradient).with(&SCHEMA)
}

const fn backward(name: &'static str, doc: &'static str) -> Elementwise {
    Elementwise::backward(name, doc, &["out_grad", "data"]).with(&SCHEMA)
}

/// Gradients by a backward operator of `out_grad` and `data`.
macro_rules! by_data {
    ($backward:literal) => {
        |g| {
            let inputs = [g.out_grad(0)?, g.inputs[0]];
            g.backward($backward, &inputs, 1)
        }
    };
}

/// The operators of this file.
pub(super) const ALL: [Elementwise; 29] = [
    scalar("_plus_scalar", &["_PlusScalar"], "output = data + scalar.", pass_on),
    scalar("_minus_scalar", &["_MinusScalar"], "output = data - scalar.", pass_on),
    scalar("_rminus_scalar", &["_RMinusScalar"], "output = scalar - data.", |g| {
        let out_grad = g.out_grad(0)?;
        Ok(vec![Some(super::compose(g, "data", "negative", &[out_grad])?)])
    }),
    scalar("_mul_scalar", &["_MulScalar"], "output = data · scalar.", |g| {
        let inputs = [g.out_grad(0)?];
        g.backward("_mul_scalar", &inputs, 1)
    }),
    scalar("_div_scalar", &["_DivScalar"], "output = data / scalar.", |g| {
        let inputs = [g.out_grad(0)?];
        g.backward("_div_scalar", &inputs, 1)
    }),
    scalar("_rdiv_scalar", &["_RDivScalar"], "output = scalar / data.", by_data!("_backward_rdiv_scalar")),
    backward("_backward_rdiv_scalar", "d_data = -out_grad · scalar / data²."),
    scalar(
        "_mod_scalar",
        &["_ModScalar"],
        "output = the remainder of data / scalar with the sign of scalar; 0 if scalar is 0.",
        pass_on,
    )
    .costly(),
    scalar(
        "_rmod_scalar",
        &["_RModScalar"],
        "output = the remainder of scalar / data with the sign of data, 0 where data is 0.",
        by_data!("_backward_rmod_scalar"),
    )
    .costly(),
    backward("_backward_rmod_scalar", "d_data = -out_grad · ⌊scalar / data⌋."),
    scalar("_maximum_scalar", &["_MaximumScalar"], "output = max(data, scalar).", by_data!("_backward_maximum_scalar")),
    backward("_backward_maximum_scalar", "d_data = out_grad where data ≥ scalar, else 0."),
    scalar("_minimum_scalar", &["_MinimumScalar"], "output = min(data, scalar).", by_data!("_backward_minimum_scalar")),
    backward("_backward_minimum_scalar", "d_data = out_grad where data ≤ scalar, else 0."),
    scalar("_power_scalar", &["_PowerScalar"], "output = data^scalar.", by_data!("_backward_power_scalar")).costly(),
    backward("_backward_power_scalar", "d_data = out_grad · scalar · data^(scalar - 1)."),
    scalar("_rpower_scalar", &["_RPowerScalar"], "output = scalar^data.", by_data!("_backward_rpower_scalar")).costly(),
    backward("_backward_rpower_scalar", "d_data = out_grad · scalar^data · ln scalar."),
    scalar("_hypot_scalar", &["_HypotScalar"], "output = √(data² + scalar²).", by_data!("_backward_hypot_scalar"))
        .costly(),
    backward("_backward_hypot_scalar", "d_data = out_grad · data / √(data² + scalar²)."),
    scalar("_equal_scalar", &["_EqualScalar"], "output = 1 where data = scalar, else 0.", constant),
    scalar("_not_equal_scalar", &["_NotEqualScalar"], "output = 1 where data ≠ scalar, else 0.", constant),
    scalar("_greater_scalar", &["_GreaterScalar"], "output = 1 where data > scalar, else 0.", constant),
    scalar("_greater_equal_scalar", &["_GreaterEqualScalar"], "output = 1 where data ≥ scalar, else 0.", constant),
    scalar("_lesser_scalar", &["_LesserScalar"], "output = 1 where data < scalar, else 0.", constant),
    scalar("_lesser_equal_scalar", &["_LesserEqualScalar"], "output = 1 where data ≤ scalar, else 0.", constant),
    scalar("_logical_and_scalar", &["_LogicalAndScalar"], "output = 1 where neither is 0, else 0.", constant),
    scalar("_logical_or_scalar", &["_LogicalOrScalar"], "output = 1 where either is not 0, else 0.", constant),
    scalar("_logical_xor_scalar", &["_LogicalXorScalar"], "output = 1 where just one is not 0, else 0.", constant),
];

fn constant(_: &mut crate::Gradient<'_>) -> Result<Vec<Option<crate::Entry>>> {
    Ok(vec![None])
}

fn pass_on(g: &mut crate::Gradient<'_>) -> Result<Vec<Option<crate::Entry>>> {
    Ok(vec![Some(g.out_grad(0)?)])
}
