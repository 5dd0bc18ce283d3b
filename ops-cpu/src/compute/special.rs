//! Special functions in double precision, to about 14 digits.

use std::f64::consts::{FRAC_2_SQRT_PI, PI};

/// The error function. Abramowitz & Stegun 7.1.6 near zero, where its terms are all positive, else by [`erfc`].
pub(super) fn erf(x: f64) -> f64 {
    if x.abs() >= 2.5 {
        return (1.0 - erfc(x.abs())).copysign(x);
    }
    let (mut term, mut sum, mut n) = (x, x, 0.0);
    while term.abs() > sum.abs() * 1e-17 {
        n += 1.0;
        term *= 2.0 * x * x / (2.0 * n + 1.0);
        sum += term;
    }
    FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

/// `1 - erf(x)`, to full relative precision from 2.5 up. The continued fraction of Abramowitz & Stegun 7.1.14.
fn erfc(x: f64) -> f64 {
    if x < 2.5 {
        return 1.0 - erf(x);
    }
    let fraction = (1..=60).rev().fold(x, |below, n| x + f64::from(n) / 2.0 / below);
    (-x * x).exp() * FRAC_2_SQRT_PI / 2.0 / fraction
}

/// The inverse of [`erf`]: an approximation of Winitzki's, improved by Halley's method.
pub(super) fn erfinv(y: f64) -> f64 {
    if y.abs() >= 1.0 || y == 0.0 || y.is_nan() {
        return match y {
            _ if y.abs() == 1.0 => f64::INFINITY.copysign(y),
            _ if y == 0.0 => y,
            _ => f64::NAN,
        };
    }
    let log = (-y * y).ln_1p();
    let half = 2.0 / (PI * 0.147) + log / 2.0;
    let mut x = ((half * half - log / 0.147).sqrt() - half).sqrt();
    for _ in 0..4 {
        // Far out the difference of the complements keeps the digits that 1 - erf would lose.
        let off = if x < 2.5 { erf(x) - y.abs() } else { (1.0 - y.abs()) - erfc(x) };
        let step = off / (FRAC_2_SQRT_PI * (-x * x).exp());
        x -= step / (1.0 + x * step);
    }
    x.copysign(y)
}

/// Where the asymptotic series below have all their digits.
const FAR: f64 = 12.0;

/// `ln |Γ(x)|`; infinity at 0 and the negative integers. Stirling's series, from below by the recurrence.
pub(super) fn ln_gamma(x: f64) -> f64 {
    if x <= 0.0 {
        if x == x.floor() {
            return f64::INFINITY;
        }
        // Γ(x) Γ(1 - x) = π / sin πx, whose sine is taken of the fraction.
        return (PI / sin_pi(x).abs()).ln() - ln_gamma(1.0 - x);
    }
    let (mut x, mut product) = (x, 1.0);
    while x < FAR {
        product *= x;
        x += 1.0;
    }
    if x.is_infinite() {
        return x;
    }
    (x - 0.5) * x.ln() - x + (2.0 * PI).ln() / 2.0 + stirling(x) - product.ln()
}

/// The rest of Stirling's series: Σ B₂ₙ / (2n (2n-1) x²ⁿ⁻¹).
fn stirling(x: f64) -> f64 {
    const TERMS: [f64; 7] =
        [1.0 / 12.0, -1.0 / 360.0, 1.0 / 1260.0, -1.0 / 1680.0, 1.0 / 1188.0, -691.0 / 360_360.0, 1.0 / 156.0];
    TERMS.iter().rev().fold(0.0, |sum, term| sum / (x * x) + term) / x
}

/// `Γ(x)`; NaN at the negative integers, infinity of the zero's sign at 0.
pub(super) fn gamma(x: f64) -> f64 {
    if x == 0.0 {
        return f64::INFINITY.copysign(x);
    }
    if x == x.floor() && x < 171.5 {
        return if x < 0.0 { f64::NAN } else { (1..x as u32).map(f64::from).product() };
    }
    let sign = if x < 0.0 && sin_pi(x) < 0.0 { -1.0 } else { 1.0 };
    sign * ln_gamma(x).exp()
}

/// The derivative of [`ln_gamma`]: its asymptotic series, from below by the recurrence.
pub(super) fn digamma(x: f64) -> f64 {
    if x <= 0.0 {
        if x == x.floor() {
            return f64::NAN;
        }
        return digamma(1.0 - x) - PI * cos_pi(x) / sin_pi(x);
    }
    let (mut x, mut sum) = (x, 0.0);
    while x < FAR {
        sum -= 1.0 / x;
        x += 1.0;
    }
    const TERMS: [f64; 6] = [1.0 / 12.0, -1.0 / 120.0, 1.0 / 252.0, -1.0 / 240.0, 1.0 / 132.0, -691.0 / 32_760.0];
    let series = TERMS.iter().rev().fold(0.0, |sum, term| sum / (x * x) + term) / (x * x);
    sum + x.ln() - 0.5 / x - series
}

/// `sin πx`, exact at integers.
fn sin_pi(x: f64) -> f64 {
    let turn = x - 2.0 * (x / 2.0).round();
    (PI * turn).sin()
}

/// `cos πx`.
fn cos_pi(x: f64) -> f64 {
    let turn = x - 2.0 * (x / 2.0).round();
    (PI * turn).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: f64, exact: f64) {
        assert!((got - exact).abs() <= 1e-13 * exact.abs().max(1e-3), "{got:e}, exact {exact:e}");
    }

    /// Values of Abramowitz & Stegun's tables and of mpmath.
    #[test]
    fn known_values() {
        close(erf(0.5), 0.520_499_877_813_046_5);
        close(erf(-2.0), -0.995_322_265_018_952_7);
        close(erf(3.0), 0.999_977_909_503_001_4);
        close(erfc(4.0), 1.541_725_790_028_002e-8);
        close(erfinv(0.5), 0.476_936_276_204_469_9);
        close(gamma(0.5), PI.sqrt());
        close(gamma(-0.5), -2.0 * PI.sqrt());
        close(gamma(5.0), 24.0);
        close(ln_gamma(0.5), PI.sqrt().ln());
        close(ln_gamma(100.5), 361.435_540_467_777_1);
        close(digamma(1.0), -0.577_215_664_901_532_9);
        close(digamma(-0.5), 0.036_489_973_978_576_52);
    }

    #[test]
    fn erfinv_is_the_inverse_of_erf() {
        for i in -50..=50 {
            let x = f64::from(i) / 10.0;
            // Near ±1 the argument itself has few digits left.
            let lost = f64::EPSILON / (FRAC_2_SQRT_PI * (-x * x).exp());
            assert!((erfinv(erf(x)) - x).abs() <= 1e-13 + 2.0 * lost, "{x}");
        }
    }

    #[test]
    fn ends_and_nothing() {
        assert!(erf(f64::NAN).is_nan() && erfinv(f64::NAN).is_nan() && gamma(f64::NAN).is_nan());
        assert!(ln_gamma(f64::NAN).is_nan() && digamma(f64::NAN).is_nan() && erfinv(1.5).is_nan());
        assert_eq!((erf(f64::INFINITY), erf(f64::NEG_INFINITY)), (1.0, -1.0));
        assert_eq!((erfinv(1.0), erfinv(-1.0)), (f64::INFINITY, f64::NEG_INFINITY));
        assert_eq!((gamma(f64::INFINITY), gamma(200.0), ln_gamma(-3.0)), (f64::INFINITY, f64::INFINITY, f64::INFINITY));
    }
}
