//! `_arange`, `_linspace`, `_eye`: tensors whose elements follow from their places.

use super::par::{Workers, chunks};
use crate::compute::Number;
use varflow_ops::defs::{arange_numbers, linspace_numbers};
use varflow_ops::{Element, Kernel, KernelCall, KernelCtx, Result};

/// Elements that are worth a part of their own.
const PART: usize = 16 * 1024;

pub(super) fn arange<T: Number + Element>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let ((first, step), repeat) = (arange_numbers(call.params), call.params.usize("repeat"));
    placed(move |place| T::from_f64(first + (place / repeat) as f64 * step))
}

pub(super) fn linspace<T: Number + Element>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let (first, step) = linspace_numbers(call.params);
    placed(move |place| T::from_f64(first + place as f64 * step))
}

pub(super) fn eye<T: Number + Element>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let columns = call.outputs[0].shape.dims()[1].max(1);
    let diagonal = i128::from(call.params.int("k"));
    placed(move |place| {
        let on_it = (place % columns) as i128 - (place / columns) as i128 == diagonal;
        if on_it { T::ONE } else { T::ZERO }
    })
}

/// The element at each place of the output.
fn placed<T: Element>(element: impl Fn(usize) -> T + Send + Sync + 'static) -> Result<Box<dyn Kernel>> {
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        chunks(&Workers::of(ctx), ctx.output::<T>(0)?, 1, PART, |start, chunk| {
            chunk.iter_mut().zip(start..).for_each(|(to, place)| *to = element(place));
        });
        Ok(())
    }))
}
