//! Arithmetic of a tensor and a number, and its gradients.

use super::broadcast::floor;
use super::dtype::Real;
use super::par::Workers;
use crate::compute::{Binary, BinaryLoops, binary, binary_in_place, zip, zip_in_place};
use varflow_ops::{Element, Kernel, KernelCall, KernelCtx, Pair, Result};

/// `output = data op scalar`, of any element type, into which the scalar is cast.
pub(super) fn forward<T: BinaryLoops + Element>(call: &KernelCall<'_>, op: Binary) -> Result<Box<dyn Kernel>> {
    let scalar = T::from_f64(call.params.float("scalar"));
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let (par, scalar) = (Workers::of(ctx), (&[scalar][..], &[1][..]));
        Ok(match ctx.pair::<T>(0, 0)? {
            Pair::Same(both) => {
                let len = both.len();
                binary_in_place(&par, op, (both, &[len]), scalar)
            }
            Pair::Apart(data, output) => binary(&par, op, (data, &[data.len()]), scalar, output),
        }?)
    }))
}

pub(super) fn div_into_backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    backward(call, |g: T, x, s| -g * s / (x * x))
}

pub(super) fn mod_of_backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    backward(call, |g: T, x, s| -g * floor(s / x))
}

pub(super) fn maximum_backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    backward(call, |g: T, x, s| if x >= s { g } else { T::ZERO })
}

pub(super) fn minimum_backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    backward(call, |g: T, x, s| if x <= s { g } else { T::ZERO })
}

pub(super) fn power_backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    backward(call, |g: T, x, s| g * s * x.powf(s - T::ONE))
}

pub(super) fn power_of_backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    backward(call, |g: T, x, s| g * s.powf(x) * s.ln())
}

pub(super) fn hypot_backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    backward(call, |g: T, x, s| g * x / x.hypot(s))
}

/// `d_data = f(out_grad, data, scalar)`.
fn backward<T: Real>(
    call: &KernelCall<'_>,
    f: impl Fn(T, T, T) -> T + Send + Sync + 'static,
) -> Result<Box<dyn Kernel>> {
    let scalar = T::from_f64(call.params.float("scalar"));
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let (par, data) = (Workers::of(ctx), ctx.input::<T>(1)?);
        match ctx.pair::<T>(0, 0)? {
            Pair::Same(both) => zip_in_place(&par, both, data, |g, x| f(g, x, scalar))?,
            Pair::Apart(out_grad, d_data) => zip(&par, out_grad, data, d_data, |g, x| f(g, x, scalar))?,
        }
        Ok(())
    }))
}
