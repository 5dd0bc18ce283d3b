//! `Concat`, `stack`, `SliceChannel` and their gradients: tensors one after the other along an axis, and back.

use super::par::Workers;
use crate::compute::{join, take_columns};
use smallvec::SmallVec;
use varflow_ops::defs::{join_axis, slice_channel_axis};
use varflow_ops::{Element, Kernel, KernelCall, KernelCtx, Result, Shape, TensorDesc};

/// So many parts or fewer are listed without an allocation.
const FEW: usize = 16;

/// The whole as rows, and the elements that each part has of a row.
struct Rows {
    rows: usize,
    widths: Vec<usize>,
}

impl Rows {
    fn new(whole: &Shape, axis: usize, parts: &[TensorDesc]) -> Rows {
        let rows: usize = whole.dims()[..axis].iter().product();
        let widths = parts.iter().map(|part| part.shape.len().checked_div(rows).unwrap_or(0)).collect();
        Rows { rows, widths }
    }

    fn join<T: Element>(&self, ctx: &KernelCtx<'_>) -> Result<()> {
        let parts = (0..self.widths.len()).map(|i| ctx.input::<T>(i)).collect::<Result<SmallVec<[_; FEW]>>>()?;
        Ok(join(&Workers::of(ctx), self.rows, &self.widths, &parts, ctx.output(0)?)?)
    }

    fn part<T: Element>(&self, ctx: &KernelCtx<'_>) -> Result<()> {
        let (par, whole) = (Workers::of(ctx), ctx.input::<T>(0)?);
        let mut start = 0;
        for (o, width) in self.widths.iter().enumerate() {
            if ctx.is_wanted(o) {
                take_columns(&par, whole, self.rows, start, *width, ctx.output(o)?)?;
            }
            start += width;
        }
        Ok(())
    }
}

fn joined<T: Element>(rows: Rows) -> Box<dyn Kernel> {
    Box::new(move |ctx: &mut KernelCtx<'_>| rows.join::<T>(ctx))
}

fn parted<T: Element>(rows: Rows) -> Box<dyn Kernel> {
    Box::new(move |ctx: &mut KernelCtx<'_>| rows.part::<T>(ctx))
}

/// `Concat` and `stack`.
pub(super) fn forward<T: Element>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let whole = &call.outputs[0].shape;
    Ok(joined::<T>(Rows::new(whole, join_axis(call.params, whole.rank())?, call.inputs)))
}

/// The gradients of `Concat` and `stack`.
pub(super) fn backward<T: Element>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let whole = &call.inputs[0].shape;
    Ok(parted::<T>(Rows::new(whole, join_axis(call.params, whole.rank())?, call.outputs)))
}

/// `SliceChannel`.
pub(super) fn slice_channel<T: Element>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let whole = &call.inputs[0].shape;
    Ok(parted::<T>(Rows::new(whole, slice_channel_axis(call.params, whole.rank())?, call.outputs)))
}

/// The gradient of `SliceChannel`.
pub(super) fn slice_channel_backward<T: Element>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let whole = &call.outputs[0].shape;
    Ok(joined::<T>(Rows::new(whole, slice_channel_axis(call.params, whole.rank())?, call.inputs)))
}
