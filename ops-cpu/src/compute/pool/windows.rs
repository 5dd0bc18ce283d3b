//! Windows of any shape, one at a time.

use super::{Pool, PoolKind};
use crate::compute::float::Float;
use std::ops::Range;

/// A window inside one plane: the rows it covers, and what an average divides by.
struct Window {
    spans: [Range<usize>; 3],
    divisor: usize,
}

impl Pool {
    fn window(&self, at: [usize; 3]) -> Window {
        let mut spans = [0..0, 0..0, 0..0];
        let (mut with_pad, mut without) = (1, 1);
        for axis in 0..3 {
            let (pad, end) = (self.pad[axis], self.input[axis]);
            // Positions in the padded input, which begins `pad` before the input.
            let first = at[axis] * self.stride[axis];
            let past = (first + self.kernel[axis]).min(end + 2 * pad);
            let from = first.saturating_sub(pad).min(end);
            let to = past.saturating_sub(pad).min(end).max(from);
            with_pad *= past.saturating_sub(first);
            without *= to - from;
            spans[axis] = from..to;
        }
        let include = self.kind == PoolKind::Average { count_include_pad: true };
        Window { spans, divisor: if include { with_pad } else { without } }
    }

    /// Calls `f` with the index of each output and its window.
    #[inline(always)]
    fn each_window(&self, mut f: impl FnMut(usize, &Window)) {
        let [depth, height, width] = self.output;
        let mut index = 0;
        for d in 0..depth {
            for h in 0..height {
                for w in 0..width {
                    f(index, &self.window([d, h, w]));
                    index += 1;
                }
            }
        }
    }

    /// Calls `f` with each contiguous piece of a window.
    #[inline(always)]
    fn each_row(&self, window: &Window, mut f: impl FnMut(Range<usize>)) {
        let [depths, heights, widths] = &window.spans;
        for d in depths.clone() {
            for h in heights.clone() {
                let row = (d * self.input[1] + h) * self.input[2];
                f(row + widths.start..row + widths.end);
            }
        }
    }

    /// The sum of a window, or the root of that of its powers.
    #[inline(always)]
    fn sum<T: Float>(&self, window: &Window, x: &[T]) -> T {
        let mut sum = T::ZERO;
        self.each_row(window, |row| {
            for &x in &x[row] {
                sum += self.kind.term(x);
            }
        });
        self.kind.root(sum)
    }

    /// The position of the first maximum.
    #[inline(always)]
    fn first_max<T: Float>(&self, window: &Window, x: &[T]) -> Option<usize> {
        let mut best: Option<(usize, T)> = None;
        self.each_row(window, |row| {
            for at in row {
                if best.is_none_or(|(_, max)| x[at] > max) {
                    best = Some((at, x[at]));
                }
            }
        });
        best.map(|(at, _)| at)
    }
}

fn divisor<T: Float>(kind: PoolKind, window: &Window) -> T {
    match kind {
        PoolKind::Average { .. } => T::from_f64(window.divisor.max(1) as f64),
        PoolKind::Max | PoolKind::Sum | PoolKind::Power(_) => T::ONE,
    }
}

/// Whole planes.
pub(super) fn forward<T: Float>(pool: &Pool, x: &[T], y: &mut [T]) {
    let (input, output) = pool.lengths();
    for (x, y) in x.chunks(input).zip(y.chunks_mut(output)) {
        pool.each_window(|index, window| {
            y[index] = if pool.kind == PoolKind::Max {
                pool.first_max(window, x).map_or(T::ZERO, |at| x[at])
            } else {
                pool.sum(window, x) / divisor(pool.kind, window)
            };
        });
    }
}

/// Whole planes; `x` is empty unless the kind needs it.
pub(super) fn backward<T: Float>(pool: &Pool, x: &[T], dy: &[T], dx: &mut [T]) {
    let (input, output) = pool.lengths();
    dx.fill(T::ZERO);
    for (plane, (dx, dy)) in dx.chunks_mut(input).zip(dy.chunks(output)).enumerate() {
        pool.each_window(|index, window| {
            if pool.kind == PoolKind::Max {
                if let Some(at) = pool.first_max(window, &x[plane * input..][..input]) {
                    dx[at] += dy[index];
                }
            } else if let PoolKind::Power(_) = pool.kind {
                let x = &x[plane * input..][..input];
                let y = pool.sum(window, x);
                pool.each_row(window, |row| {
                    for (dx, &x) in dx[row.clone()].iter_mut().zip(&x[row]) {
                        *dx += dy[index] * pool.kind.derivative(x, y);
                    }
                });
            } else {
                let share = dy[index] / divisor(pool.kind, window);
                pool.each_row(window, |row| {
                    for dx in &mut dx[row] {
                        *dx += share;
                    }
                });
            }
        });
    }
}
