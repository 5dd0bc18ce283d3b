//! Local response normalisation across channels.

use super::channels::Channels;
use super::float::Float;
use super::map::Compiled;
use super::mismatch::Mismatch;
use super::par::{Par, Parts, Split, each_part};
use std::ops::RangeInclusive;

/// `y = x / norm^beta` with `norm = knorm + alpha / size · Σ x²` over a window of `size` channels around each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lrn {
    /// Where the channels lie.
    pub channels: Channels,
    /// Channels in a window, an odd number.
    pub size: usize,
    /// Factor of the mean square.
    pub alpha: f64,
    /// Exponent.
    pub beta: f64,
    /// Added to the scaled mean square.
    pub knorm: f64,
}

impl Lrn {
    /// Writes `norm`, from which [`output`](Self::output) follows.
    ///
    /// Errors: slices of other lengths than the channels say.
    pub fn norm<T: Float>(&self, par: &dyn Par, x: &[T], norm: &mut [T]) -> Result<(), Mismatch> {
        Mismatch::check("Lrn::norm", "length of x", x.len(), self.channels.len())?;
        let (knorm, factor) = (T::from_f64(self.knorm), T::from_f64(self.alpha / self.size as f64));
        self.each_plane(par, norm, |_, window, norm| {
            norm.fill(T::ZERO);
            for other in window {
                for (norm, &x) in norm.iter_mut().zip(self.plane(x, other)) {
                    *norm += x * x;
                }
            }
            norm.iter_mut().for_each(|norm| *norm = knorm + factor * *norm);
        })
    }

    /// `y` from `x` and `norm`.
    ///
    /// Errors: slices of other lengths than the channels say.
    pub fn output<T: Float>(&self, par: &dyn Par, x: &[T], norm: &[T], y: &mut [T]) -> Result<(), Mismatch> {
        self.channels.zip(par, (Some(x), Some(norm)), y, |_| |x: T, norm: T| x * self.power(norm))
    }

    /// `dx` from `dy` and the tensors of the forward pass.
    ///
    /// Errors: slices of other lengths than the channels say.
    pub fn backward<T: Float>(
        &self,
        par: &dyn Par,
        dy: &[T],
        [x, y, norm]: [&[T]; 3],
        dx: &mut [T],
    ) -> Result<(), Mismatch> {
        for slice in [dy, x, y, norm] {
            Mismatch::check("Lrn::backward", "length of dy, x, y or norm", slice.len(), self.channels.len())?;
        }
        let factor = T::from_f64(2.0 * self.alpha * self.beta / self.size as f64);
        self.each_plane(par, dx, |plane, window, dx| {
            dx.fill(T::ZERO);
            for other in window {
                let each = self.plane(dy, other).iter().zip(self.plane(y, other)).zip(self.plane(norm, other));
                for (dx, ((&dy, &y), &norm)) in dx.iter_mut().zip(each) {
                    *dx += dy * y / norm;
                }
            }
            let each = self.plane(dy, plane).iter().zip(self.plane(x, plane)).zip(self.plane(norm, plane));
            for (dx, ((&dy, &x), &norm)) in dx.iter_mut().zip(each) {
                *dx = dy * self.power(norm) - factor * x * *dx;
            }
        })
    }

    /// `norm^-beta`, without a logarithm for the exponent that everybody uses.
    #[inline(always)]
    fn power<T: Float>(&self, norm: T) -> T {
        if self.beta == 0.75 {
            let root = norm.sqrt();
            T::ONE / (root * root.sqrt())
        } else {
            norm.powf(T::from_f64(-self.beta))
        }
    }

    fn plane<'a, T>(&self, x: &'a [T], plane: usize) -> &'a [T] {
        &x[plane * self.channels.inner..][..self.channels.inner]
    }

    /// Calls `body(plane, window, out)` for every plane of `out`, with the planes of its window.
    fn each_plane<T: Float>(
        &self,
        par: &dyn Par,
        out: &mut [T],
        body: impl Fn(usize, RangeInclusive<usize>, &mut [T]) + Sync,
    ) -> Result<(), Mismatch> {
        let Channels { outer, channels, inner } = self.channels;
        Mismatch::check("Lrn", "length of out", out.len(), self.channels.len())?;
        if out.is_empty() {
            return Ok(());
        }
        let (half, last) = (self.size / 2, channels - 1);
        let split = Split::new(outer * channels, 1, (4096 / inner).max(1), 64);
        let parts = Parts::new(out, split, inner);
        each_part(par, split.parts(), &|i| {
            let out = parts.take(i);
            T::dispatch(Compiled(|| {
                for (plane, out) in split.range(i).zip(out.chunks_mut(inner)) {
                    let (first, channel) = (plane - plane % channels, plane % channels);
                    let window = first + channel.saturating_sub(half)..=first + channel.saturating_add(half).min(last);
                    body(plane, window, out);
                }
            }));
        });
        Ok(())
    }
}
