//! `pick`, `batch_take`, `one_hot` and their gradients: one place along an axis, by its number.

use super::dtype::Real;
use super::labels::Labels;
use super::par::{Workers, chunks};
use super::places::{OutOfRange, places, places_bytes};
use crate::compute::{Number, Picks};
use varflow_ops::defs::{around_axis, pick_axis};
use varflow_ops::{Element, Kernel, KernelCall, KernelCtx, Result, Shape, WithWorkspace};

/// The slabs that data is, and how many rows each has.
fn picks(call: &KernelCall<'_>, data: &Shape) -> Result<(Picks, usize)> {
    let [outer, bound, inner] = around_axis(data, pick_axis(call.params, data.rank())?);
    Ok((Picks { outer, inner }, bound))
}

pub(super) fn forward<T: Element>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let (picks, bound) = picks(call, &call.inputs[0].shape)?;
    let mode = OutOfRange::of(call.params);
    Ok(Box::new(WithWorkspace {
        bytes: places_bytes(call.inputs[1].shape.len()),
        run: move |ctx: &mut KernelCtx<'_>| {
            let places = places(ctx, 1, bound, mode)?;
            Ok(picks.take(&Workers::of(ctx), ctx.input::<T>(0)?, places, ctx.output(0)?)?)
        },
    }))
}

pub(super) fn backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let (picks, bound) = picks(call, &call.outputs[0].shape)?;
    let mode = OutOfRange::of(call.params);
    Ok(Box::new(WithWorkspace {
        bytes: places_bytes(call.inputs[1].shape.len()),
        run: move |ctx: &mut KernelCtx<'_>| {
            let places = places(ctx, 1, bound, mode)?;
            Ok(picks.put::<T>(&Workers::of(ctx), ctx.input(0)?, places, ctx.output(0)?)?)
        },
    }))
}

/// For outputs of `T`; the indices may be of any dtype.
pub(super) fn one_hot<T: Element + Number>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let depth = call.params.usize("depth");
    let [on, off] = ["on_value", "off_value"].map(|value| T::from_f64(call.params.float(value)));
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let (labels, out) = (Labels::of(ctx, 0)?, ctx.output::<T>(0)?);
        chunks(&Workers::of(ctx), out, depth, 32 * 1024, |start, out| {
            out.fill(off);
            let first = start / depth;
            let mut rows = out.chunks_exact_mut(depth);
            labels.each(first..first + rows.len(), |index| {
                let index = index.trunc();
                let row = rows.next().filter(|_| index >= 0.0 && index < depth as f64);
                if let Some(place) = row.and_then(|row| row.get_mut(index as usize)) {
                    *place = on;
                }
            });
        });
        Ok(())
    }))
}
