//! `topk`, `sort`, `argsort` and their gradients; `argmax`, `argmin` and `argmax_channel`.

use super::dtype::Real;
use super::par::Workers;
use super::places::{OutOfRange, places, places_bytes};
use super::scratch;
use crate::compute::{Lanes, Number};
use half::{bf16, f16};
use varflow_ops::defs::{Ordered, arg_axis, around_axis, order_axis};
use varflow_ops::{DType, Element, Error, Kernel, KernelCall, KernelCtx, Result, Shape, WithWorkspace};

/// The lanes along an axis, or all of data as one lane.
fn lanes(data: &Shape, axis: Option<usize>) -> Lanes {
    let [outer, len, inner] = axis.map_or([1, data.len(), 1], |axis| around_axis(data, axis));
    Lanes { outer, len, inner }
}

/// The lanes of `data`, and how many elements of each come first.
fn first(call: &KernelCall<'_>, data: &Shape) -> Result<(Lanes, usize)> {
    let lanes = lanes(data, order_axis(call.params, data.rank())?);
    let k = call.params.iter().find(|(name, _)| *name == "k").map_or(0, |_| call.params.usize("k"));
    Ok((lanes, if k == 0 { lanes.len } else { k }))
}

/// Calls `f(element, lane, place)` for every place of every lane, where `element` counts in slabs of `k` rows.
fn each(lanes: Lanes, k: usize, places: &[u64], mut f: impl FnMut(usize, usize, usize)) {
    for (i, places) in places.chunks_exact(k.max(1)).enumerate() {
        for (at, place) in places.iter().enumerate() {
            f(lanes.element(i, at, k), i, *place as usize);
        }
    }
}

/// Writes the places to output `o`, as numbers of its dtype.
fn write_places(ctx: &KernelCtx<'_>, o: usize, lanes: Lanes, k: usize, places: &[u64]) -> Result<()> {
    fn write<T: Element + Number>(ctx: &KernelCtx<'_>, o: usize, lanes: Lanes, k: usize, places: &[u64]) -> Result<()> {
        let out = ctx.output::<T>(o)?;
        each(lanes, k, places, |element, _, place| out[element] = T::from_f64(place as f64));
        Ok(())
    }
    match ctx.output_desc(o).map(|desc| desc.dtype) {
        None => Ok(()),
        Some(DType::F32) => write::<f32>(ctx, o, lanes, k, places),
        Some(DType::F64) => write::<f64>(ctx, o, lanes, k, places),
        Some(DType::F16) => write::<f16>(ctx, o, lanes, k, places),
        Some(DType::BF16) => write::<bf16>(ctx, o, lanes, k, places),
        Some(DType::U8) => write::<u8>(ctx, o, lanes, k, places),
        Some(DType::I8) => write::<i8>(ctx, o, lanes, k, places),
        Some(DType::U16) => write::<u16>(ctx, o, lanes, k, places),
        Some(DType::I16) => write::<i16>(ctx, o, lanes, k, places),
        Some(DType::U32) => write::<u32>(ctx, o, lanes, k, places),
        Some(DType::I32) => write::<i32>(ctx, o, lanes, k, places),
        Some(DType::U64) => write::<u64>(ctx, o, lanes, k, places),
        Some(DType::I64) => write::<i64>(ctx, o, lanes, k, places),
        Some(DType::Bool) => Err(Error::DType("places are of dtype bool, wanted numbers".to_string())),
    }
}

fn forward<T: Element + Number>(call: &KernelCall<'_>, ordered: Ordered, ascending: bool) -> Result<Box<dyn Kernel>> {
    let (lanes, k) = first(call, &call.inputs[0].shape)?;
    let len = lanes.lanes().saturating_mul(k);
    let run = move |ctx: &mut KernelCtx<'_>| {
        let x = ctx.input::<T>(0)?;
        let places = scratch::elements::<u64>(ctx, len)?;
        lanes.order(&Workers::of(ctx), x, k, ascending, places)?;
        match ordered {
            Ordered::Places => write_places(ctx, 0, lanes, k, places),
            Ordered::Mask => {
                let out = ctx.output::<T>(0)?;
                out.fill(T::ZERO);
                each(lanes, k, places, |_, i, place| out[lanes.element(i, place, lanes.len)] = T::ONE);
                Ok(())
            }
            Ordered::Elements => {
                if ctx.is_wanted(0) {
                    let out = ctx.output::<T>(0)?;
                    each(lanes, k, places, |element, i, place| {
                        out[element] = x[lanes.element(i, place, lanes.len)];
                    });
                }
                write_places(ctx, 1, lanes, k, places)
            }
        }
    };
    Ok(Box::new(WithWorkspace { bytes: places_bytes(len), run }))
}

pub(super) fn top_k<T: Element + Number>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let ordered = match call.params.text("ret_typ") {
        "indices" => Ordered::Places,
        "mask" => Ordered::Mask,
        _ => Ordered::Elements,
    };
    forward::<T>(call, ordered, call.params.bool("is_ascend"))
}

pub(super) fn sort<T: Element + Number>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    forward::<T>(call, Ordered::Elements, call.params.bool("is_ascend"))
}

pub(super) fn arg_sort<T: Element + Number>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    forward::<T>(call, Ordered::Places, call.params.bool("is_ascend"))
}

pub(super) fn backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let (lanes, k) = first(call, &call.outputs[0].shape)?;
    let bytes = places_bytes(call.inputs[1].shape.len());
    let run = move |ctx: &mut KernelCtx<'_>| {
        let places = places(ctx, 1, lanes.len, OutOfRange::Refuse)?;
        let (out_grad, d_data) = (ctx.input::<T>(0)?, ctx.output::<T>(0)?);
        d_data.fill(T::ZERO);
        for i in 0..lanes.lanes() {
            for at in 0..k {
                let element = lanes.element(i, at, k);
                d_data[lanes.element(i, places.at(element), lanes.len)] = out_grad[element];
            }
        }
        Ok(())
    };
    Ok(Box::new(WithWorkspace { bytes, run }))
}

/// `argmax`, `argmin` and `argmax_channel`.
pub(super) fn extreme<T: Element + Number>(call: &KernelCall<'_>, is_largest: bool) -> Result<Box<dyn Kernel>> {
    let data = &call.inputs[0].shape;
    let lanes = lanes(data, arg_axis(call.params, data.rank())?);
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        Ok(lanes.extreme::<T>(&Workers::of(ctx), ctx.input(0)?, is_largest, ctx.output(0)?)?)
    }))
}
