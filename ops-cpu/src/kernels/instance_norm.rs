//! `InstanceNorm` and its gradients: the channel of each sample is a channel of its own.

use super::dtype::Real;
use super::planes::Planes;
use super::scratch;
use varflow_ops::{Error, Kernel, KernelCall, KernelCtx, Result, TensorDesc, WithWorkspace};

fn planes(call: &KernelCall<'_>, data: &TensorDesc) -> Result<Planes> {
    let &[samples, channels, ref rest @ ..] = data.shape.dims() else {
        return Err(Error::Shape(format!("data has shape {}, wanted samples, channels and places", data.shape)));
    };
    Ok(Planes::new(samples, channels, rest.iter().product(), call.params.float("eps")))
}

pub(super) fn forward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let planes = planes(call, &call.inputs[0])?;
    let bytes = scratch::bytes::<T>(planes.doubles(), 0);
    let run = move |ctx: &mut KernelCtx<'_>| {
        let statistics = scratch::pairs(ctx, bytes)?;
        planes.statistics(ctx, ctx.input::<T>(0)?, statistics)?;
        planes.forward::<T>(ctx, statistics)
    };
    Ok(Box::new(WithWorkspace { bytes, run }))
}

pub(super) fn backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let planes = planes(call, &call.inputs[1])?;
    let bytes = scratch::bytes::<T>(2 * planes.doubles(), 0);
    let run = move |ctx: &mut KernelCtx<'_>| {
        let (statistics, sums) = scratch::pairs(ctx, bytes)?.split_at_mut(planes.count());
        planes.statistics(ctx, ctx.input::<T>(1)?, statistics)?;
        planes.backward::<T>(ctx, statistics, sums)
    };
    Ok(Box::new(WithWorkspace { bytes, run }))
}
