//! `SVMOutput` and its gradient.

use super::dtype::Real;
use super::labels::Labels;
use super::pair::copied;
use super::par::{Workers, chunks};
use varflow_ops::{Kernel, KernelCall, KernelCtx, Result};

/// Numbers that are worth a part of their own.
const GRAIN: usize = 16 * 1024;

pub(super) fn forward<T: Real>(_: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| copied::<T>(ctx, 0, 0).map(|_| ())))
}

pub(super) fn backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let classes = call.inputs[0].shape.dims().last().copied().unwrap_or(1);
    let margin = T::from_f64(call.params.float("margin"));
    let factor = T::from_f64(call.params.float("regularization_coefficient"));
    let (linear, two) = (call.params.bool("use_linear"), T::from_f64(2.0));
    // By the signed output.
    let gradient = move |x: T| match margin - x {
        short if short > T::ZERO => -factor * if linear { T::ONE } else { two * short },
        short if short.is_nan() => short,
        _ => T::ZERO,
    };
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let (par, labels) = (Workers::of(ctx), Labels::of(ctx, 1)?);
        labels.check(classes, None)?;
        chunks(&par, copied::<T>(ctx, 0, 0)?, classes, GRAIN, |start, d| {
            for (row, d) in (start / classes..).zip(d.chunks_mut(classes)) {
                let label = labels.number(row) as usize;
                for (class, d) in d.iter_mut().enumerate() {
                    *d = if class == label { gradient(*d) } else { -gradient(-*d) };
                }
            }
        });
        Ok(())
    }))
}
