//! `UpSampling` and its gradients.

use super::dtype::Real;
use super::par::Workers;
use super::repeat::Repeat;
use super::scratch;
use crate::compute::{Conv, Reduction, reduce};
use std::ops::Range;
use varflow_ops::defs::{bilinear_window, upsampling_is_bilinear};
use varflow_ops::{Error, Kernel, KernelCall, KernelCtx, Result, Shape, TensorDesc, WithWorkspace};

/// How one input is repeated to its part of one sample of the output.
struct Part {
    /// Rows and columns of data, with axes of length 1 behind each.
    from: [usize; 4],
    to: [usize; 4],
    /// Its elements of a sample of the output.
    range: Range<usize>,
}

/// Several inputs that are repeated to one output.
struct Nearest {
    samples: usize,
    sample_len: usize,
    sum: bool,
    parts: Vec<Part>,
}

fn four(shape: &Shape) -> Result<[usize; 4]> {
    let dims = <[usize; 4]>::try_from(shape.dims());
    dims.map_err(|_| Error::Shape(format!("data has shape {shape}, wanted 4 axes")))
}

impl Nearest {
    fn new(call: &KernelCall<'_>, inputs: &[TensorDesc], out: &Shape) -> Result<Nearest> {
        let ([samples, channels, height, width], sum) = (four(out)?, call.params.text("multi_input_mode") == "sum");
        let sample_len = channels * height * width;
        let (mut parts, mut start) = (Vec::with_capacity(inputs.len()), 0);
        for input in inputs {
            let [n, c, h, w] = four(&input.shape)?;
            let (y, x) = (height.checked_div(h).unwrap_or(1), width.checked_div(w).unwrap_or(1));
            let len = c * height * width;
            if n != samples || h * y != height || w * x != width || start + len > sample_len {
                return Err(Error::Shape(format!("an input has shape {}, wanted a part of {out}", input.shape)));
            }
            parts.push(Part { from: [c * h, 1, w, 1], to: [c * h, y, w, x], range: start..start + len });
            start = if sum { 0 } else { start + len };
        }
        Ok(Nearest { samples, sample_len, sum, parts })
    }

    fn forward<T: Real>(&self, ctx: &KernelCtx<'_>) -> Result<()> {
        let (par, output) = (Workers::of(ctx), ctx.output::<T>(0)?);
        for (i, part) in self.parts.iter().enumerate() {
            let (data, repeat) = (ctx.input::<T>(i)?, Repeat::new(&part.from, &part.to));
            let len = data.len().checked_div(self.samples).unwrap_or(0);
            for sample in 0..self.samples {
                let data = &data[sample * len..][..len];
                let output = &mut output[sample * self.sample_len..][..self.sample_len][part.range.clone()];
                if self.sum && i > 0 {
                    repeat.each(&par, data, output, |out, x| *out += x)?;
                } else {
                    repeat.each(&par, data, output, |out, x| *out = x)?;
                }
            }
        }
        Ok(())
    }

    fn backward<T: Real>(&self, ctx: &KernelCtx<'_>) -> Result<()> {
        let (par, out_grad) = (Workers::of(ctx), ctx.input::<T>(0)?);
        for (i, part) in self.parts.iter().enumerate().filter(|(i, _)| ctx.is_wanted(*i)) {
            let d_data = ctx.output::<T>(i)?;
            let len = d_data.len().checked_div(self.samples).unwrap_or(0);
            for sample in 0..self.samples {
                let out_grad = &out_grad[sample * self.sample_len..][..self.sample_len][part.range.clone()];
                let d_data = &mut d_data[sample * len..][..len];
                reduce(&par, Reduction::Sum, out_grad, &part.to, &[1, 3], d_data)?;
            }
        }
        Ok(())
    }
}

/// The convolution of the output, a channel at a time, of which a bilinear `UpSampling` is the transpose.
fn convolution(call: &KernelCall<'_>, out: &Shape) -> Result<Conv> {
    let ([n, c, h, w], scale) = (four(out)?, call.params.usize("scale"));
    let [kernel, pad] = bilinear_window(scale);
    Ok(Conv::new(n, c, &[h, w], c, &[kernel; 2], &[scale; 2], &[1; 2], &[pad; 2], c)?)
}

pub(super) fn forward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let out = &call.outputs[0].shape;
    if upsampling_is_bilinear(call.params) {
        let conv = convolution(call, out)?;
        let len = conv.backward_data_workspace_len::<T>();
        return Ok(Box::new(WithWorkspace {
            bytes: len * size_of::<T>(),
            run: move |ctx: &mut KernelCtx<'_>| {
                let workspace = scratch::elements::<T>(ctx, len)?;
                let (data, weight) = (ctx.input::<T>(0)?, ctx.input::<T>(1)?);
                Ok(conv.backward_data(&Workers::of(ctx), weight, data, ctx.output(0)?, workspace)?)
            },
        }));
    }
    let nearest = Nearest::new(call, call.inputs, out)?;
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| nearest.forward::<T>(ctx)))
}

pub(super) fn backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let out = &call.inputs[0].shape;
    if upsampling_is_bilinear(call.params) {
        let conv = convolution(call, out)?;
        let len = conv.forward_workspace_len::<T>().max(conv.backward_weight_workspace_len::<T>());
        return Ok(Box::new(WithWorkspace {
            bytes: len * size_of::<T>(),
            run: move |ctx: &mut KernelCtx<'_>| {
                let workspace = scratch::elements::<T>(ctx, len)?;
                let (par, out_grad) = (Workers::of(ctx), ctx.input::<T>(0)?);
                if ctx.is_wanted(0) {
                    conv.forward(&par, out_grad, ctx.input(2)?, None, ctx.output(0)?, workspace)?;
                }
                if ctx.is_wanted(1) {
                    conv.backward_weight(&par, out_grad, ctx.input(1)?, ctx.output(1)?, workspace)?;
                }
                Ok(())
            },
        }));
    }
    let nearest = Nearest::new(call, call.outputs, out)?;
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| nearest.backward::<T>(ctx)))
}
