//! `GroupNorm` and its gradients: the group of each sample is a channel of its own.

use super::dtype::Real;
use super::planes::Planes;
use super::scratch;
use varflow_ops::{Kernel, KernelCall, KernelCtx, Result, TensorDesc, WithWorkspace};

fn planes(call: &KernelCall<'_>, data: &TensorDesc) -> Planes {
    let samples = data.shape.dims().first().copied().unwrap_or(1);
    let groups = call.params.usize("num_groups");
    let rest: usize = data.shape.dims().iter().skip(1).product();
    Planes::new(samples, groups, rest / groups, call.params.float("eps"))
}

pub(super) fn forward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let planes = planes(call, &call.inputs[0]);
    let bytes = scratch::bytes::<T>(planes.doubles(), 0);
    let run = move |ctx: &mut KernelCtx<'_>| {
        let statistics = scratch::pairs(ctx, bytes)?;
        planes.statistics(ctx, ctx.input::<T>(0)?, statistics)?;
        if ctx.is_wanted(1) {
            ctx.output::<T>(1)?.iter_mut().zip(&*statistics).for_each(|(to, s)| *to = T::from_f64(s[0]));
        }
        if ctx.is_wanted(2) {
            ctx.output::<T>(2)?.iter_mut().zip(&*statistics).for_each(|(to, s)| *to = T::from_f64(1.0 / s[1]));
        }
        if ctx.is_wanted(0) { planes.forward::<T>(ctx, statistics) } else { Ok(()) }
    };
    Ok(Box::new(WithWorkspace { bytes, run }))
}

pub(super) fn backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let planes = planes(call, &call.inputs[1]);
    let bytes = scratch::bytes::<T>(2 * planes.doubles(), 0);
    let run = move |ctx: &mut KernelCtx<'_>| {
        let (statistics, sums) = scratch::pairs(ctx, bytes)?.split_at_mut(planes.count());
        for ((to, mean), std) in statistics.iter_mut().zip(ctx.input::<T>(3)?).zip(ctx.input::<T>(4)?) {
            *to = [mean.to_f64(), 1.0 / std.to_f64()];
        }
        planes.backward::<T>(ctx, statistics, sums)
    };
    Ok(Box::new(WithWorkspace { bytes, run }))
}
