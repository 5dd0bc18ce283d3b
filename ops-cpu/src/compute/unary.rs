//! Functions of one tensor, forward and backward.

use super::float::Float;
use super::map::{CHEAP, COSTLY, Map, Zip, map_lanes, zip_lanes};
use super::mismatch::Mismatch;
use super::par::Par;
use crate::arch::Lanes;

/// A function of one number. In single precision the exponential and the logarithm are within 1.5 units in the last place
/// of the exact value, the hyperbolic tangent within 2.5, sigmoid and softrelu within 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unary {
    /// `max(x, 0)`; NaN stays NaN.
    Relu,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// `ln(1 + exp(x))`.
    SoftRelu,
    /// `x / (1 + |x|)`.
    SoftSign,
    /// `exp(x)`.
    Exp,
    /// Natural logarithm.
    Log,
    /// Square root.
    Sqrt,
    /// `1 / sqrt(x)`.
    Rsqrt,
    /// `1 / x`.
    Reciprocal,
    /// `x²`.
    Square,
    /// `|x|`.
    Abs,
    /// `-x`.
    Negate,
}

impl Unary {
    /// Every function.
    pub const ALL: [Unary; 13] = [
        Unary::Relu,
        Unary::Sigmoid,
        Unary::Tanh,
        Unary::SoftRelu,
        Unary::SoftSign,
        Unary::Exp,
        Unary::Log,
        Unary::Sqrt,
        Unary::Rsqrt,
        Unary::Reciprocal,
        Unary::Square,
        Unary::Abs,
        Unary::Negate,
    ];

    /// Whether [`unary_backward`] wants the input of the forward pass as `saved`; otherwise it wants the output.
    pub fn saves_input(self) -> bool {
        matches!(self, Unary::Log | Unary::Square | Unary::Abs)
    }
}

macro_rules! functions {
    ($($name:ident($grain:expr): |$x:ident| $forward:expr; |$d:ident, $s:ident| $backward:expr;)*) => {
        $(
            struct $name;
            impl<T: Float> Map<T> for $name {
                #[inline(always)]
                fn apply<V: Lanes<T>>(&self, $x: V) -> V { $forward }
            }
            impl<T: Float> Zip<T> for $name {
                #[inline(always)]
                fn apply<V: Lanes<T>>(&self, $d: V, $s: V) -> V { $backward }
            }
        )*
        fn forward<T: Float>(par: &dyn Par, op: Unary, x: Option<&[T]>, out: &mut [T]) {
            match op {
                $(Unary::$name => map_lanes(par, $grain, &$name, x, out),)*
            }
        }
        fn backward<T: Float>(par: &dyn Par, op: Unary, dy: Option<&[T]>, saved: &[T], dx: &mut [T]) {
            match op {
                $(Unary::$name => zip_lanes(par, CHEAP, &$name, dy, saved, dx),)*
            }
        }
    };
}

#[inline(always)]
fn number<T: Float, V: Lanes<T>>(value: f64) -> V {
    V::splat(T::from_f64(value))
}

functions! {
    Relu(CHEAP): |x| number::<T, V>(0.0).max(x);
        |d, y| y.select_gt(number::<T, V>(0.0), d, number::<T, V>(0.0));
    Sigmoid(COSTLY): |x| x.sigmoid();
        |d, y| d.mul(y.mul(number::<T, V>(1.0).sub(y)));
    Tanh(COSTLY): |x| x.tanh();
        |d, y| d.mul(number::<T, V>(1.0).sub(y.mul(y)));
    SoftRelu(COSTLY): |x| x.softrelu();
        |d, y| d.mul(number::<T, V>(1.0).sub(number::<T, V>(0.0).sub(y).exp()));
    SoftSign(CHEAP): |x| x.div(number::<T, V>(1.0).add(x.abs()));
        |d, y| { let r = number::<T, V>(1.0).sub(y.abs()); d.mul(r.mul(r)) };
    Exp(COSTLY): |x| x.exp();
        |d, y| d.mul(y);
    Log(COSTLY): |x| x.ln();
        |d, x| d.div(x);
    Sqrt(CHEAP): |x| x.sqrt();
        |d, y| d.mul(number::<T, V>(0.5)).div(y);
    Rsqrt(CHEAP): |x| number::<T, V>(1.0).div(x.sqrt());
        |d, y| d.mul(number::<T, V>(-0.5)).mul(y.mul(y.mul(y)));
    Reciprocal(CHEAP): |x| number::<T, V>(1.0).div(x);
        |d, y| number::<T, V>(0.0).sub(d.mul(y.mul(y)));
    Square(CHEAP): |x| x.mul(x);
        |d, x| d.mul(x.add(x));
    Abs(CHEAP): |x| x.abs();
        |d, x| {
            let zero = number::<T, V>(0.0);
            x.select_gt(zero, d, zero.select_gt(x, zero.sub(d), zero))
        };
    Negate(CHEAP): |x| number::<T, V>(-1.0).mul(x);
        |d, _y| number::<T, V>(-1.0).mul(d);
}

/// `y[i] = op(x[i])`.
pub fn unary<T: Float>(par: &dyn Par, op: Unary, x: &[T], y: &mut [T]) -> Result<(), Mismatch> {
    Mismatch::check("unary", "length of y", y.len(), x.len())?;
    forward(par, op, Some(x), y);
    Ok(())
}

/// `x[i] = op(x[i])`.
pub fn unary_in_place<T: Float>(par: &dyn Par, op: Unary, x: &mut [T]) {
    forward(par, op, None, x);
}

/// `dx[i] = dy[i] · op'`, with the derivative taken from the forward output `y[i]`, or from the input where
/// [`Unary::saves_input`] says so. At zero relu and abs have derivative zero.
pub fn unary_backward<T: Float>(par: &dyn Par, op: Unary, saved: &[T], dy: &[T], dx: &mut [T]) -> Result<(), Mismatch> {
    Mismatch::check("unary_backward", "length of dy", dy.len(), dx.len())?;
    Mismatch::check("unary_backward", "length of saved", saved.len(), dx.len())?;
    backward(par, op, Some(dy), saved, dx);
    Ok(())
}

/// [`unary_backward`] whose result replaces the gradient it reads.
pub fn unary_backward_in_place<T: Float>(
    par: &dyn Par,
    op: Unary,
    saved: &[T],
    gradient: &mut [T],
) -> Result<(), Mismatch> {
    Mismatch::check("unary_backward_in_place", "length of saved", saved.len(), gradient.len())?;
    backward(par, op, None, saved, gradient);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compute::Serial;

    /// Distance in units of the last place of the exact result, with subnormals counted in their own units.
    fn ulps(got: f32, exact: f64) -> f64 {
        let rounded = exact as f32;
        if got == rounded || got.is_nan() && exact.is_nan() {
            return 0.0;
        }
        if !got.is_finite() || !rounded.is_finite() {
            return f64::INFINITY;
        }
        let unit = (f64::from(f32::from_bits(rounded.abs().to_bits() + 1)) - f64::from(rounded.abs())).max(1e-45);
        (f64::from(got) - exact).abs() / unit
    }

    /// Every 1997th of all bit patterns, and the special ones.
    fn all_floats() -> Vec<f32> {
        let special =
            [0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, f32::MAX, f32::MIN, 88.72284, -103.9, 0.625];
        (0..u32::MAX / 1997).map(|i| f32::from_bits(i * 1997)).chain(special).collect()
    }

    fn check(op: Unary, bound: f64, exact: impl Fn(f64) -> f64) {
        check_on(&all_floats(), op, bound, exact);
    }

    fn check_on(x: &[f32], op: Unary, bound: f64, exact: impl Fn(f64) -> f64) {
        let mut fast = vec![0.0; x.len()];
        unary(&Serial, op, x, &mut fast).unwrap();
        for (&x, &y) in x.iter().zip(&fast) {
            let exact = exact(f64::from(x));
            let off = ulps(y, exact);
            assert!(off <= bound, "{op:?}({x:e}) gave {y:e}, exact {exact:e}, {off} ulps");
        }
    }

    #[test]
    fn exp_is_close_over_all_floats() {
        check(Unary::Exp, 1.5, f64::exp);
    }

    #[test]
    fn log_is_close_over_all_floats() {
        check(Unary::Log, 1.5, f64::ln);
    }

    #[test]
    fn tanh_is_close_over_all_floats() {
        check(Unary::Tanh, 2.5, f64::tanh);
    }

    #[test]
    fn softrelu_is_close_over_all_floats() {
        check(Unary::SoftRelu, 3.0, |x| if x.is_nan() { x } else { x.max(0.0) + (-x.abs()).exp().ln_1p() });
    }

    #[test]
    fn sigmoid_is_close_where_it_is_normal() {
        // Below -88 the exponential overflows and the result is zero, as in single precision anywhere.
        let x: Vec<f32> = all_floats().into_iter().filter(|x| x.is_nan() || *x >= -88.0).collect();
        check_on(&x, Unary::Sigmoid, 3.0, |x| 1.0 / (1.0 + (-x).exp()));
        let mut low = [-100.0, f32::NEG_INFINITY];
        unary_in_place(&Serial, Unary::Sigmoid, &mut low);
        assert_eq!(low, [0.0, 0.0]);
    }
}
