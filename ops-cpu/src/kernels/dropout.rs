//! `Dropout` and its gradient.

use super::dtype::Real;
use super::pair::copied;
use super::par::{Workers, chunks};
use super::repeat::Repeat;
use crate::compute::Par;
use varflow_ops::defs::axis_of;
use varflow_ops::{Kernel, KernelCall, KernelCtx, Philox, Result, WithWorkspace};

/// Numbers of the mask that are worth a part of their own.
const GRAIN: usize = 16 * 1024;

/// Which elements are dropped, and what the others are multiplied by.
struct Dropping<T> {
    repeat: Repeat,
    mask_len: usize,
    p: f64,
    scale: T,
}

impl<T: Real> Dropping<T> {
    /// None where data passes as it is: outside of training, unless the mode is always.
    fn new(call: &KernelCall<'_>) -> Result<Option<Dropping<T>>> {
        if !call.is_train && call.params.text("mode") != "always" {
            return Ok(None);
        }
        let data = call.inputs[0].shape.dims();
        let mut mask = data.to_vec();
        for axis in call.params.tuple("axes") {
            mask[axis_of(*axis, data.len())?] = 1;
        }
        let p = call.params.float("p");
        Ok(Some(Dropping {
            repeat: Repeat::new(&mask, data),
            mask_len: mask.iter().product(),
            p,
            scale: T::from_f64(1.0 / (1.0 - p)),
        }))
    }

    /// Draws the mask: 0 with probability p, else 1, by the number of the element alone.
    fn draw(&self, par: &dyn Par, rng: Philox, mask: &mut [u8]) {
        chunks(par, mask, 4, GRAIN, |start, mask| {
            for (block, mask) in (start as u64 / 4..).zip(mask.chunks_mut(4)) {
                for (keep, u) in mask.iter_mut().zip(rng.uniform4(block)) {
                    *keep = u8::from(f64::from(u) >= self.p);
                }
            }
        });
    }

    /// `x = x · mask / (1 - p)`.
    fn apply(&self, par: &dyn Par, mask: &[u8], x: &mut [T]) -> Result<()> {
        let scale = self.scale;
        Ok(self.repeat.each(par, mask, x, |x, keep| *x = *x * if keep == 0 { T::ZERO } else { scale })?)
    }
}

pub(super) fn forward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let dropping = Dropping::<T>::new(call)?;
    // The mask is drawn even if nobody wants it afterwards.
    let bytes = dropping.as_ref().filter(|_| !call.wanted[1]).map_or(0, |dropping| dropping.mask_len);
    let run = move |ctx: &mut KernelCtx<'_>| {
        let par = Workers::of(ctx);
        let mask: &mut [u8] = match bytes {
            _ if ctx.is_wanted(1) => ctx.output(1)?,
            0 => &mut [],
            _ => &mut ctx.workspace()?[..bytes],
        };
        match &dropping {
            Some(dropping) => dropping.draw(&par, ctx.rng(), mask),
            None => mask.fill(1),
        }
        if ctx.is_wanted(0) {
            let output = copied(ctx, 0, 0)?;
            if let Some(dropping) = &dropping {
                dropping.apply(&par, mask, output)?;
            }
        }
        Ok(())
    };
    Ok(Box::new(WithWorkspace { bytes, run }))
}

pub(super) fn backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let dropping = Dropping::<T>::new(call)?;
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let d_data = copied(ctx, 0, 0)?;
        match &dropping {
            Some(dropping) => dropping.apply(&Workers::of(ctx), ctx.input(1)?, d_data),
            None => Ok(()),
        }
    }))
}
