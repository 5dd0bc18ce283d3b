//! The measure of agreement.
//!
//! The *relative error* of a tensor `a` by a tensor `b` is `max |a - b|` over the largest magnitude in `b`. Where that
//! is less than 1e-3 of the largest magnitude among the tensors of its kind in the case (scores, outputs, gradients,
//! auxiliary states), it counts as that much: in float32 a smaller difference is that of rounding once in the largest. A
//! gradient that is zero but for rounding, as that of a bias before a batch normalisation, has no relative error otherwise.
//!
//! Beside it the elements are counted for which `|a - b| > 1e-5 + 1e-4 |b|`.

use super::sketch::Sketch;
use std::collections::HashMap;

/// The part of the largest magnitude of its kind below which a tensor's own magnitude does not count.
const FLOOR: f64 = 1e-3;
const ATOL: f64 = 1e-5;
const RTOL: f64 = 1e-4;

/// The relative error to stay within, in float32.
pub const GOAL: f64 = 1e-4;

/// How far two sets of tensors are apart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Distance {
    /// The largest relative error.
    pub relative: f64,
    /// The tensor that has it.
    pub tensor: String,
    /// How many tensors were compared.
    pub tensors: usize,
    /// How many elements of them.
    pub elements: usize,
    /// How many of these are further apart than the tolerance of an element.
    pub beyond: usize,
    /// Those whose relative error is beyond [`GOAL`], in their order.
    pub apart: Vec<String>,
    /// What cannot be compared, or is not there.
    pub faults: Vec<String>,
}

/// Compares what `ours` has of `theirs`. Of the tensors that are `drawn` at random only the shapes are compared.
///
/// A gradient that only they have must be zero.
pub fn compare(ours: &[Sketch], theirs: &[Sketch], drawn: &[String]) -> Distance {
    let by_name: HashMap<&str, &Sketch> = ours.iter().map(|s| (s.name.as_str(), s)).collect();
    let mut out = Distance::default();
    for b in theirs {
        let Some(a) = by_name.get(b.name.as_str()) else {
            if b.kind() == "grad" && b.max > 0.0 {
                out.faults.push(format!("{} is missing", b.name));
            }
            continue;
        };
        if a.shape != b.shape {
            out.faults.push(format!("{} has shape {:?}, MXNet's {:?}", b.name, a.shape, b.shape));
            continue;
        }
        out.tensors += 1;
        if drawn.contains(&b.name) {
            continue;
        }
        let largest = theirs.iter().filter(|s| s.kind() == b.kind()).fold(0.0, |m: f64, s| m.max(s.max));
        out.add(a, b, b.max.max(FLOOR * largest));
    }
    out
}

impl Distance {
    fn add(&mut self, a: &Sketch, b: &Sketch, scale: f64) {
        let thin;
        let (mut relative, values) = if b.is_whole() {
            (0.0, &a.at)
        } else {
            thin = a.kept();
            let of_norms = ratio(apart(a.norm, b.norm), b.norm.max(scale));
            (larger(of_norms, ratio(apart(a.max, b.max), scale)), &thin)
        };
        for (a, b) in values.iter().zip(&b.at) {
            let by = apart(*a, *b);
            relative = larger(relative, ratio(by, scale));
            self.elements += 1;
            self.beyond += usize::from(by > ATOL + RTOL * b.abs());
        }
        if relative > GOAL {
            self.apart.push(b.name.clone());
        }
        if self.tensor.is_empty() || relative > self.relative {
            (self.relative, self.tensor) = (relative, b.name.clone());
        }
    }
}

/// The distance of two numbers; equal infinities, and two that are none, are not apart.
fn apart(a: f64, b: f64) -> f64 {
    match (a - b).abs() {
        _ if a == b || a.is_nan() && b.is_nan() => 0.0,
        by if by.is_nan() => f64::INFINITY,
        by => by,
    }
}

fn ratio(by: f64, scale: f64) -> f64 {
    if by == 0.0 { 0.0 } else { by / scale.max(f64::MIN_POSITIVE) }
}

fn larger(a: f64, b: f64) -> f64 {
    if b > a { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sketch(name: &str, at: &[f64]) -> Sketch {
        let norm = at.iter().map(|v| v * v).sum::<f64>().sqrt();
        let max = at.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        Sketch { name: name.to_string(), shape: vec![at.len()], norm, max, at: at.to_vec() }
    }

    #[test]
    fn errors_are_relative_to_the_largest_magnitude() {
        let theirs = [sketch("grad:a", &[100.0, 1.0]), sketch("grad:b", &[0.0])];
        let ours = [sketch("grad:a", &[100.0, 1.01]), sketch("grad:b", &[1e-6])];
        let got = compare(&ours, &theirs, &[]);
        assert!((got.relative - 1e-4).abs() < 1e-12, "{got:?}");
        assert_eq!((got.tensor.as_str(), got.tensors, got.elements, got.beyond), ("grad:a", 2, 3, 1));
    }

    #[test]
    fn what_is_no_number_agrees_with_its_like_only() {
        let whole = |v: f64| [sketch("score:0", &[v])];
        assert_eq!(compare(&whole(f64::NAN), &whole(f64::NAN), &[]).relative, 0.0);
        assert_eq!(compare(&whole(f64::INFINITY), &whole(f64::INFINITY), &[]).relative, 0.0);
        assert_eq!(compare(&whole(f64::NAN), &whole(1.0), &[]).relative, f64::INFINITY);
        assert_eq!(compare(&whole(1.0), &whole(f64::NAN), &[]).relative, f64::INFINITY);
    }

    #[test]
    fn of_what_is_thinned_the_sums_are_compared_too() {
        let values: Vec<f64> = (0..100).map(f64::from).collect();
        let theirs = [sketch("score:0", &values).thinned()];
        let mut other = values.clone();
        assert!(compare(&[sketch("score:0", &values)], &theirs, &[]).relative < 1e-8);
        other[50] = -60.0;
        assert_eq!(sketch("score:0", &other).kept(), sketch("score:0", &values).kept());
        assert!(compare(&[sketch("score:0", &other)], &theirs, &[]).relative > 1e-4);
    }

    #[test]
    fn shapes_and_missing_gradients_are_faults() {
        let theirs = [sketch("score:0", &[1.0]), sketch("grad:a", &[1.0]), sketch("grad:b", &[0.0])];
        let got = compare(&[sketch("score:0", &[1.0, 1.0])], &theirs, &[]);
        assert_eq!(got.faults, ["score:0 has shape [2], MXNet's [1]", "grad:a is missing"]);
    }
}
