//! The normal distribution.

/// `Φ(x)`, the probability of a number below `x`: within a few units in the last place of 1.
#[must_use]
pub fn normal_cdf(x: f64) -> f64 {
    let tail = upper_tail(x.abs());
    if x < 0.0 { tail } else { 1.0 - tail }
}

/// `1 - Φ(x)` for `x ≥ 0` and NaN.
fn upper_tail(x: f64) -> f64 {
    let density = (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
    if x < 3.0 {
        // Abramowitz and Stegun 26.2.11: φ(x) (x + x³/3 + x⁵/15 + …), whose terms are all positive.
        let (mut term, mut sum, mut n) = (x, x, 1.0);
        while term > 1e-17 * sum {
            n += 2.0;
            term *= x * x / n;
            sum += term;
        }
        0.5 - density * sum
    } else {
        // Abramowitz and Stegun 26.2.14: φ(x) / (x + 1 / (x + 2 / (x + …))), from its end.
        let fraction = (1..=60).rev().fold(x, |below, n| x + f64::from(n) / below);
        density / fraction
    }
}

#[cfg(test)]
mod tests {
    use super::normal_cdf;

    #[test]
    fn known_values() {
        let known = [
            (0.0, 0.5),
            (1.0, 0.841_344_746_068_542_9),
            (-1.0, 0.158_655_253_931_457_05),
            (2.5, 0.993_790_334_674_223_8),
            (-2.999, 0.001_354_336_533_727_106_6),
            (-5.0, 2.866_515_718_791_946e-7),
        ];
        for (x, wanted) in known {
            let got = normal_cdf(x);
            assert!((got - wanted).abs() < 1e-14, "Φ({x}) is {got}, wanted {wanted}");
        }
        assert!(normal_cdf(f64::NAN).is_nan());
        assert_eq!(normal_cdf(f64::INFINITY), 1.0);
    }

    #[test]
    fn the_two_formulas_meet() {
        let (below, above) = (normal_cdf(-3.0 + 1e-12), normal_cdf(-3.0));
        assert!((below - above).abs() < 1e-14, "{below} {above}");
    }
}
