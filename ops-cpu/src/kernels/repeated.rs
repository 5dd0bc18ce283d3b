//! `tile`, `repeat`, `broadcast_to`, `broadcast_axis`, `broadcast_like` and their gradients: data, seen with axes of
//! length 1, repeated along these.

use super::dtype::Real;
use super::par::Workers;
use super::repeat::Repeat;
use crate::compute::reduce;
use crate::compute::Reduction;
use varflow_ops::defs::{repeat_axis, tile_reps};
use varflow_ops::{Element, Error, Kernel, KernelCall, KernelCtx, Params, Result, Shape};

/// Data's shape with axes of length 1 where the output has others.
type Shapes = (Vec<usize>, Vec<usize>);
type View = fn(&Params, &Shape, &Shape) -> Result<Shapes>;

fn forward<T: Element>(call: &KernelCall<'_>, view: View) -> Result<Box<dyn Kernel>> {
    let (from, to) = view(call.params, &call.inputs[0].shape, &call.outputs[0].shape)?;
    let repeat = Repeat::new(&from, &to);
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        Ok(repeat.each(&Workers::of(ctx), ctx.input::<T>(0)?, ctx.output(0)?, |out: &mut T, x| *out = x)?)
    }))
}

fn backward<T: Real>(call: &KernelCall<'_>, view: View) -> Result<Box<dyn Kernel>> {
    let (from, to) = view(call.params, &call.outputs[0].shape, &call.inputs[0].shape)?;
    let axes: Vec<_> = (0..to.len()).filter(|a| from[*a] != to[*a]).collect();
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        Ok(reduce::<T>(&Workers::of(ctx), Reduction::Sum, ctx.input(0)?, &to, &axes, ctx.output(0)?)?)
    }))
}

fn tile_view(params: &Params, data: &Shape, _: &Shape) -> Result<Shapes> {
    let reps = tile_reps(params, data.rank());
    let missing = reps.len() - data.rank();
    let dims = std::iter::repeat_n(1, missing).chain(data.dims().iter().copied());
    Ok(dims.zip(reps).map(|(d, r)| ([1, d], [r, d])).fold((Vec::new(), Vec::new()), |(mut from, mut to), (f, t)| {
        from.extend(f);
        to.extend(t);
        (from, to)
    }))
}

fn repeat_view(params: &Params, data: &Shape, _: &Shape) -> Result<Shapes> {
    let repeats = params.usize("repeats");
    let (before, after): (usize, usize) = match repeat_axis(params, data.rank())? {
        Some(axis) => (data.dims()[..=axis].iter().product(), data.dims()[axis + 1..].iter().product()),
        None => (data.len(), 1),
    };
    Ok((vec![before, 1, after], vec![before, repeats, after]))
}

fn broadcast_view(_: &Params, data: &Shape, out: &Shape) -> Result<Shapes> {
    let fits = data.rank() == out.rank() && data.dims().iter().zip(out.dims()).all(|(d, o)| *d == 1 || d == o);
    if !fits {
        return Err(Error::Shape(format!("data has shape {data}, wanted axes of length 1 or as in the output {out}")));
    }
    Ok((data.dims().to_vec(), out.dims().to_vec()))
}

pub(super) fn tile<T: Element>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    forward::<T>(call, tile_view)
}

pub(super) fn tile_backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    backward::<T>(call, tile_view)
}

pub(super) fn repeat<T: Element>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    forward::<T>(call, repeat_view)
}

pub(super) fn repeat_backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    backward::<T>(call, repeat_view)
}

/// To the output's shape.
pub(super) fn broadcast<T: Element>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    forward::<T>(call, broadcast_view)
}

pub(super) fn broadcast_backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    backward::<T>(call, broadcast_view)
}
