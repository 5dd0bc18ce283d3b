//! `clip` and its gradient.

use super::dtype::Real;
use super::par::Workers;
use crate::compute::{Number, map, map_in_place, zip, zip_in_place};
use varflow_ops::{Element, Kernel, KernelCall, KernelCtx, Pair, Result};

/// The bounds, cast to the type of the elements.
fn bounds<T: Number>(call: &KernelCall<'_>) -> (T, T) {
    (T::from_f64(call.params.float("a_min")), T::from_f64(call.params.float("a_max")))
}

/// What is above the upper bound becomes that, else what is below the lower bound that; NaN stays NaN.
pub(super) fn forward<T: Number + Element>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let (min, max) = bounds::<T>(call);
    let clip = clipped(min, max);
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let par = Workers::of(ctx);
        match ctx.pair::<T>(0, 0)? {
            Pair::Same(both) => map_in_place(&par, both, clip),
            Pair::Apart(data, output) => map(&par, data, output, clip)?,
        }
        Ok(())
    }))
}

/// What [`forward`] does to an element.
pub(super) fn clipped<T: Number>(min: T, max: T) -> impl Fn(T) -> T + Copy + Send + Sync + 'static {
    move |x: T| match x {
        x if x > max => max,
        x if x < min => min,
        x => x,
    }
}

/// The gradient at an element: it passes where data is within the bounds.
pub(super) fn passed_by_clip<T: Real>(min: T, max: T) -> impl Fn(T, T) -> T + Copy + Send + Sync + 'static {
    move |g: T, x: T| if x >= min && x <= max { g } else { T::ZERO }
}

pub(super) fn backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let (min, max) = bounds::<T>(call);
    let passed = passed_by_clip(min, max);
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let (par, data) = (Workers::of(ctx), ctx.input::<T>(1)?);
        match ctx.pair::<T>(0, 0)? {
            Pair::Same(both) => zip_in_place(&par, both, data, passed)?,
            Pair::Apart(out_grad, d_data) => zip(&par, out_grad, data, d_data, passed)?,
        }
        Ok(())
    }))
}
