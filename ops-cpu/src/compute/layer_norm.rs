//! Rows with mean 0 and variance 1.

use super::channels::slice_sums;
use super::float::Float;
use super::map::Compiled;
use super::mismatch::Mismatch;
use super::par::{Par, Parts, Split, each_part};

/// Numbers that are worth a part of their own.
const GRAIN: usize = 16 * 1024;

/// Normalisation of rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerNorm {
    /// Rows.
    pub rows: usize,
    /// Numbers a row.
    pub len: usize,
    /// Added to the variance.
    pub eps: f64,
}

impl LayerNorm {
    fn split(&self) -> Split {
        Split::new(self.rows, 1, (GRAIN / self.len.max(1)).max(1), 64)
    }

    /// Numbers of one a row, or none.
    fn check_statistics(&self, given: &[usize]) -> Result<(), Mismatch> {
        let wrong = given.iter().filter(|len| **len != 0);
        wrong.into_iter().try_for_each(|len| Mismatch::check("LayerNorm", "length of mean or std", *len, self.rows))
    }

    /// `y = (x - mean) / std · gamma + beta`, `std = √(variance + eps)`; outputs that are empty are left out.
    ///
    /// Errors: slices of other lengths.
    pub fn forward<T: Float>(
        &self,
        par: &dyn Par,
        [x, gamma, beta]: [&[T]; 3],
        [y, mean, std]: [&mut [T]; 3],
    ) -> Result<(), Mismatch> {
        Mismatch::check("LayerNorm", "length of x", x.len(), self.rows * self.len)?;
        Mismatch::check("LayerNorm", "length of gamma", gamma.len(), self.len)?;
        Mismatch::check("LayerNorm", "length of beta", beta.len(), self.len)?;
        self.check_statistics(&[mean.len(), std.len()])?;
        if x.is_empty() {
            mean.fill(T::ZERO);
            std.fill(T::from_f64(self.eps.sqrt()));
            return Ok(());
        }
        if !y.is_empty() {
            Mismatch::check("LayerNorm", "length of y", y.len(), x.len())?;
        }
        let split = self.split();
        let y_row = if y.is_empty() { 0 } else { self.len };
        let [mean_row, std_row] = [&*mean, &*std].map(|of| usize::from(!of.is_empty()));
        let (y, mean, std) =
            (Parts::new(y, split, y_row), Parts::new(mean, split, mean_row), Parts::new(std, split, std_row));
        each_part(par, split.parts(), &|part| {
            let (y, means, stds) = (y.take(part), mean.take(part), std.take(part));
            T::dispatch(Compiled(|| {
                for (at, row) in split.range(part).enumerate() {
                    let x = &x[row * self.len..][..self.len];
                    let (mean, std) = self.statistics(x);
                    if let Some(to) = means.get_mut(at) {
                        *to = T::from_f64(mean);
                    }
                    if let Some(to) = stds.get_mut(at) {
                        *to = T::from_f64(std);
                    }
                    let (mean, inverse) = (T::from_f64(mean), T::from_f64(1.0 / std));
                    let y = &mut y[at * y_row..][..y_row];
                    for (((y, &x), &gamma), &beta) in y.iter_mut().zip(x).zip(gamma).zip(beta) {
                        *y = (x - mean) * inverse * gamma + beta;
                    }
                }
            }));
        });
        Ok(())
    }

    #[inline(always)]
    fn statistics<T: Float>(&self, x: &[T]) -> (f64, f64) {
        let n = self.len as f64;
        let centre = T::from_f64(slice_sums(x, x, |x, _| (x, T::ZERO))[0] / n);
        let [sum, squares] = slice_sums(x, x, |x, _| {
            let d = x - centre;
            (d, d * d)
        });
        let (mean, square) = (sum / n, squares / n);
        // Not `max`, which would hide a NaN.
        let variance = square - mean * mean;
        let variance = if variance < 0.0 { 0.0 } else { variance };
        (centre.to_f64() + mean, (variance + self.eps).sqrt())
    }

    /// Doubles of scratch memory for [`backward`](Self::backward).
    #[must_use]
    pub fn backward_scratch(&self) -> usize {
        self.split().parts() * 2 * self.len
    }

    /// The gradients of `x`, `gamma` and `beta`; those that are empty are left out.
    ///
    /// Errors: slices of other lengths.
    pub fn backward<T: Float>(
        &self,
        par: &dyn Par,
        [dy, x, gamma, mean, std]: [&[T]; 5],
        [dx, d_gamma, d_beta]: [&mut [T]; 3],
        scratch: &mut [f64],
    ) -> Result<(), Mismatch> {
        for slice in [dy, x] {
            Mismatch::check("LayerNorm", "length of dy or x", slice.len(), self.rows * self.len)?;
        }
        Mismatch::check("LayerNorm", "length of gamma", gamma.len(), self.len)?;
        Mismatch::check("LayerNorm", "length of mean", mean.len(), self.rows)?;
        Mismatch::check("LayerNorm", "length of std", std.len(), self.rows)?;
        for slice in [&*d_gamma, &*d_beta].into_iter().filter(|slice| !slice.is_empty()) {
            Mismatch::check("LayerNorm", "length of d_gamma or d_beta", slice.len(), self.len)?;
        }
        Mismatch::check_at_least("LayerNorm", "length of scratch", scratch.len(), self.backward_scratch())?;
        if x.is_empty() {
            d_gamma.fill(T::ZERO);
            d_beta.fill(T::ZERO);
            return Ok(());
        }
        if !dx.is_empty() {
            Mismatch::check("LayerNorm", "length of dx", dx.len(), x.len())?;
        }
        let split = self.split();
        let sums = &mut scratch[..self.backward_scratch()];
        let dx_row = if dx.is_empty() { 0 } else { self.len };
        let dx = Parts::new(dx, split, dx_row);
        {
            let own = Parts::new(sums, Split::new(split.parts(), 1, 1, split.parts()), 2 * self.len);
            each_part(par, split.parts(), &|part| {
                let (dx, own) = (dx.take(part), own.take(part));
                own.fill(0.0);
                let (gammas, betas) = own.split_at_mut(self.len);
                T::dispatch(Compiled(|| {
                    for (at, row) in split.range(part).enumerate() {
                        let place = row * self.len..(row + 1) * self.len;
                        let (dy, x) = (&dy[place.clone()], &x[place]);
                        let (mean, inverse) = (mean[row], T::ONE / std[row]);
                        let vectors = gammas.iter_mut().zip(betas.iter_mut());
                        for ((&dy, &x), (d_gamma, d_beta)) in dy.iter().zip(x).zip(vectors) {
                            *d_gamma += (dy * ((x - mean) * inverse)).to_f64();
                            *d_beta += dy.to_f64();
                        }
                        if dx_row > 0 {
                            self.backward_row([dy, x, gamma], [mean, inverse], &mut dx[at * dx_row..][..dx_row]);
                        }
                    }
                }));
            });
        }
        for (to, start) in [(d_gamma, 0), (d_beta, self.len)] {
            for (at, to) in to.iter_mut().enumerate() {
                *to = T::from_f64(sums.iter().skip(start + at).step_by(2 * self.len).sum());
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn backward_row<T: Float>(&self, [dy, x, gamma]: [&[T]; 3], [mean, inverse]: [T; 2], dx: &mut [T]) {
        for ((dx, &dy), &gamma) in dx.iter_mut().zip(dy).zip(gamma) {
            *dx = dy * gamma;
        }
        let [own, along] = slice_sums(dx, x, |g, x| (g, g * ((x - mean) * inverse)));
        let n = self.len as f64;
        let (own, along) = (T::from_f64(own / n), T::from_f64(along / n));
        for (dx, &x) in dx.iter_mut().zip(x) {
            *dx = inverse * (*dx - own - (x - mean) * inverse * along);
        }
    }
}
