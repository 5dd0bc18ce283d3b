//! `hard_sigmoid`: a line cut off at 0 and 1.

use super::elementwise::Elementwise;
use crate::Schema;
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new().float("alpha", f64::MIN..=f64::MAX, Some(0.2), "Slope of the line.").float(
        "beta",
        f64::MIN..=f64::MAX,
        Some(0.5),
        "Its value at 0.",
    )
});

/// The operator and its gradient.
pub(super) const ALL: [Elementwise; 2] = [
    Elementwise::unary("hard_sigmoid", &[], "output = max(0, min(1, alpha · data + beta)).", |g| {
        let inputs = [g.out_grad(0)?, g.outputs[0]];
        g.backward("_backward_hard_sigmoid", &inputs, 1)
    })
    .with(&SCHEMA),
    Elementwise::backward(
        "_backward_hard_sigmoid",
        "d_data = alpha · out_grad where 0 < output < 1, else 0.",
        &["out_grad", "output"],
    )
    .with(&SCHEMA),
];
