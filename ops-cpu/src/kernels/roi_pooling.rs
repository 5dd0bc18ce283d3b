//! `ROIPooling` and its gradient: the largest elements of parts of regions of images.

use super::dtype::Real;
use super::par::Workers;
use crate::compute::RoiPool;
use varflow_ops::defs::pooled_size;
use varflow_ops::{Error, Kernel, KernelCall, KernelCtx, Result, Shape};

fn pool(call: &KernelCall<'_>, data: &Shape, rois: &Shape) -> Result<RoiPool> {
    let (&[images, channels, height, width], &[regions, 5]) = (data.dims(), rois.dims()) else {
        let wanted = "wanted images (N, C, H, W) and regions (R, 5)";
        return Err(Error::Shape(format!("data has shape {data} and rois {rois}, {wanted}")));
    };
    let scale = call.params.float("spatial_scale");
    Ok(RoiPool { images, channels, size: [height, width], regions, pooled: pooled_size(call.params)?, scale })
}

fn check_images<T: Real>(pool: &RoiPool, rois: &[T]) -> Result<()> {
    match pool.stranger(rois) {
        Some((roi, image)) => {
            let images = pool.images;
            Err(Error::Data(format!("region {roi} is of image {image}, wanted a number below {images}")))
        }
        None => Ok(()),
    }
}

pub(super) fn forward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let pool = pool(call, &call.inputs[0].shape, &call.inputs[1].shape)?;
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let (data, rois) = (ctx.input::<T>(0)?, ctx.input(1)?);
        check_images(&pool, rois)?;
        let largest = ctx.is_wanted(0).then(|| ctx.output(0)).transpose()?;
        let places = ctx.is_wanted(1).then(|| ctx.output(1)).transpose()?;
        Ok(pool.forward(&Workers::of(ctx), data, rois, largest, places)?)
    }))
}

pub(super) fn backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let pool = pool(call, &call.outputs[0].shape, &call.inputs[1].shape)?;
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let (out_grad, rois, places) = (ctx.input::<T>(0)?, ctx.input(1)?, ctx.input(2)?);
        check_images(&pool, rois)?;
        Ok(pool.backward(&Workers::of(ctx), out_grad, rois, places, ctx.output(0)?)?)
    }))
}
