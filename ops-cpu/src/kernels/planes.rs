//! Normalisation of planes, each alone: what `InstanceNorm` and `GroupNorm` share.

use super::dtype::Real;
use super::par::Workers;
use crate::compute::Channels;
use varflow_ops::{KernelCtx, Result};

/// Planes that are neighbours in memory, so many a sample, each with the gamma and beta of its place in the sample.
#[derive(Clone, Copy)]
pub(super) struct Planes {
    planes: Channels,
    each_sample: usize,
    eps: f64,
}

impl Planes {
    pub(super) fn new(samples: usize, each_sample: usize, len: usize, eps: f64) -> Planes {
        Planes { planes: Channels { outer: 1, channels: samples * each_sample, inner: len }, each_sample, eps }
    }

    pub(super) fn count(self) -> usize {
        self.planes.channels
    }

    /// The doubles of one pair a plane.
    pub(super) fn doubles(self) -> usize {
        self.count().saturating_mul(2)
    }

    /// Mean and `1 / √(variance + eps)` of every plane.
    pub(super) fn statistics<T: Real>(
        self,
        ctx: &KernelCtx<'_>,
        data: &[T],
        statistics: &mut [[f64; 2]],
    ) -> Result<()> {
        self.planes.moments(&Workers::of(ctx), data, statistics)?;
        statistics.iter_mut().for_each(|[_, variance]| *variance = 1.0 / (*variance + self.eps).sqrt());
        Ok(())
    }

    /// Output 0 from data, gamma and beta.
    pub(super) fn forward<T: Real>(self, ctx: &KernelCtx<'_>, statistics: &[[f64; 2]]) -> Result<()> {
        let (par, data) = (Workers::of(ctx), ctx.input::<T>(0)?);
        let (gamma, beta) = (ctx.input::<T>(1)?, ctx.input::<T>(2)?);
        self.planes.zip(&par, (Some(data), Some(data)), ctx.output(0)?, |plane| {
            let ([mean, inverse], c) = (statistics[plane].map(T::from_f64), plane % self.each_sample);
            let (scale, shift) = (inverse * gamma[c], beta[c]);
            move |x, _| (x - mean) * scale + shift
        })?;
        Ok(())
    }

    /// The gradients of data, gamma and beta from out_grad, data and gamma.
    pub(super) fn backward<T: Real>(
        self,
        ctx: &KernelCtx<'_>,
        statistics: &[[f64; 2]],
        sums: &mut [[f64; 2]],
    ) -> Result<()> {
        let (par, out_grad, data) = (Workers::of(ctx), ctx.input::<T>(0)?, ctx.input::<T>(1)?);
        let gamma = ctx.input::<T>(2)?;
        self.planes.sums(&par, out_grad, data, sums, |plane| {
            let [mean, inverse] = statistics[plane].map(T::from_f64);
            move |g: T, x: T| (g, g * ((x - mean) * inverse))
        })?;
        for (o, which) in [(1, 1), (2, 0)] {
            if ctx.is_wanted(o) {
                let over_samples = |c: usize| sums.iter().skip(c).step_by(self.each_sample).map(|s| s[which]).sum();
                let vector = ctx.output::<T>(o)?.iter_mut().enumerate();
                vector.for_each(|(c, to)| *to = T::from_f64(over_samples(c)));
            }
        }
        if !ctx.is_wanted(0) {
            return Ok(());
        }
        let count = self.planes.count() as f64;
        self.planes.zip(&par, (Some(out_grad), Some(data)), ctx.output(0)?, |plane| {
            let [mean, inverse] = statistics[plane].map(T::from_f64);
            let scale = gamma[plane % self.each_sample] * inverse;
            let own = T::from_f64(sums[plane][0] / count);
            let along = T::from_f64(sums[plane][1] / count * inverse.to_f64());
            move |g, x| scale * (g - own - along * (x - mean))
        })?;
        Ok(())
    }
}
