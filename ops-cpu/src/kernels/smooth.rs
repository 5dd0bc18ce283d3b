//! `hard_sigmoid`, `smooth_l1` and their gradients.

use super::dtype::Real;
use super::par::Workers;
use crate::compute::{map, map_in_place, zip, zip_in_place};
use varflow_ops::{Kernel, KernelCall, KernelCtx, Pair, Result};

/// `output = f(data)`.
fn by_data<T: Real>(f: impl Fn(T) -> T + Send + Sync + 'static) -> Box<dyn Kernel> {
    Box::new(move |ctx: &mut KernelCtx<'_>| {
        let par = Workers::of(ctx);
        match ctx.pair::<T>(0, 0)? {
            Pair::Same(both) => map_in_place(&par, both, &f),
            Pair::Apart(data, output) => map(&par, data, output, &f)?,
        }
        Ok(())
    })
}

/// `d_data = f(out_grad, input 1)`.
fn by_gradient<T: Real>(f: impl Fn(T, T) -> T + Send + Sync + 'static) -> Box<dyn Kernel> {
    Box::new(move |ctx: &mut KernelCtx<'_>| {
        let (par, saved) = (Workers::of(ctx), ctx.input::<T>(1)?);
        match ctx.pair::<T>(0, 0)? {
            Pair::Same(both) => zip_in_place(&par, both, saved, &f)?,
            Pair::Apart(out_grad, d_data) => zip(&par, out_grad, saved, d_data, &f)?,
        }
        Ok(())
    })
}

pub(super) fn hard_sigmoid<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let [alpha, beta] = ["alpha", "beta"].map(|name| T::from_f64(call.params.float(name)));
    Ok(by_data(move |x: T| match alpha * x + beta {
        y if y < T::ZERO => T::ZERO,
        y if y > T::ONE => T::ONE,
        y => y,
    }))
}

pub(super) fn hard_sigmoid_backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let alpha = T::from_f64(call.params.float("alpha"));
    Ok(by_gradient(move |g: T, y| if y > T::ZERO && y < T::ONE { g * alpha } else { T::ZERO }))
}

/// σ², and where the curve turns into a line: 1 / σ².
fn bend<T: Real>(call: &KernelCall<'_>) -> [T; 2] {
    let sigma = call.params.float("scalar");
    [T::from_f64(sigma * sigma), T::from_f64(1.0 / (sigma * sigma))]
}

pub(super) fn smooth_l1<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let ([square, bend], half) = (bend::<T>(call), T::from_f64(0.5));
    Ok(by_data(move |x: T| match x {
        x if x > bend => x - half * bend,
        x if x < -bend => -x - half * bend,
        x => half * x * x * square,
    }))
}

pub(super) fn smooth_l1_backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let [square, bend] = bend::<T>(call);
    Ok(by_gradient(move |g: T, x| match x {
        x if x > bend => g,
        x if x < -bend => -g,
        x => g * square * x,
    }))
}
