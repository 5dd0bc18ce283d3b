//! The random numbers that belong to one node at one step.
#![expect(unsafe_code, reason = "asks the host")]

use crate::Float;
use varflow_abi::Run;

/// A stream of random numbers: number `i` of it is the same whenever and from whatever thread it is asked for, so results do
/// not depend on how a loop is cut.
#[derive(Clone, Copy)]
pub struct Random<'a> {
    run: &'a Run,
}

impl<'a> Random<'a> {
    /// # Safety
    /// `run` is the host's, and may be used for `'a`.
    pub(crate) unsafe fn new(run: &'a Run) -> Self {
        Random { run }
    }

    /// Numbers `first ..` of the stream, 32 random bits each. Zeros from a host that has none.
    pub fn bits(&self, first: u64, out: &mut [u32]) {
        match self.run.random {
            // SAFETY: the host writes as many numbers as `out` has, and may be asked from any thread.
            Some(random) => unsafe { random(self.run.host, first, out.as_mut_ptr(), out.len()) },
            None => out.fill(0),
        }
    }

    /// Numbers uniform in [0, 1): element `k` from two numbers of the stream, `2 * (first + k)` and the next.
    pub fn uniform<T: Float>(&self, first: u64, out: &mut [T]) {
        let mut bits = [0; 128];
        for (piece, out) in out.chunks_mut(bits.len() / 2).enumerate() {
            let from = first + (piece * bits.len() / 2) as u64;
            self.bits(2 * from, &mut bits[..2 * out.len()]);
            for (value, pair) in out.iter_mut().zip(bits.chunks_exact(2)) {
                *value = below_one(u64::from(pair[0]) << 32 | u64::from(pair[1]));
            }
        }
    }
}

/// The upper bits, as many as the type's fraction has, as a fraction: rounding could give 1.
fn below_one<T: Float>(word: u64) -> T {
    let digits = match size_of::<T>() {
        8 => 53,
        4 => 24,
        _ if T::DTYPE == crate::DType::BF16 => 8,
        _ => 11,
    };
    T::from_f64((word >> (64 - digits)) as f64 / (1_u64 << digits) as f64)
}
