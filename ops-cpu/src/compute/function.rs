//! Functions of one number that have no vector code: computed in double precision, whatever the element type.

use super::float::Float;
use super::map::{map, map_in_place, zip, zip_in_place};
use super::mismatch::Mismatch;
use super::number::Number;
use super::par::Par;
use super::special::{digamma, erf, erfinv, gamma, ln_gamma};
use std::f64::consts::{FRAC_2_SQRT_PI, LN_2, LN_10};

/// A function of one number, with its derivative.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    /// The operator's name.
    pub name: &'static str,
    value: fn(f64) -> f64,
    slope: Option<fn(f64) -> f64>,
}

const fn function(name: &'static str, value: fn(f64) -> f64, slope: Option<fn(f64) -> f64>) -> Function {
    Function { name, value, slope }
}

fn sign(x: f64) -> f64 {
    f64::from(i8::from(x > 0.0) - i8::from(x < 0.0))
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Every function that is an operator, those with vector code included. Derivatives are functions of the input `x` or of the
/// output `y`, as the backward operators want; those that are made of other operators have none here.
const FUNCTIONS: [Function; 43] = [
    function("negative", |x| -x, None),
    function("exp", f64::exp, None),
    function("log", f64::ln, None),
    function("degrees", f64::to_degrees, None),
    function("radians", f64::to_radians, None),
    function("sign", sign, None),
    function("round", f64::round, None),
    function("rint", |x| if x - x.floor() <= 0.5 { x.floor() } else { x.ceil() }, None),
    function("ceil", f64::ceil, None),
    function("floor", f64::floor, None),
    function("trunc", f64::trunc, None),
    function("fix", f64::trunc, None),
    function("logical_not", |x| f64::from(u8::from(x == 0.0)), None),
    function("relu", |x| if x < 0.0 { 0.0 } else { x }, Some(|y| f64::from(u8::from(y > 0.0)))),
    function("sigmoid", sigmoid, Some(|y| y * (1.0 - y))),
    function("tanh", f64::tanh, Some(|y| 1.0 - y * y)),
    function("softsign", |x| x / (1.0 + x.abs()), Some(|y| (1.0 - y.abs()).powi(2))),
    function("abs", f64::abs, Some(sign)),
    function("square", |x| x * x, Some(|x| 2.0 * x)),
    function("sqrt", f64::sqrt, Some(|y| 0.5 / y)),
    function("rsqrt", |x| 1.0 / x.sqrt(), Some(|y| -0.5 * y * y * y)),
    function("cbrt", f64::cbrt, Some(|y| 1.0 / (3.0 * y * y))),
    function("rcbrt", |x| 1.0 / x.cbrt(), Some(|y| -(y * y * y * y) / 3.0)),
    function("reciprocal", f64::recip, Some(|y| -y * y)),
    function("expm1", f64::exp_m1, Some(|y| y + 1.0)),
    function("log1p", f64::ln_1p, Some(|x| 1.0 / (1.0 + x))),
    function("log2", f64::log2, Some(|x| 1.0 / (x * LN_2))),
    function("log10", f64::log10, Some(|x| 1.0 / (x * LN_10))),
    function("sin", f64::sin, Some(f64::cos)),
    function("cos", f64::cos, Some(|x| -x.sin())),
    function("tan", f64::tan, Some(|y| 1.0 + y * y)),
    function("arcsin", f64::asin, Some(|x| 1.0 / (1.0 - x * x).sqrt())),
    function("arccos", f64::acos, Some(|x| -1.0 / (1.0 - x * x).sqrt())),
    function("arctan", f64::atan, Some(|x| 1.0 / (1.0 + x * x))),
    function("sinh", f64::sinh, Some(f64::cosh)),
    function("cosh", f64::cosh, Some(f64::sinh)),
    function("arcsinh", f64::asinh, Some(|x| 1.0 / x.hypot(1.0))),
    function("arccosh", f64::acosh, Some(|x| 1.0 / (x * x - 1.0).sqrt())),
    function("arctanh", f64::atanh, Some(|x| 1.0 / (1.0 - x * x))),
    function("erf", erf, Some(|x| FRAC_2_SQRT_PI * (-x * x).exp())),
    function("erfinv", erfinv, Some(|y| (y * y).exp() / FRAC_2_SQRT_PI)),
    function("gamma", gamma, Some(|x| gamma(x) * digamma(x))),
    function("gammaln", ln_gamma, Some(digamma)),
];

impl Function {
    /// The function of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Function> {
        FUNCTIONS.into_iter().find(|f| f.name == name)
    }

    /// Every function.
    pub fn all() -> impl Iterator<Item = Function> {
        FUNCTIONS.into_iter()
    }

    /// `y[i] = f(x[i])`.
    ///
    /// Errors: slices of different length.
    pub fn forward<T: Number>(self, par: &dyn Par, x: &[T], y: &mut [T]) -> Result<(), Mismatch> {
        map(par, x, y, |x| T::from_f64((self.value)(x.to_f64())))
    }

    /// `x[i] = f(x[i])`.
    pub fn forward_in_place<T: Number>(self, par: &dyn Par, x: &mut [T]) {
        map_in_place(par, x, |x| T::from_f64((self.value)(x.to_f64())));
    }

    /// Whether [`backward`](Self::backward) has a derivative to work with.
    #[must_use]
    pub fn has_derivative(self) -> bool {
        self.slope.is_some()
    }

    /// `dx[i] = dy[i] · f'`, with the derivative taken from `saved`: the input, or the output, as the backward operator
    /// has it; zero for a function without derivative.
    ///
    /// Errors: slices of different length.
    pub fn backward<T: Float>(self, par: &dyn Par, saved: &[T], dy: &[T], dx: &mut [T]) -> Result<(), Mismatch> {
        let slope = self.slope.unwrap_or(|_| 0.0);
        zip(par, dy, saved, dx, |dy, saved| T::from_f64(dy.to_f64() * slope(saved.to_f64())))
    }

    /// [`backward`](Self::backward) whose result replaces the gradient it reads.
    ///
    /// Errors: slices of different length.
    pub fn backward_in_place<T: Float>(self, par: &dyn Par, saved: &[T], gradient: &mut [T]) -> Result<(), Mismatch> {
        let slope = self.slope.unwrap_or(|_| 0.0);
        zip_in_place(par, gradient, saved, |dy, saved| T::from_f64(dy.to_f64() * slope(saved.to_f64())))
    }
}
