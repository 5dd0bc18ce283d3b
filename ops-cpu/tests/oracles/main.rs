//! Every function against a naive one, in double precision, over random shapes.
//!
//! Single-precision results may differ from the oracle by `tolerance` times the sum of the magnitudes of the terms
//! behind each result, which is what rounding can do.
#![allow(missing_docs, clippy::unwrap_used, clippy::type_complexity)]

mod arrays;
mod conv;
mod elementwise;
mod gemm;
mod pool;
mod threads;

use varflow_cpu::compute::Par;

/// Three threads that take iterations in an order of their own.
pub struct Threads;

impl Par for Threads {
    fn for_each(&self, n: usize, body: &(dyn Fn(usize) + Sync)) {
        std::thread::scope(|scope| {
            for first in 0..3 {
                scope.spawn(move || (first..n).step_by(3).rev().for_each(body));
            }
        });
    }

    fn width(&self) -> usize {
        3
    }
}

/// Numbers in -1..1 that depend on `seed` alone.
pub fn numbers(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// Widened.
pub fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

/// A result of an oracle: the sum, and the sum of magnitudes of its terms.
#[derive(Clone, Copy, Default, Debug)]
pub struct Sum {
    value: f64,
    magnitude: f64,
}

impl Sum {
    pub fn add(&mut self, term: f64) {
        self.value += term;
        self.magnitude += term.abs();
    }
}

/// Relative to the magnitude of the terms.
pub const TOLERANCE: f64 = 4e-6;

#[track_caller]
pub fn assert_close(got: &[f32], wanted: &[Sum]) {
    assert_eq!(got.len(), wanted.len());
    for (i, (&got, wanted)) in got.iter().zip(wanted).enumerate() {
        let off = (f64::from(got) - wanted.value).abs();
        assert!(off <= TOLERANCE * wanted.magnitude + 1e-30, "[{i}]: got {got}, wanted {wanted:?}");
    }
}

/// The same oracle for double precision.
#[track_caller]
pub fn assert_close_wide(got: &[f64], wanted: &[Sum]) {
    assert_eq!(got.len(), wanted.len());
    for (i, (&got, wanted)) in got.iter().zip(wanted).enumerate() {
        let off = (got - wanted.value).abs();
        assert!(off <= 1e-13 * wanted.magnitude + 1e-300, "[{i}]: got {got}, wanted {wanted:?}");
    }
}
