//! `slice`, `slice_axis`, `slice_like`, `Crop`, `Pad`, `reverse` and their gradients: every axis takes places of an axis
//! of data.

use super::cast::CastTo;
use super::dtype::Real;
use super::par::Workers;
use crate::compute::{AxisMap, AxisMaps, Piece};
use varflow_ops::defs::{crop_origin, pad_widths, reversed_axes, slice_spans};
use varflow_ops::{Element, Error, Kernel, KernelCall, KernelCtx, Params, Result, Shape};

/// The axes of the output from the shapes of data and the output.
type Axes = fn(&Params, &Shape, &Shape) -> Result<Vec<AxisMap>>;

fn taken<T: Element>(call: &KernelCall<'_>, axes: Axes, fill: T) -> Result<Box<dyn Kernel>> {
    let maps = AxisMaps::new(&axes(call.params, &call.inputs[0].shape, &call.outputs[0].shape)?);
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        Ok(maps.take(&Workers::of(ctx), ctx.input::<T>(0)?, fill, ctx.output(0)?)?)
    }))
}

fn added_back<T: Real>(call: &KernelCall<'_>, axes: Axes) -> Result<Box<dyn Kernel>> {
    let maps = AxisMaps::new(&axes(call.params, &call.outputs[0].shape, &call.inputs[0].shape)?);
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        Ok(maps.add_back(&Workers::of(ctx), ctx.input::<T>(0)?, ctx.output(0)?)?)
    }))
}

fn slice_axes(params: &Params, data: &Shape, _: &Shape) -> Result<Vec<AxisMap>> {
    let axis = |(span, len): (varflow_ops::defs::Span, &usize)| {
        let step = isize::try_from(span.step).unwrap_or(isize::MAX);
        Ok(AxisMap::new(*len, &[Piece::Taken { start: span.start, step, len: span.len }])?)
    };
    slice_spans(params, data.dims())?.into_iter().zip(data.dims()).map(axis).collect()
}

/// The first places of each axis, as many as the output has.
fn first_axes(_: &Params, data: &Shape, out: &Shape) -> Result<Vec<AxisMap>> {
    let axis = |(from, to): (&usize, &usize)| Ok(AxisMap::new(*from, &[Piece::Taken { start: 0, step: 1, len: *to }])?);
    data.dims().iter().zip(out.dims()).map(axis).collect()
}

fn crop_axes(params: &Params, data: &Shape, out: &Shape) -> Result<Vec<AxisMap>> {
    let origin = crop_origin(params, data, out)?;
    let axis = |((from, to), start): ((&usize, &usize), usize)| {
        Ok(AxisMap::new(*from, &[Piece::Taken { start, step: 1, len: *to }])?)
    };
    data.dims().iter().zip(out.dims()).zip([0, 0, origin[0], origin[1]]).map(axis).collect()
}

fn reverse_axes(params: &Params, data: &Shape, _: &Shape) -> Result<Vec<AxisMap>> {
    let axis = |(reversed, len): (bool, &usize)| match len.checked_sub(1) {
        Some(start) if reversed => Ok(AxisMap::new(*len, &[Piece::Taken { start, step: -1, len: *len }])?),
        _ => Ok(AxisMap::whole(*len)),
    };
    reversed_axes(params, data.rank())?.into_iter().zip(data.dims()).map(axis).collect()
}

fn pad_axes(params: &Params, data: &Shape, _: &Shape) -> Result<Vec<AxisMap>> {
    let mode = params.text("mode");
    let axis = |([before, after], len): ([usize; 2], &usize)| {
        let len = *len;
        let last = len.saturating_sub(1);
        let whole = Piece::Taken { start: 0, step: 1, len };
        let [first, third] = match mode {
            "edge" => [(0, 0, before), (last, 0, after)].map(|(start, step, len)| Piece::Taken { start, step, len }),
            "reflect" => [
                Piece::Taken { start: before, step: -1, len: before },
                Piece::Taken { start: last.saturating_sub(1), step: -1, len: after },
            ],
            _ => [Piece::Filled(before), Piece::Filled(after)],
        };
        Ok(AxisMap::new(len, &[first, whole, third])?)
    };
    let widths = pad_widths(params)?;
    if widths.len() != data.rank() {
        return Err(Error::Shape(format!("data has shape {data}, wanted {} axes", widths.len())));
    }
    widths.into_iter().zip(data.dims()).map(axis).collect()
}

/// `slice` and `slice_axis`.
pub(super) fn slice<T: Element>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    taken::<T>(call, slice_axes, T::zeroed())
}

/// The gradients of both.
pub(super) fn slice_backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    added_back::<T>(call, slice_axes)
}

pub(super) fn slice_like<T: Element>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    taken::<T>(call, first_axes, T::zeroed())
}

pub(super) fn slice_like_backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    added_back::<T>(call, first_axes)
}

pub(super) fn crop<T: Element>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    taken::<T>(call, crop_axes, T::zeroed())
}

pub(super) fn crop_backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    added_back::<T>(call, crop_axes)
}

pub(super) fn reverse<T: Element>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    taken::<T>(call, reverse_axes, T::zeroed())
}

pub(super) fn pad<T: Element>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>>
where
    f64: CastTo<T>,
{
    taken::<T>(call, pad_axes, call.params.float("constant_value").cast_to())
}

pub(super) fn pad_backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    added_back::<T>(call, pad_axes)
}
