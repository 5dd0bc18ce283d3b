//! Pooling over one axis with ⌈len / stride⌉ windows, of which the last ones end with the data.

use crate::compute::Par;
use crate::compute::PoolKind;
use crate::kernels::dtype::Real;
use crate::kernels::par::chunks;
use std::ops::Range;
use varflow_ops::{Error, Result};

/// Numbers that are worth a part of their own.
const GRAIN: usize = 32 * 1024;

/// Rows of `len` numbers; window `i` begins at `i · stride`.
pub(super) struct Same {
    pub(super) kind: PoolKind,
    pub(super) len: usize,
    pub(super) kernel: usize,
    pub(super) stride: usize,
}

impl Same {
    fn windows(&self) -> usize {
        self.len.div_ceil(self.stride)
    }

    /// Never empty.
    fn window(&self, index: usize) -> Range<usize> {
        let start = index * self.stride;
        start..start.saturating_add(self.kernel).min(self.len)
    }

    fn divisor<T: Real>(&self, window: &Range<usize>) -> T {
        match self.kind {
            PoolKind::Average { .. } => T::from_f64(window.len() as f64),
            PoolKind::Max | PoolKind::Sum | PoolKind::Power(_) => T::ONE,
        }
    }

    /// The sum of a window, or the root of that of its powers.
    fn sum<T: Real>(&self, window: &[T]) -> T {
        self.kind.root(window.iter().fold(T::ZERO, |sum, x| sum + self.kind.term(*x)))
    }

    fn check(&self, data: usize, output: usize) -> Result<()> {
        let (len, windows) = (self.len, self.windows());
        if data / len * windows == output && data.is_multiple_of(len) {
            return Ok(());
        }
        Err(Error::Shape(format!("output has {output} elements, wanted {windows} for each {len} of data's {data}")))
    }

    pub(super) fn forward<T: Real>(&self, par: &dyn Par, data: &[T], output: &mut [T]) -> Result<()> {
        self.check(data.len(), output.len())?;
        chunks(par, output, self.windows(), GRAIN, |start, output| {
            let rows = data[start / self.windows() * self.len..].chunks(self.len);
            for (row, output) in rows.zip(output.chunks_mut(self.windows())) {
                for (index, out) in output.iter_mut().enumerate() {
                    let window = self.window(index);
                    *out = if self.kind == PoolKind::Max {
                        row[first_max(row, window)]
                    } else {
                        let divisor = self.divisor(&window);
                        self.sum(&row[window]) / divisor
                    };
                }
            }
        });
        Ok(())
    }

    pub(super) fn backward<T: Real>(&self, par: &dyn Par, data: &[T], out_grad: &[T], d_data: &mut [T]) -> Result<()> {
        self.check(d_data.len(), out_grad.len())?;
        if self.kind.needs_input() {
            self.check(data.len(), out_grad.len())?;
        }
        chunks(par, d_data, self.len, GRAIN, |start, d_data| {
            d_data.fill(T::ZERO);
            let grads = out_grad[start / self.len * self.windows()..].chunks(self.windows());
            for (row, (d_row, grads)) in d_data.chunks_mut(self.len).zip(grads).enumerate() {
                for (index, grad) in grads.iter().enumerate() {
                    let window = self.window(index);
                    let share = *grad / self.divisor(&window);
                    let x = || &data[start + row * self.len..][..self.len];
                    match self.kind {
                        PoolKind::Max => d_row[first_max(x(), window)] += *grad,
                        PoolKind::Power(_) => {
                            let (x, y) = (&x()[window.clone()], self.sum(&x()[window.clone()]));
                            let each = d_row[window].iter_mut().zip(x);
                            each.for_each(|(d, x)| *d += *grad * self.kind.derivative(*x, y));
                        }
                        PoolKind::Average { .. } | PoolKind::Sum => {
                            d_row[window].iter_mut().for_each(|d| *d += share);
                        }
                    }
                }
            }
        });
        Ok(())
    }
}

/// The position of the first largest number of a window.
fn first_max<T: Real>(row: &[T], window: Range<usize>) -> usize {
    let first = window.start;
    window.fold(first, |best, at| if row[at] > row[best] { at } else { best })
}
