//! Max pooling of 2x2 windows at stride 2 over planes of even sides: rows of all planes follow each other without a
//! break, two of input to one of output.

#![expect(unsafe_code, reason = "vectors are loaded and stored through pointers")]

use crate::arch::{Job, LANES, Lanes};
use crate::compute::float::Float;

/// `y` from `x`, whose rows are `width` long.
pub(super) fn max_forward<T: Float>(width: usize, x: &[T], y: &mut [T]) {
    T::dispatch(Forward { width, x, y });
}

/// `dx` from `dy`: each gradient goes to the first maximum of its window in `x`, whose rows are `width` long.
pub(super) fn max_backward<T: Float>(width: usize, x: &[T], dy: &[T], dx: &mut [T]) {
    T::dispatch(Backward { width, x, dy, dx });
}

/// The `2 · count` numbers that begin at `from`, even and odd ones apart.
///
/// # Safety
/// `count <= 8` and the numbers may be read.
#[inline(always)]
unsafe fn load_pairs<T: Float, V: Lanes<T>>(from: *const T, count: usize) -> (V, V) {
    // SAFETY: 2 · count numbers in two vectors.
    unsafe {
        if count == LANES {
            V::load(from).unzip(V::load(from.add(LANES)))
        } else if count >= LANES / 2 {
            V::load(from).unzip(V::load_first(from.add(LANES), 2 * count - LANES))
        } else {
            V::load_first(from, 2 * count).unzip(V::splat(T::ZERO))
        }
    }
}

/// Inverse of [`load_pairs`].
///
/// # Safety
/// `count <= 8` and `2 · count` numbers may be written.
#[inline(always)]
unsafe fn store_pairs<T: Float, V: Lanes<T>>(even: V, odd: V, to: *mut T, count: usize) {
    let (first, second) = even.zip(odd);
    // SAFETY: 2 · count numbers in two vectors.
    unsafe {
        if count == LANES {
            first.store(to);
            second.store(to.add(LANES));
        } else if count > LANES / 2 {
            first.store(to);
            second.store_first(to.add(LANES), 2 * count - LANES);
        } else if count == LANES / 2 {
            first.store(to);
        } else {
            first.store_first(to, 2 * count);
        }
    }
}

struct Forward<'a, T> {
    width: usize,
    x: &'a [T],
    y: &'a mut [T],
}

impl<T: Float> Job<T> for Forward<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<V: Lanes<T>>(self) {
        let half = self.width / 2;
        for (x, y) in self.x.chunks_exact(2 * self.width).zip(self.y.chunks_exact_mut(half)) {
            for at in (0..half).step_by(LANES) {
                let count = (half - at).min(LANES);
                // SAFETY: columns 2 at..2 (at + count) of both rows exist.
                unsafe {
                    let top = x.as_ptr().add(2 * at);
                    let (a, b) = load_pairs::<T, V>(top, count);
                    let (c, d) = load_pairs::<T, V>(top.add(self.width), count);
                    let max = d.max(c.max(b.max(a)));
                    let y = y.as_mut_ptr().add(at);
                    if count == LANES { max.store(y) } else { max.store_first(y, count) }
                }
            }
        }
    }
}

struct Backward<'a, T> {
    width: usize,
    x: &'a [T],
    dy: &'a [T],
    dx: &'a mut [T],
}

impl<T: Float> Job<T> for Backward<'_, T> {
    type Out = ();
    #[inline(always)]
    fn run<V: Lanes<T>>(self) {
        let (half, zero) = (self.width / 2, V::splat(T::ZERO));
        let rows = self.x.chunks_exact(2 * self.width).zip(self.dx.chunks_exact_mut(2 * self.width));
        for ((x, dx), dy) in rows.zip(self.dy.chunks_exact(half)) {
            for at in (0..half).step_by(LANES) {
                let count = (half - at).min(LANES);
                // SAFETY: columns 2 at..2 (at + count) of both rows exist.
                unsafe {
                    let top = x.as_ptr().add(2 * at);
                    let (a, b) = load_pairs::<T, V>(top, count);
                    let (c, d) = load_pairs::<T, V>(top.add(self.width), count);
                    let dy = dy.as_ptr().add(at);
                    let dy = if count == LANES { V::load(dy) } else { V::load_first(dy, count) };
                    // From the last number to the first: one that exceeds all before it takes the gradient.
                    let ab = b.max(a);
                    let abc = c.max(ab);
                    let (to_d, left) = (d.select_gt(abc, dy, zero), d.select_gt(abc, zero, dy));
                    let (to_c, left) = (c.select_gt(ab, left, zero), c.select_gt(ab, zero, left));
                    let (to_b, to_a) = (b.select_gt(a, left, zero), b.select_gt(a, zero, left));
                    let top = dx.as_mut_ptr().add(2 * at);
                    store_pairs(to_a, to_b, top, count);
                    store_pairs(to_c, to_d, top.add(self.width), count);
                }
            }
        }
    }
}
