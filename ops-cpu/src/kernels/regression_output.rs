//! Outputs of regressions and their gradients.

use super::dtype::Real;
use super::pair::copied;
use super::par::Workers;
use crate::compute::{Unary, unary_in_place, zip_in_place};
use varflow_ops::{Kernel, KernelCall, KernelCtx, Result};

/// Which regression.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Regression {
    Linear,
    Logistic,
    Absolute,
}

pub(super) fn forward<T: Real>(_: &KernelCall<'_>, regression: Regression) -> Result<Box<dyn Kernel>> {
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let output = copied::<T>(ctx, 0, 0)?;
        if regression == Regression::Logistic {
            unary_in_place(&Workers::of(ctx), Unary::Sigmoid, output);
        }
        Ok(())
    }))
}

pub(super) fn backward<T: Real>(call: &KernelCall<'_>, regression: Regression) -> Result<Box<dyn Kernel>> {
    let label = &call.inputs[1].shape;
    let numbers = label.dims().iter().skip(1).product::<usize>().max(1);
    let scale = T::from_f64(call.params.float("grad_scale") / numbers as f64);
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let (par, label, d_data) = (Workers::of(ctx), ctx.input::<T>(1)?, copied::<T>(ctx, 0, 0)?);
        if regression == Regression::Absolute {
            let sign = move |y: T, label: T| match y.partial_cmp(&label) {
                Some(std::cmp::Ordering::Less) => -scale,
                Some(std::cmp::Ordering::Greater) => scale,
                // 0, or NaN where one is.
                _ => (y - label) * scale,
            };
            return Ok(zip_in_place(&par, d_data, label, sign)?);
        }
        Ok(zip_in_place(&par, d_data, label, move |y, label| (y - label) * scale)?)
    }))
}
