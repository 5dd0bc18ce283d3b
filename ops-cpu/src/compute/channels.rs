//! Sums over channels, and functions with coefficients of their own for every channel.

use super::float::Float;
use super::map::Compiled;
use super::mismatch::Mismatch;
use super::par::{Par, Parts, Split, each_part};
use smallvec::SmallVec;

/// Numbers that are added one after the other in their own precision before their sum joins others in double precision.
const BLOCK: usize = 1024;

/// Numbers that are worth a part of their own.
const GRAIN: usize = 16 * 1024;

/// Sums that a vector of the processor adds side by side.
const SIDE: usize = 16;

/// The most channels whose sums are taken side by side.
const STRIP: usize = 16;

/// The most parts that work is cut into.
const MOST_PARTS: usize = 64;

/// Where channels lie: `outer` rows of `channels` planes of `inner` numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channels {
    /// Rows.
    pub outer: usize,
    /// Planes a row, one a channel.
    pub channels: usize,
    /// Numbers a plane.
    pub inner: usize,
}

impl Channels {
    /// Numbers in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.outer * self.channels * self.inner
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Numbers a channel.
    #[must_use]
    pub fn count(&self) -> usize {
        self.outer * self.inner
    }

    /// `[Σ a, Σ b]` over every channel `c` where `(a, b) = terms(c)(x[i], y[i])`.
    ///
    /// Errors: slices of other lengths.
    pub fn sums<T: Float, F: Fn(T, T) -> (T, T)>(
        &self,
        par: &dyn Par,
        x: &[T],
        y: &[T],
        sums: &mut [[f64; 2]],
        terms: impl Fn(usize) -> F + Sync,
    ) -> Result<(), Mismatch> {
        Mismatch::check("Channels::sums", "length of x", x.len(), self.len())?;
        Mismatch::check("Channels::sums", "length of y", y.len(), self.len())?;
        Mismatch::check("Channels::sums", "length of sums", sums.len(), self.channels)?;
        let grain = (GRAIN / self.count().max(1)).max(1);
        let split = Split::new(self.channels, 1, grain, MOST_PARTS);
        let parts = Parts::new(sums, split, 1);
        each_part(par, split.parts(), &|i| {
            let strips = split.range(i).step_by(STRIP).zip(parts.take(i).chunks_mut(STRIP));
            T::dispatch(Compiled(|| strips.for_each(|(first, sums)| self.strip_sums(x, y, first, sums, &terms))));
        });
        Ok(())
    }

    /// The sums of the channels from `first`. Rows are outermost: what channels have of one row lies together.
    #[inline(always)]
    fn strip_sums<T: Float, F: Fn(T, T) -> (T, T)>(
        &self,
        x: &[T],
        y: &[T],
        first: usize,
        sums: &mut [[f64; 2]],
        terms: impl Fn(usize) -> F,
    ) {
        let terms: SmallVec<[F; STRIP]> = (first..first + sums.len()).map(terms).collect();
        sums.fill([0.0; 2]);
        for row in 0..self.outer {
            let start = (row * self.channels + first) * self.inner;
            let places = start..start + sums.len() * self.inner;
            let (x, y) = (&x[places.clone()], &y[places]);
            if self.inner == 1 {
                for (((sum, terms), &x), &y) in sums.iter_mut().zip(&terms).zip(x).zip(y) {
                    let (a, b) = terms(x, y);
                    *sum = [sum[0] + a.to_f64(), sum[1] + b.to_f64()];
                }
                continue;
            }
            let planes = x.chunks_exact(self.inner.max(1)).zip(y.chunks_exact(self.inner.max(1)));
            for ((sum, terms), (x, y)) in sums.iter_mut().zip(&terms).zip(planes) {
                let [a, b] = slice_sums(x, y, terms);
                *sum = [sum[0] + a, sum[1] + b];
            }
        }
    }

    /// `[mean, variance]` of every channel, the variance by the number of elements; zeroes for channels without elements.
    ///
    /// Data is read once. It is centred on the mean of the first block of a channel: where that is far from the mean of all,
    /// the variance is large too, so that no more than the digits of the number of rows are lost.
    ///
    /// Errors: slices of other lengths.
    pub fn moments<T: Float>(&self, par: &dyn Par, x: &[T], moments: &mut [[f64; 2]]) -> Result<(), Mismatch> {
        Mismatch::check("Channels::moments", "length of x", x.len(), self.len())?;
        if self.is_empty() {
            moments.fill([0.0; 2]);
            return Ok(());
        }
        let centre = |channel: usize| {
            let start = channel * self.inner;
            let block = &x[start..start + self.inner.min(BLOCK)];
            T::from_f64(super::reduce::sum(block).to_f64() / block.len() as f64)
        };
        self.sums(par, x, x, moments, |channel| {
            let centre = centre(channel);
            move |x: T, _| {
                let d = x - centre;
                (d, d * d)
            }
        })?;
        let count = self.count() as f64;
        for (channel, [a, b]) in moments.iter_mut().enumerate() {
            let (mean, square) = (*a / count, *b / count);
            (*a, *b) = (centre(channel).to_f64() + mean, (square - mean * mean).max(0.0));
            if square.is_nan() {
                *b = square;
            }
        }
        Ok(())
    }

    /// `out[i] = of(c)(x[i], y[i])` for the channel `c` of every place; `out` holds what is not given of `x` and `y`.
    ///
    /// Errors: slices of other lengths.
    pub fn zip<T: Float, F: Fn(T, T) -> T>(
        &self,
        par: &dyn Par,
        (x, y): (Option<&[T]>, Option<&[T]>),
        out: &mut [T],
        of: impl Fn(usize) -> F + Sync,
    ) -> Result<(), Mismatch> {
        Mismatch::check("Channels::zip", "length of out", out.len(), self.len())?;
        for given in [x, y].into_iter().flatten() {
            Mismatch::check("Channels::zip", "length of x or y", given.len(), out.len())?;
        }
        if self.is_empty() {
            return Ok(());
        }
        // A run is a plane of one channel or, where a channel is a column, a row of all.
        let run = if self.inner == 1 { self.channels } else { self.inner };
        let split = Split::new(out.len() / run, 1, (GRAIN / run).max(1), MOST_PARTS);
        let parts = Parts::new(out, split, run);
        each_part(par, split.parts(), &|i| {
            let out = parts.take(i);
            T::dispatch(Compiled(|| {
                for (at, out) in split.range(i).zip(out.chunks_mut(run)) {
                    let place = at * run..(at + 1) * run;
                    let (x, y) = (x.map(|x| &x[place.clone()]), y.map(|y| &y[place.clone()]));
                    if self.inner == 1 {
                        combine(x, y, out, |channel, x, y| of(channel)(x, y));
                    } else {
                        let f = of(at % self.channels);
                        combine(x, y, out, |_, x, y| f(x, y));
                    }
                }
            }));
        });
        Ok(())
    }
}

/// `Σ x[i] · y[i]`, in a fixed order.
pub fn inner_product<T: Float>(x: &[T], y: &[T]) -> f64 {
    T::dispatch(Compiled(|| slice_sums(x, y, |x, y| (x * y, T::ZERO))[0]))
}

/// `[Σ a, Σ b]` where `(a, b) = terms(x[i], y[i])`, in a fixed order.
#[inline(always)]
pub(super) fn slice_sums<T: Float>(x: &[T], y: &[T], terms: impl Fn(T, T) -> (T, T)) -> [f64; 2] {
    let mut total = [0.0; 2];
    for (x, y) in x.chunks(BLOCK).zip(y.chunks(BLOCK)) {
        let [a, b] = block_sums(x, y, &terms);
        total = [total[0] + a, total[1] + b];
    }
    total
}

/// `[Σ a, Σ b]` of a block, in a fixed order.
#[inline(always)]
fn block_sums<T: Float>(x: &[T], y: &[T], terms: impl Fn(T, T) -> (T, T)) -> [f64; 2] {
    let (mut sums, mut others) = ([T::ZERO; SIDE], [T::ZERO; SIDE]);
    for (x, y) in x.chunks(SIDE).zip(y.chunks(SIDE)) {
        for (((sum, other), &x), &y) in sums.iter_mut().zip(&mut others).zip(x).zip(y) {
            let (a, b) = terms(x, y);
            *sum += a;
            *other += b;
        }
    }
    let total = |sums: [T; SIDE]| sums.iter().map(|sum| sum.to_f64()).sum();
    [total(sums), total(others)]
}

/// `out[i] = f(i, x[i], y[i])`; `out` holds what is not given.
#[inline(always)]
fn combine<T: Float>(x: Option<&[T]>, y: Option<&[T]>, out: &mut [T], f: impl Fn(usize, T, T) -> T) {
    let out = out.iter_mut().enumerate();
    match (x, y) {
        (Some(x), Some(y)) => out.zip(x).zip(y).for_each(|(((i, out), &x), &y)| *out = f(i, x, y)),
        (Some(x), None) => out.zip(x).for_each(|((i, out), &x)| *out = f(i, x, *out)),
        (None, Some(y)) => out.zip(y).for_each(|((i, out), &y)| *out = f(i, *out, y)),
        (None, None) => out.for_each(|(i, out)| *out = f(i, *out, *out)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compute::Serial;

    #[test]
    fn the_variance_survives_a_large_mean() {
        for inner in [1, 7, 3000] {
            let channels = Channels { outer: 50, channels: 3, inner };
            let of = |i: usize| 1e4 + (i % 17) as f64 / 8.0;
            let x: Vec<f32> = (0..channels.len()).map(|i| of(i) as f32).collect();
            let mut moments = [[0.0; 2]; 3];
            channels.moments(&Serial, &x, &mut moments).unwrap();
            for (channel, moments) in moments.iter().enumerate() {
                let own = |i: &usize| i / inner % 3 == channel;
                let n = channels.count() as f64;
                let mean = (0..x.len()).filter(own).map(of).sum::<f64>() / n;
                let variance = (0..x.len()).filter(own).map(|i| (of(i) - mean).powi(2)).sum::<f64>() / n;
                assert!((moments[0] - mean).abs() < 1e-4, "{inner}: mean {} wanted {mean}", moments[0]);
                assert!((moments[1] / variance - 1.0).abs() < 1e-4, "{inner}: {} wanted {variance}", moments[1]);
            }
        }
    }
}
