//! Reductions over axes.

use super::float::Float;
use super::map::Compiled;
use super::mismatch::Mismatch;
use super::number::Number;
use super::par::{Par, Parts, Split, each_part};
use crate::arch::Dispatch;
use smallvec::SmallVec;

/// How numbers are reduced to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reduction {
    /// Sum; 0 of nothing.
    Sum,
    /// Arithmetic mean; NaN of nothing.
    Mean,
    /// Product; 1 of nothing.
    Product,
    /// Greatest number, NaN if there is one; minus infinity of nothing.
    Max,
    /// Least number, NaN if there is one; infinity of nothing.
    Min,
    /// Sum of squares; 0 of nothing.
    SumSquares,
    /// Sum of sizes; 0 of nothing.
    SumSizes,
    /// Sum without NaNs.
    NanSum,
    /// Product without NaNs.
    NanProduct,
}

/// Reduces `x` of `shape` over `axes` (any order, none for a copy) into `out`, whose elements are those of the axes that
/// remain, in order.
///
/// Errors: an axis that does not exist, or slices of other lengths than the shape says.
#[expect(private_bounds, reason = "sealed: the loops are compiled for the element types")]
pub fn reduce<T: ReduceLoops>(
    par: &dyn Par,
    reduction: Reduction,
    x: &[T],
    shape: &[usize],
    axes: &[usize],
    out: &mut [T],
) -> Result<(), Mismatch> {
    for &axis in axes {
        if axis >= shape.len() {
            return Err(Mismatch { function: "reduce", argument: "axis", got: axis, wanted: shape.len() });
        }
    }
    Mismatch::check("reduce", "length of x", x.len(), shape.iter().product())?;
    let plan = Plan::new(shape, axes);
    Mismatch::check("reduce", "length of out", out.len(), plan.kept.iter().map(|axis| axis.len).product())?;
    T::run(&plan, par, reduction, x, out);
    if reduction == Reduction::Mean {
        let count: usize = plan.reduced.iter().map(|axis| axis.len).product();
        let count = T::from_f64(count as f64);
        for out in out.iter_mut() {
            *out = out.over(count);
        }
    }
    Ok(())
}

/// `$then!(start, take, join)` for a reduction: each number is taken, and joined to those before it.
macro_rules! with_reduction {
    ($reduction:expr, $then:ident) => {
        match $reduction {
            Reduction::Sum | Reduction::Mean => $then!(Self::ZERO, |x| x, |a, b| a.plus(b)),
            Reduction::SumSquares => $then!(Self::ZERO, |x| x.times(x), |a, b| a.plus(b)),
            Reduction::SumSizes => {
                $then!(Self::ZERO, |x| if x < Self::ZERO { Self::ZERO.minus(x) } else { x }, |a, b| a.plus(b))
            }
            Reduction::NanSum => $then!(Self::ZERO, |x| if x.is_nan() { Self::ZERO } else { x }, |a, b| a.plus(b)),
            Reduction::Product => $then!(Self::ONE, |x| x, |a, b| a.times(b)),
            Reduction::NanProduct => $then!(Self::ONE, |x| if x.is_nan() { Self::ONE } else { x }, |a, b| a.times(b)),
            Reduction::Max => $then!(Self::LEAST, |x| x, |a, b| if b > a || b.is_nan() { b } else { a }),
            Reduction::Min => $then!(Self::GREATEST, |x| x, |a, b| if b < a || b.is_nan() { b } else { a }),
        }
    };
}

/// How a type's loops are compiled: with each function inlined for `f32` and `f64`, and one set of loops that call the
/// functions for the integers.
pub(crate) trait ReduceLoops: Number {
    fn run(plan: &Plan, par: &dyn Par, reduction: Reduction, x: &[Self], out: &mut [Self]);
}

macro_rules! inlined {
    ($($t:ty),*) => { $(impl ReduceLoops for $t {
        fn run(plan: &Plan, par: &dyn Par, reduction: Reduction, x: &[$t], out: &mut [$t]) {
            macro_rules! run {
                ($start:expr, $take:expr, $join:expr) => { plan.run::<$t>(par, x, out, $start, $take, $join) };
            }
            with_reduction!(reduction, run);
        }
    })* };
}

macro_rules! called {
    ($($t:ty),*) => { $(impl ReduceLoops for $t {
        fn run(plan: &Plan, par: &dyn Par, reduction: Reduction, x: &[$t], out: &mut [$t]) {
            type Functions = ($t, fn($t) -> $t, fn($t, $t) -> $t);
            macro_rules! functions {
                ($start:expr, $take:expr, $join:expr) => { { let f: Functions = ($start, $take, $join); f } };
            }
            let (start, take, join) = with_reduction!(reduction, functions);
            plan.run(par, x, out, start, take, join);
        }
    })* };
}

inlined!(f32, f64);
called!(u8, i8, u16, i16, u32, i32, u64, i64);

#[derive(Clone, Copy, Debug)]
struct Axis {
    len: usize,
    stride: usize,
}

/// The axes of the input, neighbours of one kind merged.
#[derive(Debug)]
pub(crate) struct Plan {
    kept: SmallVec<[Axis; 8]>,
    reduced: SmallVec<[Axis; 8]>,
}

/// The element `index` of row-major `axes`, as an offset into the input.
fn offset(axes: &[Axis], mut index: usize) -> usize {
    let mut offset = 0;
    for axis in axes.iter().rev() {
        offset += index % axis.len * axis.stride;
        index /= axis.len;
    }
    offset
}

/// Numbers that are added one after the other before their sum joins the others: it bounds the rounding error.
const BLOCK: usize = 16 * 1024;

impl Plan {
    fn new(shape: &[usize], axes: &[usize]) -> Plan {
        let mut plan = Plan { kept: SmallVec::new(), reduced: SmallVec::new() };
        let mut stride = 1;
        let mut last_reduced = None;
        for (index, &len) in shape.iter().enumerate().rev() {
            let reduced = axes.contains(&index);
            let list = if reduced { &mut plan.reduced } else { &mut plan.kept };
            match list.last_mut() {
                Some(inner) if last_reduced == Some(reduced) => inner.len *= len,
                _ if len == 1 => continue,
                _ => list.push(Axis { len, stride }),
            }
            stride *= len;
            last_reduced = Some(reduced);
        }
        plan.kept.reverse();
        plan.reduced.reverse();
        plan
    }

    fn run<T: Number>(
        &self,
        par: &dyn Par,
        x: &[T],
        out: &mut [T],
        start: T,
        take: impl Fn(T) -> T + Sync,
        join: impl Fn(T, T) -> T + Sync,
    ) {
        let one = Axis { len: 1, stride: 1 };
        let reduced_len: usize = self.reduced.iter().map(|axis| axis.len).product();
        if out.is_empty() {
        } else if let Some((columns, kept)) = self.kept.split_last().filter(|(axis, _)| axis.stride == 1) {
            self.columns(par, x, out, (*columns, kept, reduced_len), start, (&take, &join));
        } else if out.len() == 1 && self.reduced.len() == 1 {
            out[0] = whole(par, x, start, &take, &join);
        } else {
            let (inner, outer) = self.reduced.split_last().map_or((one, &[][..]), |(inner, outer)| (*inner, outer));
            let outer_len: usize = outer.iter().map(|axis| axis.len).product();
            let split = Split::new(out.len(), 1, (BLOCK / reduced_len.max(1)).max(1), 64);
            let parts = Parts::new(out, split, 1);
            each_part(par, split.parts(), &|i| {
                for (out, index) in parts.take(i).iter_mut().zip(split.range(i)) {
                    let base = offset(&self.kept, index);
                    *out = start;
                    for outer_index in 0..outer_len {
                        let at = base + offset(outer, outer_index);
                        *out = join(*out, row(&x[at..at + inner.len], start, &take, &join));
                    }
                }
            });
        }
    }

    /// The innermost axis is kept: rows are joined elementwise.
    fn columns<T: Number>(
        &self,
        par: &dyn Par,
        x: &[T],
        out: &mut [T],
        (columns, kept, reduced_len): (Axis, &[Axis], usize),
        start: T,
        (take, join): (&(impl Fn(T) -> T + Sync), &(impl Fn(T, T) -> T + Sync)),
    ) {
        let split = Split::new(out.len(), 16, (BLOCK / reduced_len.max(1)).max(16), 64);
        let parts = Parts::new(out, split, 1);
        each_part(par, split.parts(), &|i| {
            let (out, range) = (parts.take(i), split.range(i));
            let mut done = 0;
            while done < out.len() {
                let at = range.start + done;
                let (row, column) = (at / columns.len, at % columns.len);
                let len = (columns.len - column).min(out.len() - done);
                let base = offset(kept, row) + column;
                let out = &mut out[done..done + len];
                <f32 as Dispatch>::dispatch(Compiled(|| {
                    out.fill(start);
                    for index in 0..reduced_len {
                        let at = base + offset(&self.reduced, index);
                        for (out, &x) in out.iter_mut().zip(&x[at..at + len]) {
                            *out = join(*out, take(x));
                        }
                    }
                }));
                done += len;
            }
        });
    }
}

/// Everything to one number: blocks in parallel, then the blocks in order.
fn whole<T: Number>(
    par: &dyn Par,
    x: &[T],
    start: T,
    take: &(impl Fn(T) -> T + Sync),
    join: &(impl Fn(T, T) -> T + Sync),
) -> T {
    let split = Split::new(x.len(), 64, 4 * BLOCK, 64);
    let mut partial = [start; 64];
    let slots = Split::new(split.parts(), 1, 1, split.parts());
    {
        let parts = Parts::new(&mut partial[..split.parts()], slots, 1);
        each_part(par, split.parts(), &|i| parts.take(i)[0] = row(&x[split.range(i)], start, take, join));
    }
    partial[..split.parts()].iter().fold(start, |sum, &part| join(sum, part))
}

/// A contiguous row: 32 running results in blocks, so that the processor can add vectors.
fn row<T: Number>(x: &[T], start: T, take: &impl Fn(T) -> T, join: &impl Fn(T, T) -> T) -> T {
    <f32 as Dispatch>::dispatch(Compiled(|| {
        let mut total = start;
        for block in x.chunks(BLOCK) {
            let mut lanes = [start; 32];
            let chunks = block.chunks_exact(32);
            let rest = chunks.remainder();
            for chunk in chunks {
                for (lane, &x) in lanes.iter_mut().zip(chunk) {
                    *lane = join(*lane, take(x));
                }
            }
            for (lane, &x) in lanes.iter_mut().zip(rest) {
                *lane = join(*lane, take(x));
            }
            let mut width = 16;
            while width > 0 {
                for i in 0..width {
                    lanes[i] = join(lanes[i], lanes[i + width]);
                }
                width /= 2;
            }
            total = join(total, lanes[0]);
        }
        total
    }))
}

/// The sum of a contiguous row.
pub(super) fn sum<T: Float>(x: &[T]) -> T {
    row(x, T::ZERO, &|x| x, &|a, b| a + b)
}
