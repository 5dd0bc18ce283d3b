//! Softmax over the rows of a matrix, and its losses.

#![expect(unsafe_code, reason = "one loop serves operands that alias the result and operands that do not")]

use super::float::Float;
use super::map::Compiled;
use super::mismatch::Mismatch;
use super::par::{Par, Parts, Split, each_part};
use crate::arch::{Job, LANES, Lanes};
use std::ops::Range;

/// `y[r][c] = exp(x[r][c]) / Σ_c exp(x[r][c])` for rows of `columns` numbers, shifted by the row's maximum so that
/// nothing overflows.
pub fn softmax<T: Float>(par: &dyn Par, columns: usize, x: &[T], y: &mut [T]) -> Result<(), Mismatch> {
    Mismatch::check("softmax", "length of y", y.len(), x.len())?;
    by_rows::<T, false>(par, columns, Some(x), y)
}

/// [`softmax`] in place.
pub fn softmax_in_place<T: Float>(par: &dyn Par, columns: usize, x: &mut [T]) -> Result<(), Mismatch> {
    by_rows::<T, false>(par, columns, None, x)
}

/// `y[r][c] = x[r][c] - ln Σ_c exp(x[r][c])` for rows of `columns` numbers.
pub fn log_softmax<T: Float>(par: &dyn Par, columns: usize, x: &[T], y: &mut [T]) -> Result<(), Mismatch> {
    Mismatch::check("log_softmax", "length of y", y.len(), x.len())?;
    by_rows::<T, true>(par, columns, Some(x), y)
}

/// The number of rows of `len` numbers, and how to share them out.
fn rows(function: &'static str, len: usize, columns: usize) -> Result<Split, Mismatch> {
    let rows = len.checked_div(columns).unwrap_or(0);
    Mismatch::check(function, "length of rows", len, rows * columns)?;
    Ok(Split::new(rows, 1, (4096 / columns.max(1)).max(1), 64))
}

fn scaled(range: &Range<usize>, columns: usize) -> Range<usize> {
    range.start * columns..range.end * columns
}

fn by_rows<T: Float, const LOG: bool>(
    par: &dyn Par,
    columns: usize,
    x: Option<&[T]>,
    y: &mut [T],
) -> Result<(), Mismatch> {
    let split = rows("softmax", y.len(), columns)?;
    let parts = Parts::new(y, split, columns);
    each_part(par, split.parts(), &|i| {
        let y = parts.take(i);
        let rows = split.range(i).len();
        let y = y.as_mut_ptr();
        let x = x.map_or(y.cast_const(), |x| x[scaled(&split.range(i), columns)].as_ptr());
        T::dispatch(Rows::<T, LOG> { rows, columns, x, y });
    });
    Ok(())
}

struct Rows<T, const LOG: bool> {
    rows: usize,
    columns: usize,
    x: *const T,
    y: *mut T,
}

impl<T: Float, const LOG: bool> Job<T> for Rows<T, LOG> {
    type Out = ();
    #[inline(always)]
    fn run<V: Lanes<T>>(self) {
        for row in 0..self.rows {
            // SAFETY: both pointers are valid for `rows` rows of `columns` numbers.
            unsafe {
                let (x, y) = (self.x.add(row * self.columns), self.y.add(row * self.columns));
                softmax_row::<T, V, LOG>(x, y, self.columns);
            }
        }
    }
}

/// # Safety
/// `x` and `y` are valid for `len` numbers, `len > 0`.
#[inline(always)]
unsafe fn softmax_row<T: Float, V: Lanes<T>, const LOG: bool>(x: *const T, y: *mut T, len: usize) {
    let whole = len - len % LANES;
    let rest = len - whole;
    // SAFETY: all positions are below `len`, and each number of `x` is read before its place in `y` is written.
    unsafe {
        let mut max = *x;
        if whole > 0 {
            let mut lanes = V::load(x);
            for at in (LANES..whole).step_by(LANES) {
                lanes = V::load(x.add(at)).max(lanes);
            }
            let mut each = [T::ZERO; LANES];
            lanes.store(each.as_mut_ptr());
            for lane in each {
                max = if lane > max { lane } else { max };
            }
        }
        for at in whole..len {
            max = if *x.add(at) > max { *x.add(at) } else { max };
        }

        let shift = V::splat(max);
        let mut sums = V::splat(T::ZERO);
        for at in (0..whole).step_by(LANES) {
            let shifted = V::load(x.add(at)).sub(shift);
            let e = shifted.exp();
            sums = sums.add(e);
            if LOG { shifted } else { e }.store(y.add(at));
        }
        let mut sum = sums.sum();
        if rest > 0 {
            let shifted = V::load_first(x.add(whole), rest).sub(shift);
            let e = shifted.exp();
            let mut each = [T::ZERO; LANES];
            e.store(each.as_mut_ptr());
            for &e in &each[..rest] {
                sum += e;
            }
            if LOG { shifted } else { e }.store_first(y.add(whole), rest);
        }

        let finish = |v: V| if LOG { v.sub(V::splat(sum.ln())) } else { v.mul(V::splat(T::ONE / sum)) };
        for at in (0..whole).step_by(LANES) {
            finish(V::load(y.add(at))).store(y.add(at));
        }
        if rest > 0 {
            finish(V::load_first(y.add(whole), rest)).store_first(y.add(whole), rest);
        }
    }
}

/// `dx[r][c] = y[r][c] · (dy[r][c] - Σ_c dy[r][c] · y[r][c])`, with `y` the output of [`softmax`].
pub fn softmax_backward<T: Float>(
    par: &dyn Par,
    columns: usize,
    y: &[T],
    dy: &[T],
    dx: &mut [T],
) -> Result<(), Mismatch> {
    Mismatch::check("softmax_backward", "length of y", y.len(), dx.len())?;
    Mismatch::check("softmax_backward", "length of dy", dy.len(), dx.len())?;
    let split = rows("softmax_backward", dx.len(), columns)?;
    let parts = Parts::new(dx, split, columns);
    each_part(par, split.parts(), &|i| {
        let (dx, range) = (parts.take(i), scaled(&split.range(i), columns));
        let (y, dy) = (&y[range.clone()], &dy[range]);
        T::dispatch(Compiled(|| {
            for ((dx, y), dy) in dx.chunks_mut(columns).zip(y.chunks(columns)).zip(dy.chunks(columns)) {
                let mut sum = T::ZERO;
                for (&y, &dy) in y.iter().zip(dy) {
                    sum += y * dy;
                }
                for ((dx, &y), &dy) in dx.iter_mut().zip(y).zip(dy) {
                    *dx = y * (dy - sum);
                }
            }
        }));
    });
    Ok(())
}

/// `dx[r][c] = dy[r][c] - exp(y[r][c]) · Σ_c dy[r][c]`, with `y` the output of [`log_softmax`].
pub fn log_softmax_backward<T: Float>(
    par: &dyn Par,
    columns: usize,
    y: &[T],
    dy: &[T],
    dx: &mut [T],
) -> Result<(), Mismatch> {
    Mismatch::check("log_softmax_backward", "length of y", y.len(), dx.len())?;
    Mismatch::check("log_softmax_backward", "length of dy", dy.len(), dx.len())?;
    let split = rows("log_softmax_backward", dx.len(), columns)?;
    let parts = Parts::new(dx, split, columns);
    each_part(par, split.parts(), &|i| {
        let (dx, range) = (parts.take(i), scaled(&split.range(i), columns));
        let (y, dy) = (&y[range.clone()], &dy[range]);
        for ((dx, y), dy) in dx.chunks_mut(columns).zip(y.chunks(columns)).zip(dy.chunks(columns)) {
            let mut sum = T::ZERO;
            for &dy in dy {
                sum += dy;
            }
            for ((dx, &y), &dy) in dx.iter_mut().zip(y).zip(dy) {
                *dx = dy - y.exp() * sum;
            }
        }
    });
    Ok(())
}

/// How the gradient of the cross entropy is formed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CrossEntropy<T> {
    /// Factor of the gradient.
    pub scale: T,
    /// Rows with this label have no loss and a zero gradient.
    pub ignore_label: Option<T>,
}

impl<T: Float> CrossEntropy<T> {
    /// The class of a row, none for an ignored one.
    fn class(&self, label: T) -> Option<usize> {
        if self.ignore_label == Some(label) { None } else { Some(label.to_f64() as usize) }
    }

    /// Every label is a class or ignored.
    fn check(&self, function: &'static str, columns: usize, labels: &[T]) -> Result<(), Mismatch> {
        for &label in labels {
            let whole = label.to_f64();
            if self.ignore_label != Some(label) && !(whole >= 0.0 && whole < columns as f64) {
                return Err(Mismatch { function, argument: "label", got: whole as usize, wanted: columns });
            }
        }
        Ok(())
    }

    /// How many of `labels` are not ignored.
    pub fn counted(&self, labels: &[T]) -> usize {
        labels.iter().filter(|&&label| self.ignore_label != Some(label)).count()
    }
}

/// `loss[r] = -ln max(p[r][label[r]], 1e-8)` for probabilities `p` in rows of `columns`, 0 where the label is ignored.
///
/// Errors: lengths that do not fit, or a label outside `0..columns`.
pub fn softmax_cross_entropy<T: Float>(
    columns: usize,
    p: &[T],
    labels: &[T],
    options: CrossEntropy<T>,
    loss: &mut [T],
) -> Result<(), Mismatch> {
    Mismatch::check("softmax_cross_entropy", "length of p", p.len(), labels.len() * columns)?;
    Mismatch::check("softmax_cross_entropy", "length of loss", loss.len(), labels.len())?;
    options.check("softmax_cross_entropy", columns, labels)?;
    for (row, (loss, &label)) in loss.iter_mut().zip(labels).enumerate() {
        *loss = options.class(label).map_or(T::ZERO, |class| {
            let p = p[row * columns + class];
            let least = T::from_f64(1e-8);
            -(if p > least || p.is_nan() { p } else { least }).ln()
        });
    }
    Ok(())
}

/// `dx[r][c] = (p[r][c] - [c == label[r]]) · scale` for probabilities `p` in rows of `columns`, 0 in ignored rows: the
/// gradient of the summed cross entropy by the input of the softmax.
///
/// Errors: lengths that do not fit, or a label outside `0..columns`.
pub fn softmax_cross_entropy_backward<T: Float>(
    par: &dyn Par,
    columns: usize,
    p: &[T],
    labels: &[T],
    options: CrossEntropy<T>,
    dx: &mut [T],
) -> Result<(), Mismatch> {
    let function = "softmax_cross_entropy_backward";
    Mismatch::check(function, "length of p", p.len(), labels.len() * columns)?;
    Mismatch::check(function, "length of dx", dx.len(), p.len())?;
    options.check(function, columns, labels)?;
    let split = rows(function, dx.len(), columns)?;
    let parts = Parts::new(dx, split, columns);
    each_part(par, split.parts(), &|i| {
        let (dx, range) = (parts.take(i), split.range(i));
        let p = &p[scaled(&range, columns)];
        for ((dx, p), &label) in dx.chunks_mut(columns).zip(p.chunks(columns)).zip(&labels[range]) {
            match options.class(label) {
                None => dx.fill(T::ZERO),
                Some(class) => {
                    for (dx, &p) in dx.iter_mut().zip(p) {
                        *dx = p * options.scale;
                    }
                    dx[class] = (p[class] - T::ONE) * options.scale;
                }
            }
        }
    });
    Ok(())
}
