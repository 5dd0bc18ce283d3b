//! `InstanceNorm` and its gradients: the channel of each sample is a channel of its own.

use super::dtype::Real;
use super::par::Workers;
use crate::compute::Channels;
use varflow_ops::{Error, Kernel, KernelCall, KernelCtx, Result, TensorDesc};

#[derive(Clone, Copy)]
struct Instances {
    /// One a sample and channel.
    planes: Channels,
    channels: usize,
    eps: f64,
}

impl Instances {
    fn new(call: &KernelCall<'_>, data: &TensorDesc) -> Result<Instances> {
        let &[samples, channels, ref rest @ ..] = data.shape.dims() else {
            return Err(Error::Shape(format!("data has shape {}, wanted samples, channels and places", data.shape)));
        };
        let planes = Channels { outer: 1, channels: samples * channels, inner: rest.iter().product() };
        Ok(Instances { planes, channels, eps: call.params.float("eps") })
    }

    /// Mean and `1 / √(variance + eps)` of every plane.
    fn statistics<T: Real>(self, par: &Workers<'_>, data: &[T]) -> Result<Vec<[T; 2]>> {
        let mut moments = vec![[0.0; 2]; self.planes.channels];
        self.planes.moments(par, data, &mut moments)?;
        let finish = |[mean, variance]: [f64; 2]| [T::from_f64(mean), T::from_f64(1.0 / (variance + self.eps).sqrt())];
        Ok(moments.into_iter().map(finish).collect())
    }

    fn forward<T: Real>(self, ctx: &KernelCtx<'_>) -> Result<()> {
        let (par, data) = (Workers::of(ctx), ctx.input::<T>(0)?);
        let (gamma, beta) = (ctx.input::<T>(1)?, ctx.input::<T>(2)?);
        let statistics = self.statistics(&par, data)?;
        self.planes.zip(&par, (Some(data), Some(data)), ctx.output(0)?, |plane| {
            let ([mean, inverse], c) = (statistics[plane], plane % self.channels);
            let (scale, shift) = (inverse * gamma[c], beta[c]);
            move |x, _| (x - mean) * scale + shift
        })?;
        Ok(())
    }

    fn backward<T: Real>(self, ctx: &KernelCtx<'_>) -> Result<()> {
        let (par, out_grad, data) = (Workers::of(ctx), ctx.input::<T>(0)?, ctx.input::<T>(1)?);
        let gamma = ctx.input::<T>(2)?;
        let statistics = self.statistics(&par, data)?;
        let mut sums = vec![[0.0; 2]; self.planes.channels];
        self.planes.sums(&par, out_grad, data, &mut sums, |plane| {
            let [mean, inverse] = statistics[plane];
            move |g: T, x: T| (g, g * ((x - mean) * inverse))
        })?;
        for (o, which) in [(1, 1), (2, 0)] {
            if ctx.is_wanted(o) {
                let over_samples = |c: usize| sums.iter().skip(c).step_by(self.channels).map(|s| s[which]).sum();
                let vector = ctx.output::<T>(o)?.iter_mut().enumerate();
                vector.for_each(|(c, to)| *to = T::from_f64(over_samples(c)));
            }
        }
        if !ctx.is_wanted(0) {
            return Ok(());
        }
        let count = self.planes.count() as f64;
        self.planes.zip(&par, (Some(out_grad), Some(data)), ctx.output(0)?, |plane| {
            let [mean, inverse] = statistics[plane];
            let scale = gamma[plane % self.channels] * inverse;
            let own = T::from_f64(sums[plane][0] / count);
            let along = T::from_f64(sums[plane][1] / count * inverse.to_f64());
            move |g, x| scale * (g - own - along * (x - mean))
        })?;
        Ok(())
    }
}

pub(super) fn forward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let instances = Instances::new(call, &call.inputs[0])?;
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| instances.forward::<T>(ctx)))
}

pub(super) fn backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let instances = Instances::new(call, &call.inputs[1])?;
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| instances.backward::<T>(ctx)))
}
