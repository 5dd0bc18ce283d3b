//! `softmax_cross_entropy` and its gradient.

use super::dtype::Real;
use super::labels::Labels;
use super::pair::copied;
use super::par::Workers;
use crate::compute::{log_softmax, map_in_place, softmax_in_place};
use varflow_ops::{Error, Kernel, KernelCall, KernelCtx, Result, TensorDesc, WithWorkspace};

/// The number of classes.
fn classes(data: &TensorDesc) -> Result<usize> {
    match data.shape.dims() {
        &[_, classes] => Ok(classes),
        _ => Err(Error::Shape(format!("data has shape {}, wanted (samples, classes)", data.shape))),
    }
}

pub(super) fn forward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let classes = classes(&call.inputs[0])?;
    let bytes = call.inputs[0].shape.len().saturating_mul(size_of::<T>());
    let run = move |ctx: &mut KernelCtx<'_>| {
        let (data, labels, output) = (ctx.input::<T>(0)?, Labels::of(ctx, 1)?, ctx.output::<T>(0)?);
        labels.check(classes, None)?;
        let mut sum = 0.0;
        if bytes > 0 {
            let logs = &mut ctx.workspace::<T>()?[..data.len()];
            log_softmax(&Workers::of(ctx), classes, data, logs)?;
            sum = (0..labels.len()).map(|i| -logs[i * classes + labels.number(i) as usize].to_f64()).sum();
        }
        output.fill(T::from_f64(sum));
        Ok(())
    };
    Ok(Box::new(WithWorkspace { bytes, run }))
}

pub(super) fn backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let classes = classes(&call.inputs[1])?;
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let (par, out_grad, labels) = (Workers::of(ctx), ctx.input::<T>(0)?, Labels::of(ctx, 2)?);
        labels.check(classes, None)?;
        let d_data = copied::<T>(ctx, 1, 0)?;
        if d_data.is_empty() {
            return Ok(());
        }
        softmax_in_place(&par, classes, d_data)?;
        for (i, row) in d_data.chunks_mut(classes).enumerate() {
            let at_label = &mut row[labels.number(i) as usize];
            *at_label = *at_label - T::ONE;
        }
        let factor = out_grad.first().copied().unwrap_or(T::ZERO);
        map_in_place(&par, d_data, |d| d * factor);
        Ok(())
    }))
}
