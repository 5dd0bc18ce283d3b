//! `MakeLoss` and its gradient.

use super::dtype::Real;
use super::pair::copied;
use super::par::Workers;
use crate::compute::{Reduction, fill, map_in_place, reduce};
use varflow_ops::{Kernel, KernelCall, KernelCtx, Result};

pub(super) fn forward<T: Real>(_: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| copied::<T>(ctx, 0, 0).map(|_| ())))
}

pub(super) fn backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let scale = call.params.float("grad_scale");
    let normalization = call.params.text("normalization");
    let samples = call.inputs[0].shape.dims().first().copied().unwrap_or(1).max(1);
    let valid = (normalization == "valid").then(|| T::from_f64(call.params.float("valid_thresh")));
    let divisor = if normalization == "batch" { samples } else { 1 };
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let (par, d_data) = (Workers::of(ctx), copied::<T>(ctx, 0, 0)?);
        let divisor = match valid {
            Some(least) => count_above(&par, d_data, least)?.max(1.0),
            None => divisor as f64,
        };
        fill(&par, d_data, T::from_f64(scale / divisor));
        Ok(())
    }))
}

/// How many numbers are above `least`; they are lost.
fn count_above<T: Real>(par: &Workers<'_>, x: &mut [T], least: T) -> Result<f64> {
    // Ones are added in single precision, so in blocks that it counts exactly.
    map_in_place(par, x, |x| if x > least { T::ONE } else { T::ZERO });
    let mut count = 0.0;
    for block in x.chunks(1 << 24) {
        let mut sum = [T::ZERO];
        reduce(par, Reduction::Sum, block, &[block.len()], &[0], &mut sum)?;
        count += sum[0].to_f64();
    }
    Ok(count)
}
