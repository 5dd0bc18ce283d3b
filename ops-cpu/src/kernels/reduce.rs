//! Sums, means, products and extremes over axes, and their gradients.

use super::dtype::{Real, working_dtype};
use super::par::Workers;
use super::repeat::Repeat;
use crate::compute::{Number, ReduceLoops, Reduction, map, reduce, zip_in_place};
use half::{bf16, f16};
use smallvec::SmallVec;
use varflow_ops::defs::reduced_axes;
use varflow_ops::{DType, Element, Error, Kernel, KernelCall, KernelCtx, Result, WithWorkspace};

/// `output = reduction of data`, of any dtype. Numbers of 16 bits are reduced in `f32`, where sums keep their small terms.
pub(super) fn any(call: &KernelCall<'_>, reduction: Reduction) -> Result<Box<dyn Kernel>> {
    match working_dtype(call)? {
        DType::F32 => forward::<f32>(call, reduction),
        DType::F64 => forward::<f64>(call, reduction),
        DType::F16 => widened::<f16>(call, reduction),
        DType::BF16 => widened::<bf16>(call, reduction),
        DType::U8 => forward::<u8>(call, reduction),
        DType::I8 => forward::<i8>(call, reduction),
        DType::U16 => forward::<u16>(call, reduction),
        DType::I16 => forward::<i16>(call, reduction),
        DType::U32 => forward::<u32>(call, reduction),
        DType::I32 => forward::<i32>(call, reduction),
        DType::U64 => forward::<u64>(call, reduction),
        DType::I64 => forward::<i64>(call, reduction),
        DType::Bool => Err(Error::DType("data holds bool, wanted numbers".to_string())),
    }
}

/// The axes that a use of an operator reduces.
pub(super) fn axes(call: &KernelCall<'_>) -> Result<SmallVec<[usize; 4]>> {
    let rank = call.inputs[0].shape.rank();
    let reduced = reduced_axes(call.params, rank)?;
    Ok((0..rank).filter(|axis| reduced[*axis]).collect())
}

fn forward<T: ReduceLoops + Element>(call: &KernelCall<'_>, reduction: Reduction) -> Result<Box<dyn Kernel>> {
    let (shape, axes) = (call.inputs[0].shape.clone(), axes(call)?);
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let (data, output) = (ctx.input::<T>(0)?, ctx.output::<T>(0)?);
        Ok(reduce(&Workers::of(ctx), reduction, data, shape.dims(), &axes, output)?)
    }))
}

fn widened<T: Number + Element>(call: &KernelCall<'_>, reduction: Reduction) -> Result<Box<dyn Kernel>> {
    let (shape, axes) = (call.inputs[0].shape.clone(), axes(call)?);
    let (from, to) = (shape.len(), call.outputs[0].shape.len());
    Ok(Box::new(WithWorkspace {
        bytes: from.saturating_add(to).saturating_mul(size_of::<f32>()),
        run: move |ctx: &mut KernelCtx<'_>| {
            let par = Workers::of(ctx);
            let (wide, rest) = ctx.workspace::<f32>()?.split_at_mut(from);
            let reduced = &mut rest[..to];
            map(&par, ctx.input::<T>(0)?, wide, |x| x.to_f64() as f32)?;
            reduce(&par, reduction, wide, shape.dims(), &axes, reduced)?;
            Ok(map(&par, reduced, ctx.output::<T>(0)?, |x| T::from_f64(f64::from(x)))?)
        },
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

/// `d_data = out_grad · output / data`.
pub(super) fn product_backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    backward(call, |x: T, y| y / x)
}

/// `d_data = out_grad` where data is the extreme; where several are, all of them.
pub(super) fn extreme_backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    backward(call, |x: T, y| if x == y { T::ONE } else { T::ZERO })
}

pub(super) fn nan_sum_backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    backward(call, |x: T, _| if x.is_nan() { T::ZERO } else { T::ONE })
}

pub(super) fn nan_product_backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    backward(call, |x: T, y| if x.is_nan() { T::ZERO } else { y / x })
}

/// `d_data = out_grad · f(data, output)`, with what is reduced repeated.
pub(super) fn backward<T: Real>(
    call: &KernelCall<'_>,
    f: impl Fn(T, T) -> T + Send + Sync + 'static,
) -> Result<Box<dyn Kernel>> {
    let (repeat, _) = repeated(call)?;
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let (par, d_data) = (Workers::of(ctx), ctx.output::<T>(0)?);
        let (out_grad, data, output) = (ctx.input::<T>(0)?, ctx.input::<T>(1)?, ctx.input::<T>(2)?);
        // First the outputs are put in their places, then each becomes what data makes of it.
        repeat.each(&par, output, d_data, |d, y| *d = y)?;
        zip_in_place(&par, d_data, data, |y, x| f(x, y))?;
        Ok(repeat.each(&par, out_grad, d_data, |d, g| *d = *d * g)?)
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
