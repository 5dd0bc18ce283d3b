//! `BatchNorm` and its gradients: once over data for sums, once for what follows from them.

use super::dtype::Real;
use super::par::Workers;
use crate::compute::Channels;
use varflow_ops::defs::{around_axis, axis_of};
use varflow_ops::{Kernel, KernelCall, KernelCtx, Pair, Result, TensorDesc};

struct BatchNorm {
    channels: Channels,
    /// Whether the statistics are those of data, not the moving ones.
    of_data: bool,
    eps: f64,
    momentum: f64,
    fix_gamma: bool,
}

impl BatchNorm {
    fn new(call: &KernelCall<'_>, data: &TensorDesc) -> Result<BatchNorm> {
        let axis = axis_of(call.params.int("axis"), data.shape.rank())?;
        let [outer, channels, inner] = around_axis(&data.shape, axis);
        let channels = Channels { outer, channels, inner };
        Ok(BatchNorm {
            channels,
            of_data: call.is_train && !call.params.bool("use_global_stats") && !channels.is_empty(),
            eps: call.params.float("eps"),
            momentum: call.params.float("momentum"),
            fix_gamma: call.params.bool("fix_gamma"),
        })
    }

    /// `[mean, variance]` of every channel, with which the moving statistics are brought up to date.
    fn statistics<T: Real>(&self, ctx: &KernelCtx<'_>, data: &[T]) -> Result<Vec<[f64; 2]>> {
        let moving = ctx.mutated::<T>(3)?.iter_mut().zip(ctx.mutated::<T>(4)?);
        if !self.of_data {
            return Ok(moving.map(|(mean, var)| [mean.to_f64(), var.to_f64()]).collect());
        }
        let mut moments = vec![[0.0; 2]; self.channels.channels];
        self.channels.moments(&Workers::of(ctx), data, &mut moments)?;
        for ((mean, var), [new_mean, new_var]) in moving.zip(&moments) {
            *mean = T::from_f64(mean.to_f64() * self.momentum + new_mean * (1.0 - self.momentum));
            *var = T::from_f64(var.to_f64() * self.momentum + new_var * (1.0 - self.momentum));
        }
        Ok(moments)
    }

    fn forward<T: Real>(&self, ctx: &KernelCtx<'_>) -> Result<()> {
        let (mut data, mut output) = (None, None);
        if ctx.is_wanted(0) {
            match ctx.pair::<T>(0, 0)? {
                Pair::Same(both) => output = Some(both),
                Pair::Apart(from, to) => (data, output) = (Some(from), Some(to)),
            }
        } else {
            data = Some(ctx.input(0)?);
        }
        let moments = self.statistics(ctx, data.or(output.as_deref()).unwrap_or(&[]))?;
        let inverse = |variance: f64| 1.0 / (variance + self.eps).sqrt();
        if ctx.is_wanted(1) {
            ctx.output::<T>(1)?.iter_mut().zip(&moments).for_each(|(to, m)| *to = T::from_f64(m[0]));
        }
        if ctx.is_wanted(2) {
            ctx.output::<T>(2)?.iter_mut().zip(&moments).for_each(|(to, m)| *to = T::from_f64(inverse(m[1])));
        }
        let Some(output) = output else { return Ok(()) };
        let (gamma, beta) = (ctx.input::<T>(1)?, ctx.input::<T>(2)?);
        let line = |(c, [mean, variance]): (usize, &[f64; 2])| {
            let scale = inverse(*variance) * if self.fix_gamma { 1.0 } else { gamma[c].to_f64() };
            [T::from_f64(*mean), T::from_f64(scale), beta[c]]
        };
        let lines: Vec<_> = moments.iter().enumerate().map(line).collect();
        self.channels.zip(&Workers::of(ctx), (data, data), output, |c| {
            let [mean, scale, shift] = lines[c];
            move |x, _| (x - mean) * scale + shift
        })?;
        Ok(())
    }

    fn backward<T: Real>(&self, ctx: &KernelCtx<'_>) -> Result<()> {
        let (mut out_grad, mut data, mut d_data) = (None, None, None);
        // Which of the two d_data may stand in for.
        let of_data = ctx.shares(1, 0);
        if ctx.is_wanted(0) {
            match ctx.pair::<T>(usize::from(of_data), 0)? {
                Pair::Same(both) => d_data = Some(both),
                Pair::Apart(from, to) => (out_grad, d_data) = (Some(from), Some(to)),
            }
            if of_data {
                out_grad = Some(ctx.input(0)?);
            } else {
                data = Some(ctx.input(1)?);
            }
        } else {
            (out_grad, data) = (Some(ctx.input(0)?), Some(ctx.input(1)?));
        }
        let (gamma, mean, inverse) = (ctx.input::<T>(2)?, ctx.input::<T>(3)?, ctx.input::<T>(4)?);
        let mut sums = vec![[0.0; 2]; self.channels.channels];
        let shared = d_data.as_deref().unwrap_or(&[]);
        let (g, x) = (out_grad.unwrap_or(shared), data.unwrap_or(shared));
        self.channels.sums(&Workers::of(ctx), g, x, &mut sums, |c| {
            let (mean, inverse) = (mean[c], inverse[c]);
            move |g: T, x: T| (g, g * ((x - mean) * inverse))
        })?;
        if ctx.is_wanted(1) {
            let d_gamma = ctx.output::<T>(1)?.iter_mut().zip(&sums);
            d_gamma.for_each(|(to, sums)| *to = if self.fix_gamma { T::ZERO } else { T::from_f64(sums[1]) });
        }
        if ctx.is_wanted(2) {
            ctx.output::<T>(2)?.iter_mut().zip(&sums).for_each(|(to, sums)| *to = T::from_f64(sums[0]));
        }
        let Some(d_data) = d_data else { return Ok(()) };
        // d_data = scale · (out_grad - own - along · (data - mean)).
        let count = self.channels.count() as f64;
        let line = |(c, sums): (usize, &[f64; 2])| {
            let scale = if self.fix_gamma { inverse[c] } else { gamma[c] * inverse[c] };
            let [own, along] = if self.of_data { *sums } else { [0.0; 2] };
            [scale, T::from_f64(own / count), T::from_f64(along / count * inverse[c].to_f64()), mean[c]]
        };
        let lines: Vec<_> = sums.iter().enumerate().map(line).collect();
        self.channels.zip(&Workers::of(ctx), (out_grad, data), d_data, |c| {
            let [scale, own, along, mean] = lines[c];
            move |g, x| scale * (g - own - along * (x - mean))
        })?;
        Ok(())
    }
}

pub(super) fn forward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let norm = BatchNorm::new(call, &call.inputs[0])?;
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| norm.forward::<T>(ctx)))
}

pub(super) fn backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let norm = BatchNorm::new(call, &call.inputs[1])?;
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| norm.backward::<T>(ctx)))
}
