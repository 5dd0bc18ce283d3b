//! Single-precision functions on lanes, from S. L. Moshier's Cephes library (netlib.org/cephes, files `expf.c`
//! and `logf.c`): Cody-Waite argument reduction and his minimax polynomials, made free of branches.

#![expect(clippy::excessive_precision, reason = "the digits of the source")]

use super::Lanes;

/// What the polynomials need besides arithmetic.
pub(crate) trait FloatBits: Lanes<f32> {
    /// To the nearest integer, ties to even.
    fn round(self) -> Self;
    /// `self * 2^power` for integral `power` in -252..=254, with overflow to infinity and gradual underflow.
    fn scale2(self, power: Self) -> Self;
    /// `2^n` for `self = n + 1.5 · 2^23` with integral `n` in -126..=127: the lowest bits of such a number are `n`.
    fn pow2_of_shifted(self) -> Self;
    /// The unbiased exponent of a positive normal number, as a number.
    fn exponent(self) -> Self;
    /// The mantissa of a positive normal number, in `1..2`.
    fn mantissa(self) -> Self;
    /// The magnitude of `self` with the sign of `sign`.
    fn with_sign_of(self, sign: Self) -> Self;
}

#[inline(always)]
fn polynomial<V: Lanes<f32>, const N: usize>(x: V, coefficients: [f32; N]) -> V {
    let mut sum = V::splat(coefficients[0]);
    for &c in &coefficients[1..] {
        sum = sum.mul_add(x, V::splat(c));
    }
    sum
}

/// `(exp(r) - 1 - r) / r²` for `|r| <= ln 2 / 2`.
const EXP: [f32; 6] = [1.987_569_1e-4, 1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5.000_000_1e-1];

/// `exp(x)`; NaN stays NaN, what overflows is infinite and what underflows goes to zero through the subnormals.
#[inline(always)]
pub(crate) fn exp<V: FloatBits>(x: V) -> V {
    // Beyond these bounds the result is infinity or zero; a NaN passes, for `min` and `max` keep the argument then.
    let x = V::splat(89.0).min(x);
    let x = V::splat(-104.0).max(x);
    let n = x.mul(V::splat(std::f32::consts::LOG2_E)).round();
    let r = n.mul_add(V::splat(-0.693_359_375), x);
    let r = n.mul_add(V::splat(2.121_944_4e-4), r);
    let p = polynomial(r, EXP);
    p.mul_add(r.mul(r), r).add(V::splat(1.0)).scale2(n)
}

/// Natural logarithm; negative numbers give NaN, zero gives minus infinity.
#[inline(always)]
pub(crate) fn ln<V: FloatBits>(x: V) -> V {
    let tiny = V::splat(f32::MIN_POSITIVE);
    let subnormal = tiny.select_gt(x, V::splat(1.0), V::splat(0.0));
    let scaled = tiny.select_gt(x, x.mul(V::splat(8_388_608.0)), x);
    let e = subnormal.mul_add(V::splat(-23.0), scaled.exponent());
    let m = scaled.mantissa();
    // Bring the mantissa to sqrt(1/2)..sqrt(2).
    let root = V::splat(std::f32::consts::SQRT_2);
    let e = m.select_gt(root, e.add(V::splat(1.0)), e);
    let m = m.select_gt(root, m.mul(V::splat(0.5)), m);
    let r = m.sub(V::splat(1.0));
    let square = r.mul(r);
    let p = polynomial(
        r,
        [
            7.037_683_6e-2,
            -1.151_461e-1,
            1.167_699_9e-1,
            -1.242_014_1e-1,
            1.424_932_3e-1,
            -1.666_805_8e-1,
            2.000_071_5e-1,
            -2.499_999_4e-1,
            3.333_333_1e-1,
        ],
    );
    let y = p.mul(r).mul(square);
    let y = e.mul_add(V::splat(-2.121_944_4e-4), y);
    let y = square.mul_add(V::splat(-0.5), y);
    let y = e.mul_add(V::splat(0.693_359_375), r.add(y));
    let zero = V::splat(0.0);
    // x > 0 holds neither for NaN, nor for zero and negative numbers, which differ in the comparison that follows.
    let below = zero.select_gt(x, V::splat(f32::NAN), V::splat(f32::NEG_INFINITY));
    let nan_or_below = zero.select_gt(x, below, x.sub(x).add(below));
    let y = x.select_gt(zero, y, nan_or_below);
    x.select_gt(V::splat(f32::MAX), x, y)
}

/// Hyperbolic tangent as `e / (e + 2)` with `e = exp(2 |x|) - 1`, which keeps its relative precision near zero: with
/// `2 |x| = n ln 2 + r` it is `2^n (exp(r) - 1) + (2^n - 1)`.
#[inline(always)]
pub(crate) fn tanh<V: FloatBits>(x: V) -> V {
    // From 9.1 on the result is 1; a NaN passes, for `min` keeps the argument then.
    let a = V::splat(9.1).min(x.abs());
    let doubled = a.add(a);
    let shift = V::splat(12_582_912.0);
    let shifted = doubled.mul_add(V::splat(std::f32::consts::LOG2_E), shift);
    let n = shifted.sub(shift);
    let r = n.mul_add(V::splat(-0.693_359_375), doubled);
    let r = n.mul_add(V::splat(2.121_944_4e-4), r);
    let p = polynomial(r, EXP);
    let below = p.mul_add(r.mul(r), r);
    let power = shifted.pow2_of_shifted();
    let e = power.mul_add(below, power.sub(V::splat(1.0)));
    e.div(e.add(V::splat(2.0))).with_sign_of(x)
}

/// `1 / (1 + exp(-x))`.
#[inline(always)]
pub(crate) fn sigmoid<V: FloatBits>(x: V) -> V {
    let one = V::splat(1.0);
    one.div(one.add(exp(V::splat(0.0).sub(x))))
}

/// `ln(1 + exp(x))` as `max(x, 0) + log1p(exp(-|x|))`, with log1p corrected for the rounding of `1 + u` (W. Kahan).
#[inline(always)]
pub(crate) fn softrelu<V: FloatBits>(x: V) -> V {
    let one = V::splat(1.0);
    let u = exp(V::splat(0.0).sub(x.abs()));
    let w = one.add(u);
    let d = w.sub(one);
    let log1p = d.select_gt(V::splat(0.0), ln(w).mul(u.div(d)), u);
    // A NaN argument: `max` keeps it.
    V::splat(0.0).max(x).add(log1p)
}
