//! `sgd_update` and `sgd_mom_update`.

use super::dtype::Real;
use super::par::Workers;
use crate::compute::{Sgd, sgd_momentum_update, sgd_update};
use varflow_ops::{Kernel, KernelCall, KernelCtx, Result};

fn settings<T: Real>(call: &KernelCall<'_>) -> Sgd<T> {
    let number = |name| T::from_f64(call.params.float(name));
    Sgd {
        lr: number("lr"),
        wd: number("wd"),
        rescale_grad: number("rescale_grad"),
        clip_gradient: number("clip_gradient"),
    }
}

pub(super) fn update<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let sgd = settings::<T>(call);
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let (weight, grad) = (ctx.mutated(0)?, ctx.input(1)?);
        Ok(sgd_update(&Workers::of(ctx), sgd, grad, weight)?)
    }))
}

pub(super) fn momentum_update<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let (sgd, momentum) = (settings::<T>(call), T::from_f64(call.params.float("momentum")));
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let (weight, grad, mom) = (ctx.mutated(0)?, ctx.input(1)?, ctx.mutated(2)?);
        Ok(sgd_momentum_update(&Workers::of(ctx), sgd, momentum, grad, mom, weight)?)
    }))
}
