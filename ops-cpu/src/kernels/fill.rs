//! Tensors filled with one number.

use crate::compute::Number;
use varflow_ops::{Element, Kernel, KernelCall, KernelCtx, Result};

pub(super) fn zeros<T: Element>(_: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    Ok(filled(T::zeroed()))
}

pub(super) fn ones<T: Element + Number>(_: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    Ok(filled(T::ONE))
}

pub(super) fn full<T: Element + Number>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    Ok(filled(T::from_f64(call.params.float("value"))))
}

fn filled<T: Element>(value: T) -> Box<dyn Kernel> {
    Box::new(move |ctx: &mut KernelCtx<'_>| {
        ctx.output::<T>(0)?.fill(value);
        Ok(())
    })
}
