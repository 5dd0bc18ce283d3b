//! `add_n`: a sum of tensors.

use super::dtype::Real;
use super::par::Workers;
use crate::compute::{zip, zip_in_place};
use varflow_ops::{Kernel, KernelCall, KernelCtx, Pair, Result};

pub(super) fn forward<T: Real>(_: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    Ok(Box::new(sum::<T>))
}

/// Output 0 is the sum of all inputs, added in their order.
pub(super) fn sum<T: Real>(ctx: &mut KernelCtx<'_>) -> Result<()> {
    let (par, n) = (Workers::of(ctx), ctx.num_inputs());
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
}
