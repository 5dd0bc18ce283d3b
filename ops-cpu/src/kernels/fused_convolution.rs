//! `_FusedConvolution`: what is linear in the output is folded into weight and bias, the rest is done to outputs while they
//! are in registers.

use super::convolution::geometry;
use super::dtype::Real;
use super::par::Workers;
use crate::compute::{Addend, Terms};
use varflow_ops::defs::FusedConvolutionInputs;
use varflow_ops::{Kernel, KernelCall, KernelCtx, Pair, Params, Result, WithWorkspace};

pub(super) fn forward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let conv = geometry(call, &call.inputs[0])?;
    let inputs = FusedConvolutionInputs::of(call.params);
    let normalised = Normalised::new(call.params, inputs);
    let bounds = bounds::<T>(call.params);
    let conv_len = conv.forward_workspace_len::<T>();
    let (weight_len, filters) = if normalised.is_some() { (conv.weight_len(), conv.filters()) } else { (0, 0) };
    let len = conv_len + weight_len + filters;
    let run = move |ctx: &mut KernelCtx<'_>| {
        let workspace: &mut [T] = if len == 0 { &mut [] } else { ctx.workspace()? };
        let (workspace, folded) = workspace.split_at_mut(conv_len);
        let (weight, shift) = folded.split_at_mut(weight_len);
        let bias = inputs.bias.map(|bias| ctx.input::<T>(bias)).transpose()?;
        let mut terms = Terms { bounds, ..Terms::new(ctx.input(1)?, bias) };
        if let Some(normalised) = &normalised {
            normalised.fold(ctx, &terms, weight, shift)?;
            terms = Terms { weight, bias: Some(shift), ..terms };
        }
        let (data, output);
        match inputs.addend {
            Some(addend) if ctx.shares(addend, 0) => {
                data = Some(ctx.input(0)?);
                output = match ctx.pair(addend, 0)? {
                    Pair::Same(both) => both,
                    Pair::Apart(_, output) => output,
                };
                terms.addend = Addend::Output;
            }
            addend => {
                (data, output) = match ctx.pair(0, 0)? {
                    Pair::Same(both) => (None, both),
                    Pair::Apart(data, output) => (Some(data), output),
                };
                if let Some(addend) = addend {
                    terms.addend = Addend::Slice(ctx.input(addend)?);
                }
            }
        }
        Ok(conv.forward_with(&Workers::of(ctx), data, &terms, output, workspace)?)
    };
    Ok(Box::new(WithWorkspace { bytes: len * size_of::<T>(), run }))
}

fn bounds<T: Real>(params: &Params) -> Option<[T; 2]> {
    match params.text("act_type") {
        "relu" => Some([T::from_f64(0.0), T::INFINITY]),
        "clip" => Some(["a_min", "a_max"].map(|name| T::from_f64(params.float(name)))),
        _ => None,
    }
}

/// Normalisation of channels by moving statistics.
struct Normalised {
    /// Where gamma is, and behind it beta.
    gamma: usize,
    /// Where moving_mean is, and behind it moving_var.
    moving_mean: usize,
    eps: f64,
    fix_gamma: bool,
}

impl Normalised {
    fn new(params: &Params, inputs: FusedConvolutionInputs) -> Option<Normalised> {
        let (gamma, moving_mean) = inputs.gamma.zip(inputs.moving_mean)?;
        Some(Normalised { gamma, moving_mean, eps: params.float("eps"), fix_gamma: params.bool("fix_gamma") })
    }

    /// `(Σ w · x + bias - mean) · scale + beta` is `Σ (w · scale) · x + shift`.
    fn fold<T: Real>(
        &self,
        ctx: &KernelCtx<'_>,
        terms: &Terms<'_, T>,
        weight: &mut [T],
        shift: &mut [T],
    ) -> Result<()> {
        let (gamma, beta) = (ctx.input::<T>(self.gamma)?, ctx.input::<T>(self.gamma + 1)?);
        let (mean, variance) = (ctx.input::<T>(self.moving_mean)?, ctx.input::<T>(self.moving_mean + 1)?);
        let depth = weight.len() / shift.len().max(1);
        let filters = terms.weight.chunks(depth.max(1)).zip(weight.chunks_mut(depth.max(1)));
        for (filter, ((from, to), shift)) in filters.zip(shift).enumerate() {
            let gamma = if self.fix_gamma { 1.0 } else { gamma[filter].to_f64() };
            let scale = gamma / (variance[filter].to_f64() + self.eps).sqrt();
            let bias = terms.bias.map_or(0.0, |bias| bias[filter].to_f64());
            *shift = T::from_f64((bias - mean[filter].to_f64()) * scale + beta[filter].to_f64());
            let scale = T::from_f64(scale);
            to.iter_mut().zip(from).for_each(|(to, &from)| *to = from * scale);
        }
        Ok(())
    }
}
