//! `where` and its gradient: one tensor or the other, by a condition of any dtype.

use super::dtype::Real;
use super::labels::Labels;
use super::par::{Workers, chunks};
use std::ops::Range;
use varflow_ops::{Element, Kernel, KernelCall, KernelCtx, Result, Shape};

const GRAIN: usize = 16 * 1024;

/// A condition, and how many elements each of its numbers decides on.
struct Condition {
    width: usize,
}

impl Condition {
    fn new(condition: &Shape, tensor: &Shape) -> Condition {
        Condition { width: tensor.len().checked_div(condition.len()).unwrap_or(1).max(1) }
    }

    /// Calls `f(range, holds)` for stretches of elements from `start` on, `len` in all, counted from `start`.
    fn each(&self, condition: Labels<'_>, start: usize, len: usize, mut f: impl FnMut(Range<usize>, bool)) {
        let (first, end) = (start / self.width, (start + len).div_ceil(self.width));
        let mut at = first * self.width;
        condition.each(first..end, |number| {
            let next = at + self.width;
            f(at.max(start) - start..next.min(start + len) - start, number != 0.0);
            at = next;
        });
    }
}

pub(super) fn forward<T: Element>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let condition = Condition::new(&call.inputs[0].shape, &call.inputs[1].shape);
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let (x, y) = (ctx.input::<T>(1)?, ctx.input::<T>(2)?);
        let numbers = Labels::of(ctx, 0)?;
        chunks(&Workers::of(ctx), ctx.output::<T>(0)?, 1, GRAIN, |start, out| {
            let (x, y) = (&x[start..][..out.len()], &y[start..][..out.len()]);
            condition.each(numbers, start, out.len(), |range, holds| {
                let from = if holds { x } else { y };
                out[range.clone()].copy_from_slice(&from[range]);
            });
        });
        Ok(())
    }))
}

pub(super) fn backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let condition = Condition::new(&call.inputs[0].shape, &call.inputs[1].shape);
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let (numbers, out_grad) = (Labels::of(ctx, 0)?, ctx.input::<T>(1)?);
        for (o, wanted) in [(0, true), (1, false)] {
            if !ctx.is_wanted(o) {
                continue;
            }
            chunks(&Workers::of(ctx), ctx.output::<T>(o)?, 1, GRAIN, |start, d| {
                let out_grad = &out_grad[start..][..d.len()];
                condition.each(numbers, start, d.len(), |range, holds| match holds == wanted {
                    true => d[range.clone()].copy_from_slice(&out_grad[range]),
                    false => d[range].fill(T::ZERO),
                });
            });
        }
        Ok(())
    }))
}
