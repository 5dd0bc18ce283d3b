//! Arithmetic of a tensor and a number, and its gradients.

use super::dtype::Real;
use super::par::Workers;
use crate::compute::{map, map_in_place, zip, zip_in_place};
use varflow_ops::{Kernel, KernelCall, KernelCtx, Pair, Result};

pub(super) fn plus<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    forward(call, |x: T, s| x + s)
}

pub(super) fn minus<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    forward(call, |x: T, s| x - s)
}

pub(super) fn minus_from<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    forward(call, |x: T, s| s - x)
}

pub(super) fn mul<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    forward(call, |x: T, s| x * s)
}

pub(super) fn div<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    forward(call, |x: T, s| x / s)
}

pub(super) fn div_into<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    forward(call, |x: T, s| s / x)
}

pub(super) fn div_into_backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    backward(call, |g: T, x, s| -g * s / (x * x))
}

/// NaN stays NaN.
pub(super) fn maximum<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    forward(call, |x: T, s| if s > x { s } else { x })
}

pub(super) fn maximum_backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    backward(call, |g: T, x, s| if x >= s { g } else { T::ZERO })
}

/// NaN stays NaN.
pub(super) fn minimum<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    forward(call, |x: T, s| if s < x { s } else { x })
}

pub(super) fn minimum_backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    backward(call, |g: T, x, s| if x <= s { g } else { T::ZERO })
}

pub(super) fn power<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    forward(call, |x: T, s| x.powf(s))
}

pub(super) fn power_backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    backward(call, |g: T, x, s| g * s * x.powf(s - T::ONE))
}

fn scalar<T: Real>(call: &KernelCall<'_>) -> T {
    T::from_f64(call.params.float("scalar"))
}

/// `output = f(data, scalar)`.
fn forward<T: Real>(call: &KernelCall<'_>, f: impl Fn(T, T) -> T + Send + Sync + 'static) -> Result<Box<dyn Kernel>> {
    let scalar = scalar(call);
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let par = Workers::of(ctx);
        match ctx.pair::<T>(0, 0)? {
            Pair::Same(both) => map_in_place(&par, both, |x| f(x, scalar)),
            Pair::Apart(data, output) => map(&par, data, output, |x| f(x, scalar))?,
        }
        Ok(())
    }))
}

/// `d_data = f(out_grad, data, scalar)`.
fn backward<T: Real>(
    call: &KernelCall<'_>,
    f: impl Fn(T, T, T) -> T + Send + Sync + 'static,
) -> Result<Box<dyn Kernel>> {
    let scalar = scalar(call);
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let (par, data) = (Workers::of(ctx), ctx.input::<T>(1)?);
        match ctx.pair::<T>(0, 0)? {
            Pair::Same(both) => zip_in_place(&par, both, data, |g, x| f(g, x, scalar))?,
            Pair::Apart(out_grad, d_data) => zip(&par, out_grad, data, d_data, |g, x| f(g, x, scalar))?,
        }
        Ok(())
    }))
}
