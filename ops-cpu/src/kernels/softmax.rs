//! `softmax`, `log_softmax`, `softmin` and their gradients, along any axis.
//!
//! All of them work in place, on what was copied there if need be: in place or not gives the same bits.

use super::columns::Columns;
use super::dtype::Real;
use super::pair::copied;
use super::par::{Workers, chunks};
use crate::compute::{Float, Par, Serial, Unary, map_in_place, softmax_in_place, unary_in_place};
use varflow_ops::defs::{around_axis, axis_of, temperature};
use varflow_ops::{Kernel, KernelCall, KernelCtx, Result};

/// Numbers that are worth a part of their own.
const GRAIN: usize = 4096;

/// Tables, one a place before the axis, of a row a place along the axis, and the divisor of data.
fn tables<T: Real>(call: &KernelCall<'_>) -> Result<(Tables, T)> {
    let shape = &call.inputs[0].shape;
    let [_, rows, columns] = around_axis(shape, axis_of(call.params.int("axis"), shape.rank())?);
    Ok((Tables { rows, columns }, T::from_f64(temperature(call.params))))
}

/// Softmax is taken down the columns of each of many tables.
#[derive(Clone, Copy)]
pub(super) struct Tables {
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl Tables {
    /// Calls `body(start, table)` for each table, which begins at `start`.
    pub(super) fn each<T: Real>(self, par: &dyn Par, x: &mut [T], body: impl Fn(usize, &mut [T]) + Sync) {
        let len = self.rows * self.columns;
        chunks(par, x, len, GRAIN, |first, x| {
            for (start, table) in (first..).step_by(len).zip(x.chunks_mut(len)) {
                body(start, table);
            }
        });
    }

    /// Softmax in place.
    pub(super) fn softmax<T: Real>(self, par: &dyn Par, x: &mut [T]) -> Result<()> {
        if self.columns == 1 && self.rows > 0 {
            return Ok(softmax_in_place(par, self.rows, x)?);
        }
        self.each(par, x, |_, table| {
            subtract_max(table, self.columns);
            unary_in_place(&Serial, Unary::Exp, table);
            for block in Columns::blocks(self.columns) {
                let sums = block.fold(table, T::ZERO, |sum, x| sum + x);
                block.update(table, &sums.map(|sum| T::ONE / sum), |x, factor| x * factor);
            }
        });
        Ok(())
    }

    /// `d = y · (d - Σ d · y)` with the sum down each column.
    pub(super) fn softmax_backward<T: Real>(self, par: &dyn Par, y: &[T], d: &mut [T]) {
        self.each(par, d, |start, d| {
            let y = &y[start..start + d.len()];
            for block in Columns::blocks(self.columns) {
                let sums = block.fold_with(d, y, T::ZERO, |sum, d, y| sum + d * y);
                block.update_with(d, y, &sums, |d, y, sum| y * (d - sum));
            }
        });
    }

    fn log_softmax<T: Real>(self, par: &dyn Par, x: &mut [T]) {
        self.each(par, x, |_, table| {
            subtract_max(table, self.columns);
            for block in Columns::blocks(self.columns) {
                let sums = block.fold(table, T::ZERO, |sum, x| sum + x.exp());
                block.update(table, &sums.map(Float::ln), |x, log| x - log);
            }
        });
    }
}

/// The largest number of each column becomes 0, so that exponentials do not overflow.
fn subtract_max<T: Real>(table: &mut [T], columns: usize) {
    for block in Columns::blocks(columns) {
        let max = block.fold(table, -T::INFINITY, |max, x| if x > max { x } else { max });
        block.update(table, &max, |x, max| x - max);
    }
}

fn divide<T: Real>(par: &dyn Par, x: &mut [T], divisor: T) {
    if divisor != T::ONE {
        map_in_place(par, x, |x| x / divisor);
    }
}

pub(super) fn forward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    of_quotient::<T>(tables(call)?)
}

pub(super) fn min_forward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let (tables, temperature) = tables::<T>(call)?;
    of_quotient((tables, -temperature))
}

/// The softmax of data divided by a number.
fn of_quotient<T: Real>((tables, temperature): (Tables, T)) -> Result<Box<dyn Kernel>> {
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let (par, output) = (Workers::of(ctx), copied(ctx, 0, 0)?);
        divide(&par, output, temperature);
        tables.softmax(&par, output)
    }))
}

pub(super) fn log_forward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let (tables, temperature) = tables::<T>(call)?;
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let (par, output) = (Workers::of(ctx), copied(ctx, 0, 0)?);
        divide(&par, output, temperature);
        tables.log_softmax(&par, output);
        Ok(())
    }))
}

pub(super) fn backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    of_quotient_backward::<T>(tables(call)?)
}

pub(super) fn min_backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let (tables, temperature) = tables::<T>(call)?;
    of_quotient_backward((tables, -temperature))
}

fn of_quotient_backward<T: Real>((tables, temperature): (Tables, T)) -> Result<Box<dyn Kernel>> {
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let (par, output, d_data) = (Workers::of(ctx), ctx.input::<T>(1)?, copied(ctx, 0, 0)?);
        tables.softmax_backward(&par, output, d_data);
        divide(&par, d_data, temperature);
        Ok(())
    }))
}

pub(super) fn log_backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let (tables, temperature) = tables::<T>(call)?;
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let (par, output, d_data) = (Workers::of(ctx), ctx.input::<T>(1)?, copied(ctx, 0, 0)?);
        tables.each(&par, d_data, |start, d| {
            let y = &output[start..start + d.len()];
            for block in Columns::blocks(tables.columns) {
                let sums = block.fold(d, T::ZERO, |sum, d| sum + d);
                block.update_with(d, y, &sums, |d, y, sum| d - y.exp() * sum);
            }
        });
        divide(&par, d_data, temperature);
        Ok(())
    }))
}
