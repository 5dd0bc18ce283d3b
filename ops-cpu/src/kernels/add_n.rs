//! `add_n`: a sum of tensors.

use super::dtype::Real;
use super::par::Workers;
use crate::compute::{zip, zip_in_place};
use varflow_ops::{Kernel, KernelCall, KernelCtx, Pair, Result};

/// Adds in the order of the inputs.
pub(super) fn forward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let n = call.inputs.len();
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let par = Workers::of(ctx);
        let (sum, added) = match ctx.pair::<T>(0, 0)? {
            Pair::Same(both) => (both, 1),
            Pair::Apart(first, output) if n > 1 => {
                zip(&par, first, ctx.input(1)?, output, |a: T, b| a + b)?;
                (output, 2)
            }
            Pair::Apart(first, output) => {
                output.copy_from_slice(first);
                (output, 1)
            }
        };
        for i in added..n {
            zip_in_place(&par, sum, ctx.input(i)?, |a: T, b| a + b)?;
        }
        Ok(())
    }))
}
