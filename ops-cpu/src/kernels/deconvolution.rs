//! `Deconvolution` and its gradients: the convolution that takes output to data, turned round.

use super::dtype::Real;
use super::par::Workers;
use super::scratch;
use crate::compute::{Channels, Conv};
use varflow_ops::defs::{around_axis, deconvolution_window};
use varflow_ops::{Error, Kernel, KernelCall, KernelCtx, Result, TensorDesc, WithWorkspace};

fn geometry(call: &KernelCall<'_>, data: &TensorDesc) -> Result<Conv> {
    let &[samples, channels, ref lens @ ..] = data.shape.dims() else {
        return Err(Error::Shape(format!("data has shape {}, wanted batch, channel and 1 to 3 axes", data.shape)));
    };
    let (window, out) = deconvolution_window(call.params, lens)?;
    let (filters, groups) = (call.params.usize("num_filter"), call.params.usize("num_group"));
    let (kernel, stride, dilate, pad) = (&window.kernel, &window.stride, &window.dilate, &window.pad);
    Ok(Conv::new(samples, filters, &out, channels, kernel, stride, dilate, pad, groups)?)
}

fn channels(of: &TensorDesc) -> Channels {
    let [outer, channels, inner] = around_axis(&of.shape, 1);
    Channels { outer, channels, inner }
}

pub(super) fn forward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let conv = geometry(call, &call.inputs[0])?;
    let filters = channels(&call.outputs[0]);
    let has_bias = !call.params.bool("no_bias");
    let len = conv.backward_data_workspace_len::<T>();
    let run = move |ctx: &mut KernelCtx<'_>| {
        let (par, workspace) = (Workers::of(ctx), scratch::elements::<T>(ctx, len)?);
        let output = ctx.output::<T>(0)?;
        conv.backward_data(&par, ctx.input(1)?, ctx.input(0)?, output, workspace)?;
        if has_bias {
            let bias = ctx.input::<T>(2)?;
            filters.zip(&par, (None, None), output, |c| move |x, _| x + bias[c])?;
        }
        Ok(())
    };
    Ok(Box::new(WithWorkspace { bytes: len * size_of::<T>(), run }))
}

pub(super) fn backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let conv = geometry(call, &call.inputs[1])?;
    let filters = channels(&call.inputs[0]);
    let has_bias = !call.params.bool("no_bias");
    let by_data = if call.wanted[0] { conv.forward_workspace_len::<T>() } else { 0 };
    let by_weight = if call.wanted[1] { conv.backward_weight_workspace_len::<T>() } else { 0 };
    let len = by_data.max(by_weight);
    let run = move |ctx: &mut KernelCtx<'_>| {
        let (par, workspace) = (Workers::of(ctx), scratch::elements::<T>(ctx, len)?);
        let out_grad = ctx.input::<T>(0)?;
        if ctx.is_wanted(0) {
            conv.forward(&par, out_grad, ctx.input(2)?, None, ctx.output(0)?, workspace)?;
        }
        if ctx.is_wanted(1) {
            conv.backward_weight(&par, out_grad, ctx.input(1)?, ctx.output(1)?, workspace)?;
        }
        if has_bias && ctx.is_wanted(2) {
            let mut sums = vec![[0.0; 2]; filters.channels];
            filters.sums(&par, out_grad, out_grad, &mut sums, |_| |g: T, _| (g, T::ZERO))?;
            ctx.output::<T>(2)?.iter_mut().zip(sums).for_each(|(to, sums)| *to = T::from_f64(sums[0]));
        }
        Ok(())
    };
    Ok(Box::new(WithWorkspace { bytes: len * size_of::<T>(), run }))
}
