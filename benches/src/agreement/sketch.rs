//! What is known of a tensor's values: all elements, or some with the sums that tell of the rest.

use super::array::{self, NamedArray};
use crate::Result;
use serde::{Deserialize, Serialize};

/// How many elements of a tensor are stored.
const KEPT_ELEMENTS: usize = 8;
/// Digits of stored numbers; float32 has seven and a bit.
const DIGITS: usize = 9;

/// What is known of a tensor's values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sketch {
    /// Its name among a case's arrays, such as `grad:weight`.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// The square root of the sum of squares.
    pub norm: f64,
    /// The largest magnitude.
    pub max: f64,
    /// All elements, or [`KEPT_ELEMENTS`] at even distances.
    pub at: Vec<f64>,
}

impl Sketch {
    /// All of an array.
    pub fn new((name, array): &NamedArray) -> Result<Sketch> {
        Ok(Sketch::of(name.clone(), array.desc.shape.dims().to_vec(), array::values(array)?))
    }

    fn of(name: String, shape: Vec<usize>, at: Vec<f64>) -> Sketch {
        let norm = at.iter().map(|v| v * v).sum::<f64>().sqrt();
        // f64::max would pass over a NaN.
        let max = at.iter().fold(0.0, |m: f64, v| if v.is_nan() || v.abs() > m { v.abs() } else { m });
        Sketch { name, shape, norm, max, at }
    }

    /// What the array is: `score`, `train`, `grad` or `aux`.
    pub fn kind(&self) -> &str {
        self.name.split_once(':').map_or("", |(kind, _)| kind)
    }

    /// Whether all elements are there.
    pub fn is_whole(&self) -> bool {
        self.at.len() == self.shape.iter().product::<usize>()
    }

    /// The elements that would be stored.
    pub fn kept(&self) -> Vec<f64> {
        let n = self.at.len();
        if n <= KEPT_ELEMENTS {
            return self.at.clone();
        }
        (0..KEPT_ELEMENTS).map(|i| self.at[i * (n - 1) / (KEPT_ELEMENTS - 1)]).collect()
    }

    /// The form that is stored.
    pub fn thinned(&self) -> Sketch {
        let at = self.kept().into_iter().map(rounded).collect();
        Sketch { at, norm: rounded(self.norm), max: rounded(self.max), ..self.clone() }
    }
}

fn rounded(x: f64) -> f64 {
    format!("{x:.*e}", DIGITS - 1).parse().unwrap_or(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_kept() {
        let sketch = Sketch::of("grad:x".to_string(), vec![100], (0..100).map(f64::from).collect());
        assert_eq!((sketch.kind(), sketch.max, sketch.is_whole()), ("grad", 99.0, true));
        let thin = sketch.thinned();
        assert_eq!(thin.at, [0.0, 14.0, 28.0, 42.0, 56.0, 70.0, 84.0, 99.0]);
        assert!(!thin.is_whole() && (thin.norm - sketch.norm).abs() < 1e-5);
    }

    #[test]
    fn stored_numbers_keep_the_digits_of_float32() {
        assert_eq!(rounded(f64::from(0.1_f32)), 0.100000001);
        assert!(rounded(f64::NAN).is_nan());
    }
}
