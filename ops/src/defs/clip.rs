//! `clip`: elements kept between two bounds.

use super::elementwise::Elementwise;
use crate::Schema;
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let any = || f64::NEG_INFINITY..=f64::INFINITY;
    Schema::new().float("a_min", any(), None, "The lower bound.").float("a_max", any(), None, "The upper bound.")
});

/// The operator and its gradient.
pub(super) const ALL: [Elementwise; 2] = [
    Elementwise::unary(
        "clip",
        &[],
        "output = a_max where data > a_max, else a_min where data < a_min, else data. NaN stays NaN.",
        |g| {
            let inputs = [g.out_grad(0)?, g.inputs[0]];
            g.backward("_backward_clip", &inputs, 1)
        },
    )
    .with(&SCHEMA),
    Elementwise::backward(
        "_backward_clip",
        "d_data = out_grad where a_min ≤ data ≤ a_max, else 0.",
        &["out_grad", "data"],
    )
    .with(&SCHEMA),
];
