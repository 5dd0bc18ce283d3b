//! `SequenceMask`, `SequenceLast`, `SequenceReverse` and their gradients: sequences of different lengths side by side.

use super::dtype::Real;
use super::labels::Labels;
use super::par::{Workers, chunks};
use super::places::places_bytes;
use crate::compute::Number;
use varflow_ops::{Element, Error, Kernel, KernelCall, KernelCtx, Result, Shape, WithWorkspace};

const GRAIN: usize = 32 * 1024;

/// Data as steps of sequences, each of `block` elements.
#[derive(Clone, Copy)]
struct Steps {
    steps: usize,
    sequences: usize,
    block: usize,
    /// Whether the axis of time is the first.
    time_first: bool,
}

impl Steps {
    fn new(call: &KernelCall<'_>, data: &Shape) -> Result<Steps> {
        let (axis, d) = (call.params.usize("axis"), data.dims());
        if d.len() < 2 || axis > 1 {
            return Err(Error::Shape(format!("data has shape {data}, wanted axes of time and of sequences")));
        }
        let block = d[2..].iter().product();
        Ok(Steps { steps: d[axis], sequences: d[1 - axis], block, time_first: axis == 0 })
    }

    /// The step and the sequence of a block, and back.
    fn place(self, row: usize) -> (usize, usize) {
        match self.time_first {
            true => (row / self.sequences, row % self.sequences),
            false => (row % self.steps, row / self.steps),
        }
    }

    fn row(self, step: usize, sequence: usize) -> usize {
        if self.time_first { step * self.sequences + sequence } else { sequence * self.steps + step }
    }

    /// Where the elements of a block are.
    fn range(self, step: usize, sequence: usize) -> std::ops::Range<usize> {
        let start = self.row(step, sequence) * self.block;
        start..start + self.block
    }

    fn bytes(self, call: &KernelCall<'_>) -> usize {
        if call.inputs.len() > 1 { places_bytes(self.sequences) } else { 0 }
    }

    /// How long each sequence is, from `least` to all steps, or nothing where all are whole.
    fn lengths<'a>(self, ctx: &mut KernelCtx<'a>, least: usize, most: f64) -> Result<Lengths<'a>> {
        if ctx.num_inputs() < 2 || self.sequences == 0 {
            return Ok(Lengths { each: &[], all: self.steps });
        }
        let (labels, lengths) = (Labels::of(ctx, 1)?, &mut ctx.workspace::<u64>()?[..self.sequences]);
        let (mut at, mut refused) = (0, None);
        labels.each(0..self.sequences, |length| {
            let whole = length.trunc();
            if !(whole >= least as f64 && whole <= most) {
                refused = refused.or(Some((at, length)));
            }
            lengths[at] = (whole as u64).min(self.steps as u64);
            at += 1;
        });
        match refused {
            Some((at, length)) => {
                let most = self.steps;
                Err(Error::Data(format!("sequence_length {at} is {length}, wanted {least} to {most}")))
            }
            None => Ok(Lengths { each: lengths, all: self.steps }),
        }
    }
}

#[derive(Clone, Copy)]
struct Lengths<'a> {
    each: &'a [u64],
    all: usize,
}

impl Lengths<'_> {
    fn of(self, sequence: usize) -> usize {
        // No more than the steps.
        self.each.get(sequence).map_or(self.all, |len| *len as usize)
    }
}

/// A kernel that makes every block of data's shape: `make(x, out, step, sequence, length)`.
fn blocks<T: Element>(
    call: &KernelCall<'_>,
    make: impl Fn(Steps, &[T], &mut [T], (usize, usize), usize) + Send + Sync + 'static,
) -> Result<Box<dyn Kernel>> {
    let steps = Steps::new(call, &call.inputs[0].shape)?;
    let run = move |ctx: &mut KernelCtx<'_>| {
        let lengths = steps.lengths(ctx, 0, f64::INFINITY)?;
        let (x, out) = (ctx.input::<T>(0)?, ctx.output::<T>(0)?);
        chunks(&Workers::of(ctx), out, steps.block, GRAIN, |start, out| {
            let first = start / steps.block;
            for (row, out) in (first..).zip(out.chunks_exact_mut(steps.block)) {
                let (step, sequence) = steps.place(row);
                make(steps, x, out, (step, sequence), lengths.of(sequence));
            }
        });
        Ok(())
    };
    Ok(Box::new(WithWorkspace { bytes: steps.bytes(call), run }))
}

pub(super) fn mask<T: Element + Number>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let value = T::from_f64(call.params.float("value"));
    blocks::<T>(call, move |steps, x, out, (step, sequence), len| match step < len {
        true => out.copy_from_slice(&x[steps.range(step, sequence)]),
        false => out.fill(value),
    })
}

pub(super) fn reverse<T: Element>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    blocks::<T>(call, move |steps, x, out, (step, sequence), len| {
        let from = if step < len { len - 1 - step } else { step };
        out.copy_from_slice(&x[steps.range(from, sequence)]);
    })
}

pub(super) fn last<T: Element>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let steps = Steps::new(call, &call.inputs[0].shape)?;
    let run = move |ctx: &mut KernelCtx<'_>| {
        let lengths = steps.lengths(ctx, 1, steps.steps as f64)?;
        let (x, out) = (ctx.input::<T>(0)?, ctx.output::<T>(0)?);
        for (sequence, out) in out.chunks_exact_mut(steps.block.max(1)).enumerate() {
            out.copy_from_slice(&x[steps.range(lengths.of(sequence) - 1, sequence)]);
        }
        Ok(())
    };
    Ok(Box::new(WithWorkspace { bytes: steps.bytes(call), run }))
}

pub(super) fn last_backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let steps = Steps::new(call, &call.outputs[0].shape)?;
    let run = move |ctx: &mut KernelCtx<'_>| {
        let lengths = steps.lengths(ctx, 1, steps.steps as f64)?;
        let (out_grad, d_data) = (ctx.input::<T>(0)?, ctx.output::<T>(0)?);
        d_data.fill(T::ZERO);
        for (sequence, out_grad) in out_grad.chunks_exact(steps.block.max(1)).enumerate() {
            d_data[steps.range(lengths.of(sequence) - 1, sequence)].copy_from_slice(out_grad);
        }
        Ok(())
    };
    Ok(Box::new(WithWorkspace { bytes: steps.bytes(call), run }))
}
