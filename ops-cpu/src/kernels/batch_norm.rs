//! `BatchNorm` and its gradients: once over data for sums, once for what follows from them. With `RELU` max(·, 0) of it,
//! in the same loops.

use super::dtype::Real;
use super::par::Workers;
use super::scratch;
use crate::compute::Channels;
use varflow_ops::defs::{around_axis, axis_of};
use varflow_ops::{Kernel, KernelCall, KernelCtx, Pair, Result, TensorDesc, WithWorkspace};

/// The coefficients of a channel's last step.
const LINE: usize = 5;

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

    /// What data less its mean is multiplied by. The statistics are rounded before, so that what is computed from their
    /// saved values has the same bits.
    fn scale<T: Real>(&self, gamma: &[T], inverse: T, c: usize) -> T {
        if self.fix_gamma { inverse } else { gamma[c] * inverse }
    }

    fn forward<T: Real, const RELU: bool>(&self, ctx: &mut KernelCtx<'_>) -> Result<()> {
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
        for (line, [mean, variance]) in lines.iter_mut().zip(&*moments) {
            let inverse = 1.0 / (variance + self.eps).sqrt();
            (line[0], line[1]) = (T::from_f64(*mean), T::from_f64(inverse));
        }
        for (o, place) in [(1, 0), (2, 1)] {
            if ctx.is_wanted(o) {
                ctx.output::<T>(o)?.iter_mut().zip(&*lines).for_each(|(to, line)| *to = line[place]);
            }
        }
        let Some(output) = output else { return Ok(()) };
        let (gamma, beta) = (ctx.input::<T>(1)?, ctx.input::<T>(2)?);
        let lines = &*lines;
        self.normalise::<T, RELU>(&Workers::of(ctx), data, output, |c| {
            let [mean, inverse, ..] = lines[c];
            (mean, self.scale(gamma, inverse, c), beta[c])
        })
    }

    /// The output alone, by the statistics that [`forward`](Self::forward) gave.
    fn apply<T: Real, const RELU: bool>(&self, ctx: &mut KernelCtx<'_>) -> Result<()> {
        let (data, output) = match ctx.pair::<T>(0, 0)? {
            Pair::Same(both) => (None, both),
            Pair::Apart(from, to) => (Some(from), to),
        };
        let (gamma, beta) = (ctx.input::<T>(1)?, ctx.input::<T>(2)?);
        let (mean, inverse) = (ctx.input::<T>(3)?, ctx.input::<T>(4)?);
        let of = |c: usize| (mean[c], self.scale(gamma, inverse[c], c), beta[c]);
        self.normalise::<T, RELU>(&Workers::of(ctx), data, output, of)
    }

    /// `output = (data - mean) · scale + shift`, where `of(c)` is `(mean, scale, shift)`; `output` holds data that is not given.
    fn normalise<T: Real, const RELU: bool>(
        &self,
        par: &Workers<'_>,
        data: Option<&[T]>,
        output: &mut [T],
        of: impl Fn(usize) -> (T, T, T) + Sync,
    ) -> Result<()> {
        Ok(self.channels.zip(par, (data, data), output, |c| {
            let (mean, scale, shift) = of(c);
            move |x, _| {
                let y = (x - mean) * scale + shift;
                if RELU && T::ZERO > y { T::ZERO } else { y }
            }
        })?)
    }

    fn backward<T: Real, const RELU: bool>(&self, ctx: &mut KernelCtx<'_>) -> Result<()> {
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
        let gamma = ctx.input::<T>(2)?;
        let (beta, saved) = if RELU { (ctx.input::<T>(3)?, 4) } else { (gamma, 3) };
        let (mean, inverse) = (ctx.input::<T>(saved)?, ctx.input::<T>(saved + 1)?);
        // Where the output was not above zero nothing flows: it is computed just as in the forward pass.
        let flows = |g: T, centred: T, scale: T, shift: T| {
            if !RELU || centred * scale + shift > T::ZERO { g } else { T::ZERO }
        };
        let shared = d_data.as_deref().unwrap_or(&[]);
        let (g, x) = (out_grad.unwrap_or(shared), data.unwrap_or(shared));
        self.channels.sums(&Workers::of(ctx), g, x, sums, |c| {
            let (mean, inverse, scale, shift) = (mean[c], inverse[c], self.scale(gamma, inverse[c], c), beta[c]);
            move |g: T, x: T| {
                let centred = x - mean;
                let g = flows(g, centred, scale, shift);
                (g, g * (centred * inverse))
            }
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
            let scale = self.scale(gamma, inverse[c], c);
            let [own, along] = if self.of_data { *sums } else { [0.0; 2] };
            *line =
                [scale, T::from_f64(own / count), T::from_f64(along / count * inverse[c].to_f64()), mean[c], beta[c]];
        }
        let lines = &*lines;
        self.channels.zip(&Workers::of(ctx), (out_grad, data), d_data, |c| {
            let [scale, own, along, mean, shift] = lines[c];
            move |g, x| {
                let centred = x - mean;
                scale * (flows(g, centred, scale, shift) - own - along * centred)
            }
        })?;
        Ok(())
    }
}

pub(super) fn forward<T: Real, const RELU: bool>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let norm = BatchNorm::new(call, &call.inputs[0])?;
    let bytes = norm.workspace_bytes::<T>();
    Ok(Box::new(WithWorkspace { bytes, run: move |ctx: &mut KernelCtx<'_>| norm.forward::<T, RELU>(ctx) }))
}

pub(super) fn apply<T: Real, const RELU: bool>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let norm = BatchNorm::new(call, &call.inputs[0])?;
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| norm.apply::<T, RELU>(ctx)))
}

pub(super) fn backward<T: Real, const RELU: bool>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let norm = BatchNorm::new(call, &call.inputs[1])?;
    let bytes = norm.workspace_bytes::<T>();
    Ok(Box::new(WithWorkspace { bytes, run: move |ctx: &mut KernelCtx<'_>| norm.backward::<T, RELU>(ctx) }))
}
