//! `LayerNorm` and its gradients: rows along the last axis, to which another axis is brought first.

use super::dtype::Real;
use super::par::Workers;
use super::scratch;
use crate::compute::{LayerNorm, transpose};
use varflow_ops::defs::{around_axis, axis_of};
use varflow_ops::{Kernel, KernelCall, KernelCtx, Result, TensorDesc, WithWorkspace};

/// The rows, and the lengths before, along and after the axis.
fn layer_norm(call: &KernelCall<'_>, data: &TensorDesc) -> Result<(LayerNorm, [usize; 3])> {
    let axis = axis_of(call.params.int("axis"), data.shape.rank())?;
    let [outer, len, inner] = around_axis(&data.shape, axis);
    Ok((LayerNorm { rows: outer * inner, len, eps: call.params.float("eps") }, [outer, len, inner]))
}

fn output<'a, T: Real>(ctx: &KernelCtx<'a>, o: usize) -> Result<&'a mut [T]> {
    if ctx.is_wanted(o) { ctx.output(o) } else { Ok(&mut []) }
}

/// The same rows with the axis last, in scratch memory.
fn brought_last<'a, T: Real>(
    par: &Workers<'_>,
    from: &'a [T],
    shape: [usize; 3],
    scratch: &'a mut [T],
) -> Result<&'a [T]> {
    if shape[2] == 1 {
        return Ok(from);
    }
    transpose(par, from, &shape, &[0, 2, 1], scratch)?;
    Ok(scratch)
}

/// Calls `body` with the memory to write rows to, which become `to`.
fn brought_back<T: Real>(
    par: &Workers<'_>,
    to: &mut [T],
    [outer, len, inner]: [usize; 3],
    scratch: &mut [T],
    body: impl FnOnce(&mut [T]) -> Result<()>,
) -> Result<()> {
    if inner == 1 || to.is_empty() {
        return body(to);
    }
    body(scratch)?;
    Ok(transpose(par, scratch, &[outer, inner, len], &[0, 2, 1], to)?)
}

pub(super) fn forward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let (norm, shape) = layer_norm(call, &call.inputs[0])?;
    let moved = if shape[2] == 1 { 0 } else { norm.rows * norm.len };
    let bytes = scratch::bytes::<T>(0, 2 * moved);
    let run = move |ctx: &mut KernelCtx<'_>| {
        let par = Workers::of(ctx);
        let workspace = scratch::take::<T>(ctx, 0, 2 * moved)?.1;
        let (from, to) = workspace.split_at_mut(moved);
        let data = brought_last(&par, ctx.input::<T>(0)?, shape, from)?;
        let inputs = [data, ctx.input(1)?, ctx.input(2)?];
        let (mean, std) = (output(ctx, 1)?, output(ctx, 2)?);
        brought_back(&par, output(ctx, 0)?, shape, to, |to| Ok(norm.forward(&par, inputs, [to, mean, std])?))
    };
    Ok(Box::new(WithWorkspace { bytes, run }))
}

pub(super) fn backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let (norm, shape) = layer_norm(call, &call.inputs[1])?;
    let moved = if shape[2] == 1 { 0 } else { norm.rows * norm.len };
    let doubles = norm.backward_scratch();
    let bytes = scratch::bytes::<T>(doubles, 3 * moved);
    let run = move |ctx: &mut KernelCtx<'_>| {
        let par = Workers::of(ctx);
        let (sums, workspace) = scratch::take::<T>(ctx, doubles, 3 * moved)?;
        let (grads, rest) = workspace.split_at_mut(moved);
        let (from, to) = rest.split_at_mut(moved);
        let out_grad = brought_last(&par, ctx.input::<T>(0)?, shape, grads)?;
        let data = brought_last(&par, ctx.input::<T>(1)?, shape, from)?;
        let inputs = [out_grad, data, ctx.input(2)?, ctx.input(3)?, ctx.input(4)?];
        let (d_gamma, d_beta) = (output(ctx, 1)?, output(ctx, 2)?);
        brought_back(&par, output(ctx, 0)?, shape, to, |to| {
            Ok(norm.backward(&par, inputs, [to, d_gamma, d_beta], sums)?)
        })
    };
    Ok(Box::new(WithWorkspace { bytes, run }))
}
