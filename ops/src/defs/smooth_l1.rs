//! `smooth_l1`: the distance from zero, rounded off near it.

use super::elementwise::Elementwise;
use crate::Schema;
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new().float("scalar", f64::MIN..=f64::MAX, Some(1.0), "σ, which sets how near.").bool(
        "is_int",
        Some(true),
        "Whether the number was written as an integer. Without effect.",
    )
});

/// The operator and its gradient.
pub(super) const ALL: [Elementwise; 2] = [
    Elementwise::unary(
        "smooth_l1",
        &[],
        "output = (σ · data)² / 2 where |data| < 1 / σ², else |data| - 1 / (2 σ²). Girshick, ICCV 2015.",
        |g| {
            let inputs = [g.out_grad(0)?, g.inputs[0]];
            g.backward("_backward_smooth_l1", &inputs, 1)
        },
    )
    .with(&SCHEMA),
    Elementwise::backward(
        "_backward_smooth_l1",
        "d_data = out_grad · σ² · data where |data| < 1 / σ², else out_grad · sign(data).",
        &["out_grad", "data"],
    )
    .with(&SCHEMA),
];
