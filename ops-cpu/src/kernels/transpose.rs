//! `transpose`: the elements in another order of axes.

use super::par::Workers;
use crate::compute::transpose;
use varflow_ops::defs::transpose_order;
use varflow_ops::{Element, Kernel, KernelCall, KernelCtx, Result};

pub(super) fn forward<T: Element>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let shape = call.inputs[0].shape.clone();
    let order = transpose_order(call.params, shape.rank())?;
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let (data, output) = (ctx.input::<T>(0)?, ctx.output::<T>(0)?);
        Ok(transpose(&Workers::of(ctx), data, shape.dims(), &order, output)?)
    }))
}
