//! `sum` and `mean` over axes, and their gradients.

use super::dtype::Real;
use super::par::Workers;
use super::repeat::Repeat;
use crate::compute::{Reduction, reduce};
use smallvec::SmallVec;
use varflow_ops::defs::reduced_axes;
use varflow_ops::{Kernel, KernelCall, KernelCtx, Result};

/// `output = reduction of data`.
pub(super) fn forward<T: Real>(call: &KernelCall<'_>, reduction: Reduction) -> Result<Box<dyn Kernel>> {
    let shape = call.inputs[0].shape.clone();
    let reduced = reduced_axes(call.params, shape.rank())?;
    let axes: SmallVec<[usize; 4]> = (0..shape.rank()).filter(|axis| reduced[*axis]).collect();
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let (data, output) = (ctx.input::<T>(0)?, ctx.output::<T>(0)?);
        Ok(reduce(&Workers::of(ctx), reduction, data, shape.dims(), &axes, output)?)
    }))
}

/// `d_data = out_grad`, repeated along the reduced axes.
pub(super) fn sum_backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let (repeat, _) = repeated(call)?;
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let (out_grad, d_data) = (ctx.input::<T>(0)?, ctx.output::<T>(0)?);
        Ok(repeat.each(&Workers::of(ctx), out_grad, d_data, |d, g| *d = g)?)
    }))
}

/// `d_data = out_grad / n`, repeated along the reduced axes.
pub(super) fn mean_backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let (repeat, n) = repeated(call)?;
    let n = T::from_f64(n as f64);
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let (out_grad, d_data) = (ctx.input::<T>(0)?, ctx.output::<T>(0)?);
        Ok(repeat.each(&Workers::of(ctx), out_grad, d_data, |d, g| *d = g / n)?)
    }))
}

/// How a reduced tensor is repeated to the shape of data, and how many elements were reduced to one.
fn repeated(call: &KernelCall<'_>) -> Result<(Repeat, usize)> {
    let whole = call.outputs[0].shape.dims();
    let reduced = reduced_axes(call.params, whole.len())?;
    let with_kept_axes: SmallVec<[usize; 4]> =
        whole.iter().zip(&reduced).map(|(len, reduced)| if *reduced { 1 } else { *len }).collect();
    let n = whole.iter().zip(&reduced).filter(|(_, reduced)| **reduced).map(|(len, _)| len).product();
    Ok((Repeat::new(&with_kept_axes, whole), n))
}
