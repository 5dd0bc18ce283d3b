//! The register tiles under matrix products and convolutions.
//!
//! [`outer`] adds products of a broadcast number and a vector, [`dot`] adds products of two vectors and sums the lanes
//! at the end. With AVX2's sixteen registers a tile of 6x2 vectors (or 4x3 for `dot`) keeps both multiply-add units
//! busy: twelve independent sums against a latency of four cycles and two units.

#![expect(unsafe_code, reason = "operands are strided windows of larger slices, reached through raw pointers")]

use super::{LANES, Lanes};

/// Rows of numbers to broadcast: element `(row, step)` lies at `start + row * row_stride + step * step_stride`.
#[derive(Clone, Copy)]
pub(crate) struct Rows<T> {
    pub(crate) start: *const T,
    pub(crate) row_stride: usize,
    pub(crate) step_stride: usize,
}

/// `sums[i][j] += Σ_step rows(i, step) * vector(step, j)`.
///
/// # Safety
/// `rows` is valid for reads of `M` rows and `steps` steps, and `vector` may be called for steps `0..steps`.
#[inline(always)]
pub(crate) unsafe fn outer<T: Copy, V: Lanes<T>, const M: usize, const N: usize>(
    mut sums: [[V; N]; M],
    steps: usize,
    rows: Rows<T>,
    vector: impl Fn(usize, usize) -> V,
) -> [[V; N]; M] {
    for step in 0..steps {
        let mut b = [sums[0][0]; N];
        for (j, b) in b.iter_mut().enumerate() {
            *b = vector(step, j);
        }
        for (i, sums) in sums.iter_mut().enumerate() {
            // SAFETY: i < M and step < steps.
            let a = unsafe { V::splat(*rows.start.add(i * rows.row_stride + step * rows.step_stride)) };
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum = a.mul_add(b, *sum);
            }
        }
    }
    sums
}

/// `sums[i][j] += a(i) * b(j)`, lane by lane. The `N` vectors of `b` stay in registers, those of `a` come one at a time.
#[inline(always)]
pub(crate) fn dot_step<T: Copy, V: Lanes<T>, const M: usize, const N: usize>(
    sums: &mut [[V; N]; M],
    a: impl Fn(usize) -> V,
    b: impl Fn(usize) -> V,
) {
    let mut vectors = [sums[0][0]; N];
    for (j, vector) in vectors.iter_mut().enumerate() {
        *vector = b(j);
    }
    for (i, sums) in sums.iter_mut().enumerate() {
        let a = a(i);
        for (sum, b) in sums.iter_mut().zip(vectors) {
            *sum = a.mul_add(b, *sum);
        }
    }
}

/// The inner products of `M` rows of `a` and `N` rows of `b`, each of `len` contiguous numbers.
///
/// # Safety
/// `a` and `b` are valid for reads of `M` and `N` rows of `len` numbers, `a_stride` and `b_stride` apart.
#[inline(always)]
pub(crate) unsafe fn dot<T: Copy, V: Lanes<T>, const M: usize, const N: usize>(
    zero: T,
    len: usize,
    a: *const T,
    a_stride: usize,
    b: *const T,
    b_stride: usize,
) -> [[T; N]; M] {
    let mut sums = [[V::splat(zero); N]; M];
    let whole = len - len % LANES;
    let mut at = 0;
    while at < whole {
        // SAFETY: at + 8 <= len, and the rows exist.
        dot_step(
            &mut sums,
            |i| unsafe { V::load(a.add(i * a_stride + at)) },
            |j| unsafe { V::load(b.add(j * b_stride + at)) },
        );
        at += LANES;
    }
    if whole < len {
        let rest = len - whole;
        // SAFETY: whole + rest == len, and the rows exist.
        dot_step(
            &mut sums,
            |i| unsafe { V::load_first(a.add(i * a_stride + whole), rest) },
            |j| unsafe { V::load_first(b.add(j * b_stride + whole), rest) },
        );
    }
    let mut out = [[zero; N]; M];
    for (out, sums) in out.iter_mut().zip(&sums) {
        for (out, sum) in out.iter_mut().zip(sums) {
            *out = sum.sum();
        }
    }
    out
}

/// How to cut `total` rows into tiles of at most `most` rows whose heights differ by at most one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    short: usize,
    tall_tiles: usize,
    tiles: usize,
}

impl Cut {
    pub(crate) fn new(total: usize, most: usize) -> Cut {
        let tiles = total.div_ceil(most).max(1);
        Cut { short: total / tiles, tall_tiles: total % tiles, tiles }
    }

    pub(crate) fn tiles(self) -> usize {
        self.tiles
    }

    /// First row of tile `index`; for `index == tiles()` the number of rows.
    pub(crate) fn start(self, index: usize) -> usize {
        index * self.short + index.min(self.tall_tiles)
    }

    /// Rows of tile `index`.
    pub(crate) fn height(self, index: usize) -> usize {
        self.short + usize::from(index < self.tall_tiles)
    }
}

/// Calls a function generic over a tile height with the height known only at run time, 1 to 6.
macro_rules! with_height {
    ($height:expr, $call:ident::<$($generic:tt),*; _>($($arg:expr),* $(,)?)) => {
        match $height {
            1 => $call::<$($generic,)* 1>($($arg),*),
            2 => $call::<$($generic,)* 2>($($arg),*),
            3 => $call::<$($generic,)* 3>($($arg),*),
            4 => $call::<$($generic,)* 4>($($arg),*),
            5 => $call::<$($generic,)* 5>($($arg),*),
            _ => $call::<$($generic,)* 6>($($arg),*),
        }
    };
}
pub(crate) use with_height;

#[cfg(test)]
mod tests {
    use super::Cut;

    #[test]
    fn cuts_cover_all_rows_evenly() {
        for total in 0..200 {
            for most in 1..8 {
                let cut = Cut::new(total, most);
                let mut at = 0;
                for i in 0..cut.tiles() {
                    assert_eq!(cut.start(i), at);
                    assert!(cut.height(i) <= most);
                    at += cut.height(i);
                }
                assert_eq!(at, total);
            }
        }
    }
}
