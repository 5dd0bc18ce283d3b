//! `Convolution` and its gradients.

use super::dtype::Real;
use super::par::Workers;
use crate::compute::{Conv, Terms};
use varflow_ops::defs::convolution_window;
use varflow_ops::{Error, Kernel, KernelCall, KernelCtx, Pair, Result, TensorDesc, WithWorkspace};

pub(super) fn geometry(call: &KernelCall<'_>, data: &TensorDesc) -> Result<Conv> {
    let window = convolution_window(call.params)?;
    let &[samples, channels, ref lens @ ..] = data.shape.dims() else {
        return Err(Error::Shape(format!("data has shape {}, wanted batch, channel and 1 to 3 axes", data.shape)));
    };
    let (filters, groups) = (call.params.usize("num_filter"), call.params.usize("num_group"));
    let (kernel, stride, dilate, pad) = (&window.kernel, &window.stride, &window.dilate, &window.pad);
    Ok(Conv::new(samples, channels, lens, filters, kernel, stride, dilate, pad, groups)?)
}

/// The workspace; none is an empty one.
fn workspace<'a, T: Real>(ctx: &mut KernelCtx<'a>, len: usize) -> Result<&'a mut [T]> {
    if len == 0 { Ok(&mut []) } else { ctx.workspace() }
}

pub(super) fn forward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let conv = geometry(call, &call.inputs[0])?;
    let has_bias = !call.params.bool("no_bias");
    let len = conv.forward_workspace_len::<T>();
    let run = move |ctx: &mut KernelCtx<'_>| {
        let (par, workspace) = (Workers::of(ctx), workspace::<T>(ctx, len)?);
        let bias = if has_bias { Some(ctx.input(2)?) } else { None };
        let (data, output) = match ctx.pair(0, 0)? {
            Pair::Same(both) => (None, both),
            Pair::Apart(data, output) => (Some(data), output),
        };
        Ok(conv.forward_with(&par, data, &Terms::new(ctx.input(1)?, bias), output, workspace)?)
    };
    Ok(Box::new(WithWorkspace { bytes: len * size_of::<T>(), run }))
}

pub(super) fn backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let conv = geometry(call, &call.inputs[1])?;
    let has_bias = !call.params.bool("no_bias");
    let by_data = if call.wanted[0] { conv.backward_data_workspace_len::<T>() } else { 0 };
    let by_weight = if call.wanted[1] { conv.backward_weight_workspace_len::<T>() } else { 0 };
    let len = by_data.max(by_weight);
    let run = move |ctx: &mut KernelCtx<'_>| {
        let (par, workspace) = (Workers::of(ctx), workspace::<T>(ctx, len)?);
        let (out_grad, d_data): (_, Option<&mut [T]>) = match ctx.is_wanted(0).then(|| ctx.pair(0, 0)).transpose()? {
            None => (Some(ctx.input(0)?), None),
            Some(Pair::Same(both)) => (None, Some(both)),
            Some(Pair::Apart(out_grad, d_data)) => (Some(out_grad), Some(d_data)),
        };
        // The gradient by the data comes last: it may take the place of `out_grad`.
        let held = out_grad.or(d_data.as_deref()).unwrap_or(&[]);
        if ctx.is_wanted(1) {
            conv.backward_weight(&par, ctx.input(1)?, held, ctx.output(1)?, workspace)?;
        }
        if has_bias && ctx.is_wanted(2) {
            conv.backward_bias(&par, held, ctx.output(2)?)?;
        }
        if let Some(d_data) = d_data {
            conv.backward_data_from(&par, ctx.input(2)?, out_grad, d_data, workspace)?;
        }
        Ok(())
    };
    Ok(Box::new(WithWorkspace { bytes: len * size_of::<T>(), run }))
}
