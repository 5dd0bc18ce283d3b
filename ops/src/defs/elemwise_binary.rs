//! Arithmetic of two tensors of one shape.

use super::compose;
use super::elementwise::Elementwise;

/// The operators of this file.
pub(super) const ALL: [Elementwise; 5] = [
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
];
