//! Functions of one tensor without parameters.

use super::compose;
use super::elementwise::Elementwise;

/// The operators of this file.
pub(super) const ALL: [Elementwise; 12] = [
    Elementwise::unary("_copy", &["identity"], "output = data.", |g| Ok(vec![Some(g.out_grad(0)?)])),
    Elementwise::unary("_CrossDeviceCopy", &[], "output = data, on the device of whom it is for.", |g| {
        let inputs = [g.out_grad(0)?];
        Ok(vec![Some(compose(g, "data", "_CrossDeviceCopy", &inputs)?)])
    }),
    Elementwise::unary("BlockGrad", &["stop_gradient"], "output = data; no gradient passes back through it.", |_| {
        Ok(vec![None])
    }),
    Elementwise::unary("negative", &[], "output = -data.", |g| {
        let inputs = [g.out_grad(0)?];
        Ok(vec![Some(compose(g, "data", "negative", &inputs)?)])
    }),
    Elementwise::unary("square", &[], "output = data².", |g| {
        let inputs = [g.out_grad(0)?, g.inputs[0]];
        g.backward("_backward_square", &inputs, 1)
    }),
    Elementwise::backward("_backward_square", "d_data = out_grad · 2 data.", &["out_grad", "data"]),
    Elementwise::unary("sqrt", &[], "output = √data.", |g| {
        let inputs = [g.out_grad(0)?, g.outputs[0]];
        g.backward("_backward_sqrt", &inputs, 1)
    }),
    Elementwise::backward("_backward_sqrt", "d_data = out_grad / (2 output).", &["out_grad", "output"]),
    Elementwise::unary("exp", &[], "output = e^data.", |g| {
        let inputs = [g.out_grad(0)?, g.outputs[0]];
        Ok(vec![Some(compose(g, "data", "elemwise_mul", &inputs)?)])
    }),
    Elementwise::unary("log", &[], "output = ln data.", |g| {
        let inputs = [g.out_grad(0)?, g.inputs[0]];
        Ok(vec![Some(compose(g, "data", "elemwise_div", &inputs)?)])
    }),
    Elementwise::unary("abs", &[], "output = |data|.", |g| {
        let inputs = [g.out_grad(0)?, g.inputs[0]];
        g.backward("_backward_abs", &inputs, 1)
    }),
    Elementwise::backward("_backward_abs", "d_data = out_grad · sign(data), where sign(0) = 0.", &["out_grad", "data"]),
];
