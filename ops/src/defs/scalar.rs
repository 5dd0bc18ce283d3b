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

/// The operators of this file.
pub(super) const ALL: [Elementwise; 13] = [
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
    scalar("_rdiv_scalar", &["_RDivScalar"], "output = scalar / data.", |g| {
        let inputs = [g.out_grad(0)?, g.inputs[0]];
        g.backward("_backward_rdiv_scalar", &inputs, 1)
    }),
    backward("_backward_rdiv_scalar", "d_data = -out_grad · scalar / data²."),
    scalar("_maximum_scalar", &["_MaximumScalar"], "output = max(data, scalar).", |g| {
        let inputs = [g.out_grad(0)?, g.inputs[0]];
        g.backward("_backward_maximum_scalar", &inputs, 1)
    }),
    backward("_backward_maximum_scalar", "d_data = out_grad where data ≥ scalar, else 0."),
    scalar("_minimum_scalar", &["_MinimumScalar"], "output = min(data, scalar).", |g| {
        let inputs = [g.out_grad(0)?, g.inputs[0]];
        g.backward("_backward_minimum_scalar", &inputs, 1)
    }),
    backward("_backward_minimum_scalar", "d_data = out_grad where data ≤ scalar, else 0."),
    scalar("_power_scalar", &["_PowerScalar"], "output = data^scalar.", |g| {
        let inputs = [g.out_grad(0)?, g.inputs[0]];
        g.backward("_backward_power_scalar", &inputs, 1)
    }),
    backward("_backward_power_scalar", "d_data = out_grad · scalar · data^(scalar - 1)."),
];

fn pass_on(g: &mut crate::Gradient<'_>) -> Result<Vec<Option<crate::Entry>>> {
    Ok(vec![Some(g.out_grad(0)?)])
}
