//! `LRN` and its gradient.

use super::dtype::Real;
use super::par::Workers;
use crate::compute::{Channels, Lrn};
use varflow_ops::defs::around_axis;
use varflow_ops::{Error, Kernel, KernelCall, KernelCtx, Result, TensorDesc, WithWorkspace};

fn geometry(call: &KernelCall<'_>, data: &TensorDesc) -> Result<Lrn> {
    if data.shape.rank() < 2 {
        return Err(Error::Shape(format!("data has shape {}, wanted axes for samples and channels", data.shape)));
    }
    let [outer, channels, inner] = around_axis(&data.shape, 1);
    Ok(Lrn {
        channels: Channels { outer, channels, inner },
        size: call.params.usize("nsize"),
        alpha: call.params.float("alpha"),
        beta: call.params.float("beta"),
        knorm: call.params.float("knorm"),
    })
}

pub(super) fn forward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let lrn = geometry(call, &call.inputs[0])?;
    let len = lrn.channels.len();
    // The norm is computed even if nobody wants it afterwards.
    let bytes = if call.wanted[1] { 0 } else { len * size_of::<T>() };
    let run = move |ctx: &mut KernelCtx<'_>| {
        let (par, data) = (Workers::of(ctx), ctx.input::<T>(0)?);
        let norm: &mut [T] = match bytes {
            _ if ctx.is_wanted(1) => ctx.output(1)?,
            0 => &mut [],
            _ => &mut ctx.workspace()?[..len],
        };
        lrn.norm(&par, data, norm)?;
        if ctx.is_wanted(0) {
            lrn.output(&par, data, norm, ctx.output(0)?)?;
        }
        Ok(())
    };
    Ok(Box::new(WithWorkspace { bytes, run }))
}

pub(super) fn backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let lrn = geometry(call, &call.inputs[1])?;
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let saved = [ctx.input::<T>(1)?, ctx.input(2)?, ctx.input(3)?];
        Ok(lrn.backward(&Workers::of(ctx), ctx.input(0)?, saved, ctx.output(0)?)?)
    }))
}
