//! `RNN` and its gradients.

use super::dtype::Real;
use super::par::{Workers, chunks};
use super::scratch;
use crate::compute::{Rnn, RnnCell, RnnGrads, RnnInputs, RnnOutGrads};
use varflow_ops::defs::{RnnMode, RnnSizes};
use varflow_ops::{Error, Kernel, KernelCall, KernelCtx, Philox, Result, TensorDesc, WithWorkspace};

/// Factors that are worth a part of their own.
const GRAIN: usize = 16 * 1024;

fn rnn(call: &KernelCall<'_>, data: &TensorDesc) -> Result<Rnn> {
    let &[steps, batch, input] = data.shape.dims() else {
        return Err(Error::Shape(format!("data has shape {}, wanted (steps, batch, numbers)", data.shape)));
    };
    let sizes = RnnSizes::new(call.params);
    let cell = match sizes.mode {
        RnnMode::Relu => RnnCell::Relu,
        RnnMode::Tanh => RnnCell::Tanh,
        RnnMode::Lstm => RnnCell::Lstm,
        RnnMode::Gru => RnnCell::Gru,
    };
    let RnnSizes { layers, directions, hidden, drops, .. } = sizes;
    Ok(Rnn { cell, layers, directions, hidden, steps, batch, input, drops })
}

/// Inputs, the first of which is `data`.
fn inputs<'a, T: Real>(ctx: &KernelCtx<'a>, rnn: &Rnn, data: usize) -> Result<RnnInputs<'a, T>> {
    Ok(RnnInputs {
        data: ctx.input(data)?,
        parameters: ctx.input(data + 1)?,
        state: ctx.input(data + 2)?,
        cells: if rnn.cell == RnnCell::Lstm { ctx.input(data + 3)? } else { &[] },
    })
}

/// An output, empty where nobody wants it or it does not exist.
fn output<'a, T: Real>(ctx: &KernelCtx<'a>, o: Option<usize>) -> Result<&'a mut [T]> {
    match o {
        Some(o) if ctx.is_wanted(o) => ctx.output(o),
        _ => Ok(&mut []),
    }
}

/// 0 with probability `p`, else `1 / (1 - p)`, by the number of the element alone.
fn draw<T: Real>(par: &Workers<'_>, rng: Philox, p: f64, factors: &mut [T]) {
    let kept = T::from_f64(1.0 / (1.0 - p));
    chunks(par, factors, 4, GRAIN, |start, factors| {
        for (block, factors) in (start as u64 / 4..).zip(factors.chunks_mut(4)) {
            for (factor, u) in factors.iter_mut().zip(rng.uniform4(block)) {
                *factor = if f64::from(u) < p { T::ZERO } else { kept };
            }
        }
    });
}

pub(super) fn forward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let rnn = rnn(call, &call.inputs[0])?;
    let p = if call.is_train { call.params.float("p") } else { 0.0 };
    let last = call.outputs.len() - 1;
    let has_states = last > 1;
    // Outputs are computed in the reserve, which the workspace stands in for where no backward pass wants it.
    let reserve_len = if call.wanted[last] { 0 } else { rnn.reserve() };
    let len = reserve_len.saturating_add(rnn.forward_scratch());
    let run = move |ctx: &mut KernelCtx<'_>| {
        let inputs = inputs::<T>(ctx, &rnn, 0)?;
        let workspace = scratch::elements::<T>(ctx, len)?;
        let (own_reserve, scratch) = workspace.split_at_mut(reserve_len);
        let par = Workers::of(ctx);
        let reserve = if ctx.is_wanted(last) { ctx.output(last)? } else { own_reserve };
        draw(&par, ctx.rng(), p, reserve.get_mut(rnn.factors()).unwrap_or(&mut []));
        let state = output(ctx, has_states.then_some(1))?;
        let cells = output(ctx, (has_states && rnn.cell == RnnCell::Lstm).then_some(2))?;
        rnn.forward(&par, inputs, reserve, (state, cells), scratch)?;
        if ctx.is_wanted(0) {
            ctx.output(0)?.copy_from_slice(&reserve[rnn.output()]);
        }
        Ok(())
    };
    Ok(Box::new(WithWorkspace { bytes: len.saturating_mul(size_of::<T>()), run }))
}

pub(super) fn backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let lstm = call.params.text("mode") == "lstm";
    let states = if call.params.bool("state_outputs") { 1 + usize::from(lstm) } else { 0 };
    let data = 1 + states;
    let rnn = rnn(call, &call.inputs[data])?;
    let reserve = call.inputs.len() - 1;
    let len = rnn.backward_scratch();
    let run = move |ctx: &mut KernelCtx<'_>| {
        let out_grads = RnnOutGrads {
            output: ctx.input::<T>(0)?,
            state: if states > 0 { ctx.input(1)? } else { &[] },
            cells: if states > 1 { ctx.input(2)? } else { &[] },
        };
        let grads = RnnGrads {
            data: output(ctx, Some(0))?,
            parameters: output(ctx, Some(1))?,
            state: output(ctx, Some(2))?,
            cells: output(ctx, lstm.then_some(3))?,
        };
        let inputs = inputs(ctx, &rnn, data)?;
        let scratch = scratch::elements::<T>(ctx, len)?;
        rnn.backward(&Workers::of(ctx), inputs, ctx.input(reserve)?, out_grads, grads, scratch)?;
        Ok(())
    };
    Ok(Box::new(WithWorkspace { bytes: len.saturating_mul(size_of::<T>()), run }))
}
