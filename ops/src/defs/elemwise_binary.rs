//! Functions of two tensors of one shape.

use super::compose;
use super::elementwise::{Elementwise, GradientFn};

/// Gradients by the backward operator of the function of two tensors whose shapes broadcast.
macro_rules! as_broadcast {
    ($name:literal) => {
        |g| {
            let inputs = [g.out_grad(0)?, g.inputs[0], g.inputs[1]];
            g.backward(concat!("_backward_broadcast_", $name), &inputs, 2)
        }
    };
}

const CONSTANT: GradientFn = |_| Ok(vec![None; 2]);

/// The operators of this file.
pub(super) const ALL: [Elementwise; 19] = [
    Elementwise::binary("elemwise_add", &["_add", "_plus", "_Plus"], "output = lhs + rhs, of one shape.", |g| {
        Ok(vec![Some(g.out_grad(0)?); 2])
    }),
    Elementwise::binary(
        "_grad_add",
        &[],
        "output = lhs + rhs: the sum of two gradients of one tensor, as gradient passes build it.",
        |g| Ok(vec![Some(g.out_grad(0)?); 2]),
    ),
    Elementwise::binary("elemwise_sub", &["_sub", "_minus", "_Minus"], "output = lhs - rhs, of one shape.", |g| {
        let d_lhs = g.out_grad(0)?;
        Ok(vec![Some(d_lhs), Some(compose(g, "rhs", "negative", &[d_lhs])?)])
    }),
    Elementwise::binary("elemwise_mul", &["_mul", "_Mul"], "output = lhs · rhs, of one shape.", |g| {
        let (out_grad, lhs, rhs) = (g.out_grad(0)?, g.inputs[0], g.inputs[1]);
        let d_lhs = compose(g, "lhs", "elemwise_mul", &[out_grad, rhs])?;
        let d_rhs = compose(g, "rhs", "elemwise_mul", &[out_grad, lhs])?;
        Ok(vec![Some(d_lhs), Some(d_rhs)])
    }),
    Elementwise::binary("elemwise_div", &["_div", "_Div"], "output = lhs / rhs, of one shape.", |g| {
        // d_rhs = -out_grad · lhs / rhs² = -d_lhs · output.
        let (out_grad, rhs, output) = (g.out_grad(0)?, g.inputs[1], g.outputs[0]);
        let d_lhs = compose(g, "lhs", "elemwise_div", &[out_grad, rhs])?;
        let product = compose(g, "product", "elemwise_mul", &[d_lhs, output])?;
        let d_rhs = compose(g, "rhs", "negative", &[product])?;
        Ok(vec![Some(d_lhs), Some(d_rhs)])
    }),
    Elementwise::binary(
        "_mod",
        &["_Mod"],
        "output = the remainder of lhs / rhs with the sign of rhs, 0 where rhs is 0.",
        as_broadcast!("mod"),
    )
    .costly(),
    Elementwise::binary("_power", &["_Power"], "output = lhs^rhs, of one shape.", as_broadcast!("power")).costly(),
    Elementwise::binary("_maximum", &["_Maximum"], "output = max(lhs, rhs), of one shape.", as_broadcast!("maximum")),
    Elementwise::binary("_minimum", &["_Minimum"], "output = min(lhs, rhs), of one shape.", as_broadcast!("minimum")),
    Elementwise::binary("_hypot", &["_Hypot"], "output = √(lhs² + rhs²), of one shape.", as_broadcast!("hypot"))
        .costly(),
    Elementwise::binary("_equal", &["_Equal"], "output = 1 where lhs = rhs, else 0.", CONSTANT),
    Elementwise::binary("_not_equal", &["_Not_Equal"], "output = 1 where lhs ≠ rhs, else 0.", CONSTANT),
    Elementwise::binary("_greater", &["_Greater"], "output = 1 where lhs > rhs, else 0.", CONSTANT),
    Elementwise::binary("_greater_equal", &["_Greater_Equal"], "output = 1 where lhs ≥ rhs, else 0.", CONSTANT),
    Elementwise::binary("_lesser", &["_Lesser"], "output = 1 where lhs < rhs, else 0.", CONSTANT),
    Elementwise::binary("_lesser_equal", &["_Lesser_Equal"], "output = 1 where lhs ≤ rhs, else 0.", CONSTANT),
    Elementwise::binary("_logical_and", &["_Logical_And"], "output = 1 where neither is 0, else 0.", CONSTANT),
    Elementwise::binary("_logical_or", &["_Logical_Or"], "output = 1 where either is not 0, else 0.", CONSTANT),
    Elementwise::binary("_logical_xor", &["_Logical_Xor"], "output = 1 where just one is not 0, else 0.", CONSTANT),
];
