//! Functions of one tensor without parameters, and their gradients.

use super::dtype::Real;
use super::par::Workers;
use crate::compute::{Unary, unary, unary_backward, unary_backward_in_place, unary_in_place};
use varflow_ops::{Kernel, KernelCall, KernelCtx, Pair, Result};

/// `output = function(data)`.
pub(super) fn forward<T: Real>(_: &KernelCall<'_>, function: Unary) -> Result<Box<dyn Kernel>> {
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let par = Workers::of(ctx);
        match ctx.pair::<T>(0, 0)? {
            Pair::Same(both) => unary_in_place(&par, function, both),
            Pair::Apart(data, output) => unary(&par, function, data, output)?,
        }
        Ok(())
    }))
}

/// `d_data = out_grad · function'`, where input 1 is what [`Unary::saves_input`] says the derivative is a function of.
pub(super) fn backward<T: Real>(_: &KernelCall<'_>, function: Unary) -> Result<Box<dyn Kernel>> {
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let (par, saved) = (Workers::of(ctx), ctx.input::<T>(1)?);
        match ctx.pair::<T>(0, 0)? {
            Pair::Same(both) => unary_backward_in_place(&par, function, saved, both)?,
            Pair::Apart(out_grad, d_data) => unary_backward(&par, function, saved, out_grad, d_data)?,
        }
        Ok(())
    }))
}
