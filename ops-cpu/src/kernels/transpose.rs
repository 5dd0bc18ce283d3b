//! `transpose`, `SwapAxis`, `depth_to_space` and `space_to_depth`: the elements in another order of axes.

use super::par::Workers;
use crate::compute::transpose;
use varflow_ops::defs::{swapped_order, transpose_order};
use varflow_ops::{Element, Error, Kernel, KernelCall, KernelCtx, Result, Shape};

pub(super) fn forward<T: Element>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let shape = call.inputs[0].shape.clone();
    let order = transpose_order(call.params, shape.rank())?;
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let (data, output) = (ctx.input::<T>(0)?, ctx.output::<T>(0)?);
        Ok(transpose(&Workers::of(ctx), data, shape.dims(), &order, output)?)
    }))
}

/// Data, seen under a shape, with its axes in another order.
fn moved<T: Element>(shape: Vec<usize>, order: Vec<usize>) -> Box<dyn Kernel> {
    Box::new(move |ctx: &mut KernelCtx<'_>| {
        Ok(transpose(&Workers::of(ctx), ctx.input::<T>(0)?, &shape, &order, ctx.output(0)?)?)
    })
}

pub(super) fn swap_axis<T: Element>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let shape = &call.inputs[0].shape;
    Ok(moved::<T>(shape.dims().to_vec(), swapped_order(call.params, shape.rank())?))
}

/// (n, i, j, c, h, w) to (n, c, h, i, w, j).
pub(super) fn depth_to_space<T: Element>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let ([n, c, h, w], b) = (four(&call.inputs[0].shape)?, call.params.usize("block_size"));
    Ok(moved::<T>(vec![n, b, b, c / (b * b), h, w], vec![0, 3, 4, 1, 5, 2]))
}

/// (n, c, h, i, w, j) to (n, i, j, c, h, w).
pub(super) fn space_to_depth<T: Element>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let ([n, c, h, w], b) = (four(&call.inputs[0].shape)?, call.params.usize("block_size"));
    Ok(moved::<T>(vec![n, c, h / b, b, w / b, b], vec![0, 3, 5, 1, 2, 4]))
}

fn four(shape: &Shape) -> Result<[usize; 4]> {
    let dims = <[usize; 4]>::try_from(shape.dims());
    dims.map_err(|_| Error::Shape(format!("data has shape {shape}, wanted 4 axes")))
}
