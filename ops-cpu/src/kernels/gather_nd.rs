//! `gather_nd`, `scatter_nd` and the gradient of the first: places named by an index for each of the first axes.

use super::dtype::Real;
use super::labels::Labels;
use super::par::Workers;
use super::places::{places_bytes, refuse};
use crate::compute::{Number, Places, Tables};
use smallvec::SmallVec;
use varflow_ops::{Element, Kernel, KernelCall, KernelCtx, Result, Shape, WithWorkspace};

/// The axes that indices name, as one, and how many places they name.
struct Named {
    lens: SmallVec<[usize; 4]>,
    inner: usize,
    places: usize,
}

impl Named {
    /// `indices` (M, …) into `tensor`, whose axes are no fewer than M.
    fn new(tensor: &Shape, indices: &Shape) -> Named {
        let named = indices.dims().first().map_or(0, |m| (*m).min(tensor.rank()));
        let (lens, inner) = tensor.dims().split_at(named);
        let places = indices.dims().iter().skip(1).product();
        Named { lens: lens.into(), inner: inner.iter().product(), places }
    }

    fn tables(&self) -> Tables {
        Tables { outer: 1, inner: self.inner }
    }

    /// Input 1 as numbers of rows. An index below 0 counts from the end of its axis.
    fn places<'a>(&self, ctx: &mut KernelCtx<'a>) -> Result<Places<'a>> {
        let bound = self.lens.iter().product();
        if self.places == 0 {
            return Ok(Places::new(&[], bound)?);
        }
        let (labels, rows) = (Labels::of(ctx, 1)?, &mut ctx.workspace::<u64>()?[..self.places]);
        rows.fill(0);
        for (axis, len) in self.lens.iter().enumerate() {
            let (mut at, mut refused) = (0, None);
            let range = axis * self.places..(axis + 1) * self.places;
            labels.each(range.clone(), |index| {
                let whole = index.trunc();
                let place = if whole < 0.0 { whole + *len as f64 } else { whole };
                if !(place >= 0.0 && place < *len as f64) {
                    refused = refused.or(Some((range.start + at, index)));
                }
                // Within `bound` unless refused.
                rows[at] = rows[at].wrapping_mul(*len as u64).wrapping_add(place as u64);
                at += 1;
            });
            if let Some((at, index)) = refused {
                return Err(refuse(at, index, *len));
            }
        }
        Ok(Places::new(rows, bound)?)
    }
}

/// A kernel that is handed the tables, the places, and its context.
fn kernel(
    named: Named,
    run: impl Fn(Tables, Places<'_>, &KernelCtx<'_>) -> Result<()> + Send + Sync + 'static,
) -> Result<Box<dyn Kernel>> {
    let bytes = places_bytes(named.places);
    let run = move |ctx: &mut KernelCtx<'_>| {
        let places = named.places(ctx)?;
        run(named.tables(), places, ctx)
    };
    Ok(Box::new(WithWorkspace { bytes, run }))
}

pub(super) fn forward<T: Element>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    kernel(Named::new(&call.inputs[0].shape, &call.inputs[1].shape), |tables, places, ctx| {
        Ok(tables.take(&Workers::of(ctx), ctx.input::<T>(0)?, places, ctx.output(0)?)?)
    })
}

pub(super) fn backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    kernel(Named::new(&call.outputs[0].shape, &call.inputs[1].shape), |tables, places, ctx| {
        Ok(tables.add_back::<T>(&Workers::of(ctx), ctx.input(0)?, places, ctx.output(0)?)?)
    })
}

pub(super) fn scatter<T: Element + Number>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    kernel(Named::new(&call.outputs[0].shape, &call.inputs[1].shape), |tables, places, ctx| {
        Ok(tables.put::<T>(&Workers::of(ctx), ctx.input(0)?, places, ctx.output(0)?)?)
    })
}
