//! Tensors filled with zeroes or ones.

use super::cast::CastTo;
use varflow_ops::{Element, Kernel, KernelCall, KernelCtx, Result};

pub(super) fn zeros<T: Element>(_: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    Ok(filled(T::zeroed()))
}

pub(super) fn ones<T: Element>(_: &KernelCall<'_>) -> Result<Box<dyn Kernel>>
where
    u8: CastTo<T>,
{
    Ok(filled::<T>(1_u8.cast_to()))
}

fn filled<T: Element>(value: T) -> Box<dyn Kernel> {
    Box::new(move |ctx: &mut KernelCtx<'_>| {
        ctx.output::<T>(0)?.fill(value);
        Ok(())
    })
}
