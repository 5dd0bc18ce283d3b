//! `SoftmaxActivation` and its gradient.

use super::dtype::Real;
use super::pair::copied;
use super::par::Workers;
use super::softmax::Tables;
use varflow_ops::{Kernel, KernelCall, KernelCtx, Result};

/// What adds up to 1 are columns of tables.
fn tables(call: &KernelCall<'_>) -> Tables {
    let dims = call.inputs[0].shape.dims();
    let product = |dims: &[usize]| dims.iter().product::<usize>();
    match (call.params.text("mode"), dims) {
        ("channel", [_, channels, places @ ..]) => Tables { rows: *channels, columns: product(places) },
        (_, dims) => Tables { rows: dims.last().copied().unwrap_or(1), columns: 1 },
    }
}

pub(super) fn forward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let tables = tables(call);
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| tables.softmax::<T>(&Workers::of(ctx), copied(ctx, 0, 0)?)))
}

pub(super) fn backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let tables = tables(call);
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let (output, d_data) = (ctx.input::<T>(1)?, copied(ctx, 0, 0)?);
        tables.softmax_backward(&Workers::of(ctx), output, d_data);
        Ok(())
    }))
}
