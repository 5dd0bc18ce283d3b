//! Functions of one tensor without parameters.

use super::compose;
use super::elementwise::{Elementwise, GradientFn};

/// No gradient passes: the function is constant between its steps, or a wall by intent.
const BLOCKED: GradientFn = |_| Ok(vec![None]);

const PASSED_ON: GradientFn = |g| Ok(vec![Some(g.out_grad(0)?)]);

/// The operators whose gradients are not of the table below.
pub(super) const ALL: [Elementwise; 16] = [
    Elementwise::identity("_copy", &["identity"], "output = data.", PASSED_ON),
    Elementwise::unary("_CrossDeviceCopy", &[], "output = data, on the device of whom it is for.", |g| {
        let inputs = [g.out_grad(0)?];
        Ok(vec![Some(compose(g, "data", "_CrossDeviceCopy", &inputs)?)])
    }),
    Elementwise::identity(
        "BlockGrad",
        &["stop_gradient"],
        "output = data; no gradient passes back through it.",
        BLOCKED,
    ),
    Elementwise::unary("negative", &[], "output = -data.", |g| {
        let inputs = [g.out_grad(0)?];
        Ok(vec![Some(compose(g, "data", "negative", &inputs)?)])
    }),
    Elementwise::unary("exp", &[], "output = e^data.", |g| {
        let inputs = [g.out_grad(0)?, g.outputs[0]];
        Ok(vec![Some(compose(g, "data", "elemwise_mul", &inputs)?)])
    }),
    Elementwise::unary("log", &[], "output = ln data.", |g| {
        let inputs = [g.out_grad(0)?, g.inputs[0]];
        Ok(vec![Some(compose(g, "data", "elemwise_div", &inputs)?)])
    }),
    Elementwise::unary("degrees", &[], "output = data · 180/π: radians in degrees.", |g| {
        let inputs = [g.out_grad(0)?];
        Ok(vec![Some(compose(g, "data", "degrees", &inputs)?)])
    }),
    Elementwise::unary("radians", &[], "output = data · π/180: degrees in radians.", |g| {
        let inputs = [g.out_grad(0)?];
        Ok(vec![Some(compose(g, "data", "radians", &inputs)?)])
    }),
    Elementwise::unary("sign", &[], "output = -1, 0 or 1 as data is below, at or above zero; 0 for NaN.", BLOCKED),
    Elementwise::unary("round", &[], "output = the nearest integer, halves away from zero.", BLOCKED),
    Elementwise::unary("rint", &[], "output = the nearest integer, halves to the lower one.", BLOCKED),
    Elementwise::unary("ceil", &[], "output = the least integer that is not below data.", BLOCKED),
    Elementwise::unary("floor", &[], "output = the greatest integer that is not above data.", BLOCKED),
    Elementwise::unary("trunc", &[], "output = data without its fraction.", BLOCKED),
    Elementwise::unary("fix", &[], "output = the nearest integer towards zero.", BLOCKED),
    Elementwise::unary("logical_not", &[], "output = 1 where data is 0, else 0.", BLOCKED),
];

/// Functions and their backward operators: name, formula, the tensor that the derivative is taken from, derivative.
macro_rules! functions {
    ($($name:literal, $doc:literal, $from:ident, $derivative:literal;)*) => {
        /// The functions of the table, each followed by its backward operator.
        pub(super) const FUNCTIONS: [[Elementwise; 2]; [$($name),*].len()] = [$([
            Elementwise::unary($name, &[], concat!("output = ", $doc, "."), |g| {
                let inputs = [g.out_grad(0)?, functions!(@$from g)];
                g.backward(concat!("_backward_", $name), &inputs, 1)
            }),
            Elementwise::backward(
                concat!("_backward_", $name),
                concat!("d_data = out_grad · ", $derivative, "."),
                &["out_grad", stringify!($from)],
            ),
        ]),*];
    };
    (@data $g:ident) => { $g.inputs[0] };
    (@output $g:ident) => { $g.outputs[0] };
}

functions! {
    "relu", "max(data, 0)", output, "1 where output > 0, else 0";
    "sigmoid", "1 / (1 + e^-data)", output, "output · (1 - output)";
    "tanh", "tanh data", output, "(1 - output²)";
    "softsign", "data / (1 + |data|)", output, "(1 - |output|)²";
    "abs", "|data|", data, "sign(data), where sign(0) = 0";
    "square", "data²", data, "2 data";
    "sqrt", "√data", output, "1 / (2 output)";
    "rsqrt", "1 / √data", output, "(-output³ / 2)";
    "cbrt", "∛data", output, "1 / (3 output²)";
    "rcbrt", "1 / ∛data", output, "(-output⁴ / 3)";
    "reciprocal", "1 / data", output, "(-output²)";
    "expm1", "e^data - 1", output, "(output + 1)";
    "log1p", "ln(1 + data)", data, "1 / (1 + data)";
    "log2", "log₂ data", data, "1 / (data · ln 2)";
    "log10", "log₁₀ data", data, "1 / (data · ln 10)";
    "sin", "sin data", data, "cos data";
    "cos", "cos data", data, "(-sin data)";
    "tan", "tan data", output, "(1 + output²)";
    "arcsin", "arcsin data", data, "1 / √(1 - data²)";
    "arccos", "arccos data", data, "(-1 / √(1 - data²))";
    "arctan", "arctan data", data, "1 / (1 + data²)";
    "sinh", "sinh data", data, "cosh data";
    "cosh", "cosh data", data, "sinh data";
    "arcsinh", "arsinh data", data, "1 / √(data² + 1)";
    "arccosh", "arcosh data", data, "1 / √(data² - 1)";
    "arctanh", "artanh data", data, "1 / (1 - data²)";
    "erf", "the error function 2/√π · ∫ e^-t² dt from 0 to data", data, "2/√π · e^-data²";
    "erfinv", "the number of which data is the error function", output, "√π/2 · e^output²";
    "gamma", "Γ(data)", data, "Γ(data) · ψ(data), ψ the digamma function";
    "gammaln", "ln |Γ(data)|", data, "ψ(data), ψ the digamma function";
}
