//! `take`, `Embedding` and their gradients: rows of a table by their numbers.

use super::dtype::Real;
use super::par::Workers;
use super::places::{OutOfRange, places, places_bytes};
use crate::compute::Tables;
use varflow_ops::defs::{around_axis, take_axis};
use varflow_ops::{Element, Kernel, KernelCall, KernelCtx, Result, Shape, WithWorkspace};

/// The tables that a shape is, and how many rows each has.
fn tables(call: &KernelCall<'_>, shape: &Shape) -> Result<(Tables, usize)> {
    let [outer, bound, inner] = around_axis(shape, take_axis(call.params, shape.rank())?);
    Ok((Tables { outer, inner }, bound))
}

/// With the table as input `table` and the indices as `index`.
pub(super) fn forward<T: Element>(call: &KernelCall<'_>, table: usize, index: usize) -> Result<Box<dyn Kernel>> {
    let (tables, bound) = tables(call, &call.inputs[table].shape)?;
    let mode = OutOfRange::of(call.params);
    Ok(Box::new(WithWorkspace {
        bytes: places_bytes(call.inputs[index].shape.len()),
        run: move |ctx: &mut KernelCtx<'_>| {
            let places = places(ctx, index, bound, mode)?;
            Ok(tables.take(&Workers::of(ctx), ctx.input::<T>(table)?, places, ctx.output(0)?)?)
        },
    }))
}

pub(super) fn backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let (tables, bound) = tables(call, &call.outputs[0].shape)?;
    let mode = OutOfRange::of(call.params);
    Ok(Box::new(WithWorkspace {
        bytes: places_bytes(call.inputs[1].shape.len()),
        run: move |ctx: &mut KernelCtx<'_>| {
            let places = places(ctx, 1, bound, mode)?;
            Ok(tables.add_back::<T>(&Workers::of(ctx), ctx.input(0)?, places, ctx.output(0)?)?)
        },
    }))
}
