//! Functions of two tensors whose shapes broadcast.

use super::float::Float;
use super::map::{CHEAP, COSTLY, Compiled};
use super::mismatch::Mismatch;
use super::par::{Par, Parts, Split, each_part};
use smallvec::SmallVec;

/// A function of two numbers. Comparisons give 1 for true and 0 for false.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    /// NaN if the first operand is NaN or both are.
    Maximum,
    /// NaN if the first operand is NaN or both are.
    Minimum,
    Power,
    /// Remainder with the sign of the divisor.
    Mod,
    /// `sqrt(a² + b²)`.
    Hypot,
    Equal,
    NotEqual,
    Greater,
    GreaterEqual,
    Lesser,
    LesserEqual,
}

/// `out = op(a, b)`. Shapes are aligned at their last axis; an axis of length 1, or one that is missing, is repeated.
/// `out` has the shape that results.
///
/// Errors: shapes that do not broadcast, or slices of other lengths than their shapes say.
pub fn binary<T: Float>(
    par: &dyn Par,
    op: Binary,
    (a, a_shape): (&[T], &[usize]),
    (b, b_shape): (&[T], &[usize]),
    out: &mut [T],
) -> Result<(), Mismatch> {
    Mismatch::check("binary", "length of a", a.len(), a_shape.iter().product())?;
    let axes = Axes::new(a_shape, b_shape)?;
    by_operator(par, op, &axes, Some(a), b, out)
}

/// `a = op(a, b)`, where `b` broadcasts to the shape of `a`.
pub fn binary_in_place<T: Float>(
    par: &dyn Par,
    op: Binary,
    (a, a_shape): (&mut [T], &[usize]),
    (b, b_shape): (&[T], &[usize]),
) -> Result<(), Mismatch> {
    let axes = Axes::new(a_shape, b_shape)?;
    Mismatch::check("binary_in_place", "length of a", a.len(), axes.len())?;
    Mismatch::check("binary_in_place", "length of a by its shape", a.len(), a_shape.iter().product())?;
    by_operator(par, op, &axes, None, b, a)
}

fn by_operator<T: Float>(
    par: &dyn Par,
    op: Binary,
    axes: &Axes,
    a: Option<&[T]>,
    b: &[T],
    out: &mut [T],
) -> Result<(), Mismatch> {
    Mismatch::check("binary", "length of b", b.len(), axes.b_len)?;
    Mismatch::check("binary", "length of out", out.len(), axes.len())?;
    let truth = |holds: bool| if holds { T::ONE } else { T::ZERO };
    match op {
        Binary::Add => loops(par, CHEAP, axes, a, b, out, |a, b| a + b),
        Binary::Sub => loops(par, CHEAP, axes, a, b, out, |a, b| a - b),
        Binary::Mul => loops(par, CHEAP, axes, a, b, out, |a, b| a * b),
        Binary::Div => loops(par, CHEAP, axes, a, b, out, |a, b| a / b),
        Binary::Maximum => loops(par, CHEAP, axes, a, b, out, |a, b| if b > a { b } else { a }),
        Binary::Minimum => loops(par, CHEAP, axes, a, b, out, |a, b| if b < a { b } else { a }),
        Binary::Power => loops(par, COSTLY, axes, a, b, out, T::powf),
        Binary::Mod => loops(par, COSTLY, axes, a, b, out, T::modulo),
        Binary::Hypot => loops(par, COSTLY, axes, a, b, out, T::hypot),
        Binary::Equal => loops(par, CHEAP, axes, a, b, out, |a, b| truth(a == b)),
        Binary::NotEqual => loops(par, CHEAP, axes, a, b, out, |a, b| truth(a != b)),
        Binary::Greater => loops(par, CHEAP, axes, a, b, out, |a, b| truth(a > b)),
        Binary::GreaterEqual => loops(par, CHEAP, axes, a, b, out, |a, b| truth(a >= b)),
        Binary::Lesser => loops(par, CHEAP, axes, a, b, out, |a, b| truth(a < b)),
        Binary::LesserEqual => loops(par, CHEAP, axes, a, b, out, |a, b| truth(a <= b)),
    }
    Ok(())
}

/// One axis of the result and how far each operand moves along it (0: repeated).
#[derive(Clone, Copy, Debug)]
struct Axis {
    len: usize,
    a: usize,
    b: usize,
}

/// The axes of the result with neighbours merged where both operands move through them evenly.
#[derive(Debug)]
struct Axes {
    axes: SmallVec<[Axis; 8]>,
    b_len: usize,
}

impl Axes {
    fn new(a_shape: &[usize], b_shape: &[usize]) -> Result<Axes, Mismatch> {
        let rank = a_shape.len().max(b_shape.len());
        let (mut a_stride, mut b_stride) = (1, 1);
        let mut axes: SmallVec<[Axis; 8]> = SmallVec::new();
        // From the last axis to the first.
        for back in 1..=rank {
            let len_in = |shape: &[usize]| if back <= shape.len() { shape[shape.len() - back] } else { 1 };
            let (a_len, b_len) = (len_in(a_shape), len_in(b_shape));
            if a_len != b_len && a_len != 1 && b_len != 1 {
                return Err(Mismatch {
                    function: "binary",
                    argument: "length of an axis of b",
                    got: b_len,
                    wanted: a_len,
                });
            }
            let len = if a_len == 1 { b_len } else { a_len };
            let a = if a_len == 1 { 0 } else { a_stride };
            let b = if b_len == 1 { 0 } else { b_stride };
            (a_stride, b_stride) = (a_stride * a_len, b_stride * b_len);
            if len == 1 {
                continue;
            }
            match axes.last_mut() {
                Some(inner) if a == inner.a * inner.len && b == inner.b * inner.len => inner.len *= len,
                _ => axes.push(Axis { len, a, b }),
            }
        }
        axes.reverse();
        Ok(Axes { axes, b_len: b_stride })
    }

    fn len(&self) -> usize {
        self.axes.iter().map(|axis| axis.len).product()
    }

    /// Where the operands are for the result's element `index` of the outer axes.
    fn offsets(&self, outer: &[Axis], mut index: usize) -> (usize, usize) {
        let (mut a, mut b) = (0, 0);
        for axis in outer.iter().rev() {
            a += index % axis.len * axis.a;
            b += index % axis.len * axis.b;
            index /= axis.len;
        }
        (a, b)
    }
}

fn loops<T: Float>(
    par: &dyn Par,
    grain: usize,
    axes: &Axes,
    a: Option<&[T]>,
    b: &[T],
    out: &mut [T],
    f: impl Fn(T, T) -> T + Sync,
) {
    let one = Axis { len: 1, a: 0, b: 0 };
    let (inner, outer) = axes.axes.split_last().map_or((one, &[][..]), |(inner, outer)| (*inner, outer));
    let split = Split::new(out.len(), 64, grain, 64);
    let parts = Parts::new(out, split, 1);
    each_part(par, split.parts(), &|i| {
        let range = split.range(i);
        let out = parts.take(i);
        let mut done = 0;
        while done < out.len() {
            let at = range.start + done;
            let (row, column) = (at / inner.len, at % inner.len);
            let len = (inner.len - column).min(out.len() - done);
            let (a_start, b_start) = axes.offsets(outer, row);
            let (a_start, b_start) = (a_start + column * inner.a, b_start + column * inner.b);
            let out = &mut out[done..done + len];
            let a = a.map(|a| &a[a_start..a_start + (len - 1) * inner.a + 1]);
            let b = &b[b_start..b_start + (len - 1) * inner.b + 1];
            T::dispatch(Compiled(|| row_loop(a, inner.a, b, inner.b, out, &f)));
            done += len;
        }
    });
}

/// One row: the strides are 0 or 1, and `a` is left out where it is `out` itself.
#[inline(always)]
fn row_loop<T: Float>(a: Option<&[T]>, a_step: usize, b: &[T], b_step: usize, out: &mut [T], f: &impl Fn(T, T) -> T) {
    match (a, a_step, b_step) {
        (None, _, 0) => {
            let b = b[0];
            for out in out.iter_mut() {
                *out = f(*out, b);
            }
        }
        (None, ..) => {
            for (out, &b) in out.iter_mut().zip(b) {
                *out = f(*out, b);
            }
        }
        (Some(a), 0, 0) => out.fill(f(a[0], b[0])),
        (Some(a), 0, _) => {
            let a = a[0];
            for (out, &b) in out.iter_mut().zip(b) {
                *out = f(a, b);
            }
        }
        (Some(a), _, 0) => {
            let b = b[0];
            for (out, &a) in out.iter_mut().zip(a) {
                *out = f(a, b);
            }
        }
        (Some(a), ..) => {
            for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
                *out = f(a, b);
            }
        }
    }
}
