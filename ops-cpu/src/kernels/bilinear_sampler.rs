//! `BilinearSampler` and its gradient: images at places between pixels.

use super::dtype::Real;
use super::par::Workers;
use crate::compute::Sampler;
use varflow_ops::{Error, Kernel, KernelCall, KernelCtx, Result, TensorDesc};

fn sampler(data: &TensorDesc, grid: &TensorDesc) -> Result<Sampler> {
    let (&[images, channels, height, width], &[_, 2, rows, columns]) = (data.shape.dims(), grid.shape.dims()) else {
        let wanted = "wanted images (N, C, H, W) and places (N, 2, H', W')";
        return Err(Error::Shape(format!("data has shape {} and grid {}, {wanted}", data.shape, grid.shape)));
    };
    Ok(Sampler { images, channels, size: [height, width], grid: [rows, columns] })
}

pub(super) fn forward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let sampler = sampler(&call.inputs[0], &call.inputs[1])?;
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        Ok(sampler.forward::<T>(&Workers::of(ctx), ctx.input(0)?, ctx.input(1)?, ctx.output(0)?)?)
    }))
}

pub(super) fn backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let sampler = sampler(&call.inputs[1], &call.inputs[2])?;
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let (par, out_grad, data, grid) = (Workers::of(ctx), ctx.input::<T>(0)?, ctx.input(1)?, ctx.input(2)?);
        if ctx.is_wanted(0) {
            sampler.backward_data(&par, out_grad, grid, ctx.output(0)?)?;
        }
        if ctx.is_wanted(1) {
            sampler.backward_grid(&par, out_grad, data, grid, ctx.output(1)?)?;
        }
        Ok(())
    }))
}
