//! `L2Normalization` and its gradient: sums over vectors, then what follows from them.

use super::columns::Columns;
use super::dtype::Real;
use super::par::{Workers, chunks};
use super::scratch;
use crate::compute::inner_product;
use varflow_ops::defs::l2_normalization_vectors;
use varflow_ops::{Kernel, KernelCall, KernelCtx, Result, WithWorkspace};

/// Numbers that are worth a part of their own.
const GRAIN: usize = 16 * 1024;

/// Vectors are columns of tables.
#[derive(Clone, Copy)]
struct Vectors {
    tables: usize,
    len: usize,
    columns: usize,
}

impl Vectors {
    fn new(call: &KernelCall<'_>) -> Vectors {
        let [tables, len, columns] = l2_normalization_vectors(call.params, &call.inputs[0].shape);
        Vectors { tables, len, columns }
    }

    fn count(self) -> usize {
        self.tables * self.columns
    }

    /// `sums[v] = finish(Σ x · y)` over each vector.
    fn sums<T: Real>(self, par: &Workers<'_>, [x, y]: [&[T]; 2], sums: &mut [T], finish: impl Fn(T) -> T + Sync) {
        let table = self.len * self.columns;
        chunks(par, sums, self.columns, (GRAIN / self.len.max(1)).max(1), |start, sums| {
            for (at, sums) in (start / self.columns..).zip(sums.chunks_mut(self.columns)) {
                let [x, y] = [x, y].map(|of| &of[at * table..][..table]);
                if let [sum] = sums {
                    *sum = finish(T::from_f64(inner_product(x, y)));
                    continue;
                }
                for block in Columns::blocks(self.columns) {
                    let totals = block.fold_with(x, y, T::ZERO, |sum, x, y| sum + x * y);
                    sums[block.range.clone()].iter_mut().zip(totals).for_each(|(to, sum)| *to = finish(sum));
                }
            }
        });
    }

    /// Calls `body(row of out, where it begins, the place of its first vector)` for each row of the tables.
    fn each_row<T: Real>(self, par: &Workers<'_>, out: &mut [T], body: impl Fn(&mut [T], usize, usize) + Sync) {
        // A vector that is a row has one sum.
        let row = if self.columns == 1 { self.len } else { self.columns };
        chunks(par, out, row, GRAIN, |start, out| {
            for (at, out) in (start / row..).zip(out.chunks_mut(row)) {
                let vector = if self.columns == 1 { at } else { at / self.len * self.columns };
                body(out, at * row, vector);
            }
        });
    }

    /// The sum of each place of a row, from those of the vectors from `vector` on.
    fn of_row<T: Real>(self, sums: &[T], vector: usize) -> impl Iterator<Item = T> {
        // One for all, or one each.
        let count = if self.columns == 1 { self.len } else { 1 };
        sums[vector..].iter().flat_map(move |sum| std::iter::repeat_n(*sum, count))
    }
}

pub(super) fn forward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let (vectors, eps) = (Vectors::new(call), T::from_f64(call.params.float("eps")));
    let len = if call.wanted[1] { 0 } else { vectors.count() };
    let run = move |ctx: &mut KernelCtx<'_>| {
        let (par, data) = (Workers::of(ctx), ctx.input::<T>(0)?);
        let norm = if ctx.is_wanted(1) { ctx.output::<T>(1)? } else { scratch::elements(ctx, len)? };
        vectors.sums(&par, [data, data], norm, |sum| (sum + eps).sqrt());
        if ctx.is_wanted(0) {
            vectors.each_row(&par, ctx.output(0)?, |out, start, vector| {
                let row = out.iter_mut().zip(&data[start..]);
                row.zip(vectors.of_row(norm, vector)).for_each(|((y, x), norm)| *y = *x / norm);
            });
        }
        Ok(())
    };
    Ok(Box::new(WithWorkspace { bytes: len.saturating_mul(size_of::<T>()), run }))
}

pub(super) fn backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let vectors = Vectors::new(call);
    let run = move |ctx: &mut KernelCtx<'_>| {
        let par = Workers::of(ctx);
        let (out_grad, output, norm) = (ctx.input::<T>(0)?, ctx.input::<T>(1)?, ctx.input::<T>(2)?);
        let sums = scratch::elements::<T>(ctx, vectors.count())?;
        vectors.sums(&par, [out_grad, output], sums, |sum| sum);
        vectors.each_row(&par, ctx.output(0)?, |out, start, vector| {
            let row = out.iter_mut().zip(&out_grad[start..]).zip(&output[start..]);
            let of_vector = vectors.of_row(sums, vector).zip(vectors.of_row(norm, vector));
            row.zip(of_vector).for_each(|(((d, g), y), (sum, norm))| *d = (*g - *y * sum) / norm);
        });
        Ok(())
    };
    Ok(Box::new(WithWorkspace { bytes: vectors.count().saturating_mul(size_of::<T>()), run }))
}
