//! `Activation`: the non-linear functions between layers.

use super::elementwise::Elementwise;
use crate::Schema;
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let types = &["relu", "sigmoid", "tanh", "softrelu", "softsign"];
    Schema::new().choice("act_type", types, None, "Which function.")
});

/// The function of `act_type`. Its gradient needs the output only, so that the input's memory is free at once.
pub(super) const ACTIVATION: Elementwise = Elementwise::unary(
    "Activation",
    &[],
    "output = f(data), with f by act_type: relu max(x, 0); sigmoid 1 / (1 + e^-x); tanh; softrelu ln(1 + e^x); softsign \
     x / (1 + |x|).",
    |g| {
        let inputs = [g.out_grad(0)?, g.outputs[0]];
        g.backward("_backward_Activation", &inputs, 1)
    },
)
.with(&SCHEMA);

/// Gradient of [`ACTIVATION`].
pub(super) const BACKWARD: Elementwise = Elementwise::backward(
    "_backward_Activation",
    "d_data = out_grad · f'(x), which of y = output is: relu 1 where y > 0, else 0; sigmoid y (1 - y); tanh 1 - y²; \
     softrelu 1 - e^-y; softsign (1 - |y|)².",
    &["out_grad", "output"],
)
.with(&SCHEMA);
