//! `BatchNorm` and its gradients: once over data for sums, once for what follows from them.

use super::dtype::Real;
use super::par::Workers;
use super::scratch;
use crate::compute::Channels;
use varflow_ops::defs::{around_axis, axis_of};
use varflow_ops::{Kernel, KernelCall, KernelCtx, Pair, Result, TensorDesc, WithWorkspace};

/// The coefficients of a channel's last step.
const LINE: usize = 4;

/// A pair of doubles and a line for every channel.
type Workspace<'a, T> = (&'a mut [[f64; 2]], &'a mut [[T; LINE]]);

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

    /// The bytes of a pair of doubles and a [`LINE`] a channel.
    fn workspace_bytes<T: Real>(&self) -> usize {
        let channels = self.channels.channels;
        scratch::bytes::<T>(channels.saturating_mul(2), channels.saturating_mul(LINE))
    }

    fn workspace<'a, T: Real>(&self, ctx: &mut KernelCtx<'a>) -> Result<Workspace<'a, T>> {
        let channels = self.channels.channels;
        let (doubles, elements) = scratch::take::<T>(ctx, 2 * channels, channels * LINE)?;
        Ok((doubles.as_chunks_mut().0, elements.as_chunks_mut().0))
    }

    /// `[mean, variance]` of every channel, with which the moving statistics are brought up to date.
    fn statistics<T: Real>(&self, ctx: &KernelCtx<'_>, data: &[T], moments: &mut [[f64; 2]]) -> Result<()> {
        let moving = ctx.mutated::<T>(3)?.iter_mut().zip(ctx.mutated::<T>(4)?);
        if !self.of_data {
            moments.iter_mut().zip(moving).for_each(|(to, (mean, var))| *to = [mean.to_f64(), var.to_f64()]);
            return Ok(());
        }
        self.channels.moments(&Workers::of(ctx), data, moments)?;
        for ((mean, var), [new_mean, new_var]) in moving.zip(moments) {
            *mean = T::from_f64(mean.to_f64() * self.momentum + *new_mean * (1.0 - self.momentum));
            *var = T::from_f64(var.to_f64() * self.momentum + *new_var * (1.0 - self.momentum));
        }
        Ok(())
    }

    fn forward<T: Real>(&self, ctx: &mut KernelCtx<'_>) -> Result<()> {
        let (moments, lines) = self.workspace::<T>(ctx)?;
        let (mut data, mut output) = (None, None);
        if ctx.is_wanted(0) {
            match ctx.pair::<T>(0, 0)? {
                Pair::Same(both) => output = Some(both),
                Pair::Apart(from, to) => (data, output) = (Some(from), Some(to)),
            }
        } else {
            data = Some(ctx.input(0)?);
        }
        self.statistics(ctx, data.or(output.as_deref()).unwrap_or(&[]), moments)?;
        let inverse = |variance: f64| 1.0 / (variance + self.eps).sqrt();
        if ctx.is_wanted(1) {
            ctx.output::<T>(1)?.iter_mut().zip(&*moments).for_each(|(to, m)| *to = T::from_f64(m[0]));
        }
        if ctx.is_wanted(2) {
            ctx.output::<T>(2)?.iter_mut().zip(&*moments).for_each(|(to, m)| *to = T::from_f64(inverse(m[1])));
        }
        let Some(output) = output else { return Ok(()) };
        let (gamma, beta) = (ctx.input::<T>(1)?, ctx.input::<T>(2)?);
        for (c, (line, [mean, variance])) in lines.iter_mut().zip(&*moments).enumerate() {
            let scale = inverse(*variance) * if self.fix_gamma { 1.0 } else { gamma[c].to_f64() };
            *line = [T::from_f64(*mean), T::from_f64(scale), beta[c], T::ZERO];
        }
        let lines = &*lines;
        self.channels.zip(&Workers::of(ctx), (data, data), output, |c| {
            let [mean, scale, shift, _] = lines[c];
            move |x, _| (x - mean) * scale + shift
        })?;
        Ok(())
    }

    fn backward<T: Real>(&self, ctx: &mut KernelCtx<'_>) -> Result<()> {
        let (sums, lines) = self.workspace::<T>(ctx)?;
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
        let shared = d_data.as_deref().unwrap_or(&[]);
        let (g, x) = (out_grad.unwrap_or(shared), data.unwrap_or(shared));
        self.channels.sums(&Workers::of(ctx), g, x, sums, |c| {
            let (mean, inverse) = (mean[c], inverse[c]);
            move |g: T, x: T| (g, g * ((x - mean) * inverse))
        })?;
        if ctx.is_wanted(1) {
            let d_gamma = ctx.output::<T>(1)?.iter_mut().zip(&*sums);
            d_gamma.for_each(|(to, sums)| *to = if self.fix_gamma { T::ZERO } else { T::from_f64(sums[1]) });
        }
        if ctx.is_wanted(2) {
            ctx.output::<T>(2)?.iter_mut().zip(&*sums).for_each(|(to, sums)| *to = T::from_f64(sums[0]));
        }
        let Some(d_data) = d_data else { return Ok(()) };
        // d_data = scale · (out_grad - own - along · (data - mean)).
        let count = self.channels.count() as f64;
        for (c, (line, sums)) in lines.iter_mut().zip(&*sums).enumerate() {
            let scale = if self.fix_gamma { inverse[c] } else { gamma[c] * inverse[c] };
            let [own, along] = if self.of_data { *sums } else { [0.0; 2] };
            *line = [scale, T::from_f64(own / count), T::from_f64(along / count * inverse[c].to_f64()), mean[c]];
        }
        let lines = &*lines;
        self.channels.zip(&Workers::of(ctx), (out_grad, data), d_data, |c| {
            let [scale, own, along, mean] = lines[c];
            move |g, x| scale * (g - own - along * (x - mean))
        })?;
        Ok(())
    }
}

pub(super) fn forward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let norm = BatchNorm::new(call, &call.inputs[0])?;
    let bytes = norm.workspace_bytes::<T>();
    Ok(Box::new(WithWorkspace { bytes, run: move |ctx: &mut KernelCtx<'_>| norm.forward::<T>(ctx) }))
}

pub(super) fn backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let norm = BatchNorm::new(call, &call.inputs[1])?;
    let bytes = norm.workspace_bytes::<T>();
    Ok(Box::new(WithWorkspace { bytes, run: move |ctx: &mut KernelCtx<'_>| norm.backward::<T>(ctx) }))
}
