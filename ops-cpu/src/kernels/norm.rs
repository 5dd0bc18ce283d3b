//! `norm` and its gradient: sums of sizes, and roots of sums of squares.

use super::dtype::Real;
use super::par::Workers;
use super::reduce::{self, axes};
use crate::compute::{Reduction, Unary, reduce, unary_in_place};
use varflow_ops::{Kernel, KernelCall, KernelCtx, Result};

pub(super) fn forward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let (shape, axes) = (call.inputs[0].shape.clone(), axes(call)?);
    let sizes = call.params.int("ord") == 1;
    let reduction = if sizes { Reduction::SumSizes } else { Reduction::SumSquares };
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let (par, output) = (Workers::of(ctx), ctx.output::<T>(0)?);
        reduce(&par, reduction, ctx.input::<T>(0)?, shape.dims(), &axes, output)?;
        if !sizes {
            unary_in_place(&par, Unary::Sqrt, output);
        }
        Ok(())
    }))
}

/// `d_data = out_grad · sign(data)` or `out_grad · data / output`; NaN where a root is 0, as it has no slope there.
pub(super) fn backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    if call.params.int("ord") == 2 {
        return reduce::backward(call, |x: T, y| x / y);
    }
    reduce::backward(call, |x: T, _| match x {
        x if x > T::ZERO => T::ONE,
        x if x < T::ZERO => -T::ONE,
        _ => T::ZERO,
    })
}
