//! Functions of two tensors whose shapes broadcast.

use super::map::{CHEAP, COSTLY, Compiled};
use super::mismatch::Mismatch;
use super::number::Number;
use super::par::{Par, Parts, Split, each_part};
use crate::arch::Dispatch;
use half::{bf16, f16};
use smallvec::SmallVec;

/// A function of two numbers. Comparisons give 1 for true and 0 for false.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    /// NaN if either operand is NaN.
    Maximum,
    /// NaN if either operand is NaN.
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
    /// Any number but 0 is true, NaN too.
    LogicalAnd,
    LogicalOr,
    LogicalXor,
    /// `b - a`.
    SubFrom,
    /// `b / a`.
    DivInto,
    /// `b ^ a`.
    PowerOf,
    /// The remainder of `b / a` with the sign of `a`.
    ModOf,
}

impl Binary {
    /// The function with its operands swapped.
    pub fn swapped(self) -> Binary {
        match self {
            Binary::Sub => Binary::SubFrom,
            Binary::SubFrom => Binary::Sub,
            Binary::Div => Binary::DivInto,
            Binary::DivInto => Binary::Div,
            Binary::Power => Binary::PowerOf,
            Binary::PowerOf => Binary::Power,
            Binary::Mod => Binary::ModOf,
            Binary::ModOf => Binary::Mod,
            Binary::Greater => Binary::Lesser,
            Binary::Lesser => Binary::Greater,
            Binary::GreaterEqual => Binary::LesserEqual,
            Binary::LesserEqual => Binary::GreaterEqual,
            commutative => commutative,
        }
    }
}

/// `out = op(a, b)`. Shapes are aligned at their last axis; an axis of length 1, or one that is missing, is repeated.
/// `out` has the shape that results.
///
/// Errors: shapes that do not broadcast, or slices of other lengths than their shapes say.
#[expect(private_bounds, reason = "sealed: the loops are compiled for the element types")]
pub fn binary<T: BinaryLoops>(
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
#[expect(private_bounds, reason = "sealed: the loops are compiled for the element types")]
pub fn binary_in_place<T: BinaryLoops>(
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

/// `out = f(a, b)`, for functions that are no [`Binary`]; otherwise as [`binary`].
pub fn binary_with<T: Number>(
    par: &dyn Par,
    f: fn(T, T) -> T,
    (a, a_shape): (&[T], &[usize]),
    (b, b_shape): (&[T], &[usize]),
    out: &mut [T],
) -> Result<(), Mismatch> {
    let axes = Axes::new(a_shape, b_shape)?;
    Mismatch::check("binary_with", "length of a", a.len(), a_shape.iter().product())?;
    axes.check(b, out)?;
    loops(par, COSTLY, &axes, Some(a), b, out, f);
    Ok(())
}

fn by_operator<T: BinaryLoops>(
    par: &dyn Par,
    op: Binary,
    axes: &Axes,
    a: Option<&[T]>,
    b: &[T],
    out: &mut [T],
) -> Result<(), Mismatch> {
    axes.check(b, out)?;
    T::run(par, op, axes, a, b, out);
    Ok(())
}

fn truth<T: Number>(holds: bool) -> T {
    if holds { T::ONE } else { T::ZERO }
}

/// `$then!(grain, function)` for the function that `$op` stands for.
macro_rules! with_function {
    ($op:expr, $then:ident) => {
        match $op {
            Binary::Add => $then!(CHEAP, |a, b| a.plus(b)),
            Binary::Sub => $then!(CHEAP, |a, b| a.minus(b)),
            Binary::Mul => $then!(CHEAP, |a, b| a.times(b)),
            Binary::Div => $then!(CHEAP, |a, b| a.over(b)),
            Binary::SubFrom => $then!(CHEAP, |a, b| b.minus(a)),
            Binary::DivInto => $then!(CHEAP, |a, b| b.over(a)),
            Binary::Maximum => $then!(CHEAP, |a, b| if a > b || a.is_nan() { a } else { b }),
            Binary::Minimum => $then!(CHEAP, |a, b| if a < b || a.is_nan() { a } else { b }),
            Binary::Power => $then!(COSTLY, |a, b| a.powf(b)),
            Binary::PowerOf => $then!(COSTLY, |a, b| b.powf(a)),
            Binary::Mod => $then!(COSTLY, |a, b| a.modulo(b)),
            Binary::ModOf => $then!(COSTLY, |a, b| b.modulo(a)),
            Binary::Hypot => $then!(COSTLY, |a, b| a.hypot(b)),
            Binary::Equal => $then!(CHEAP, |a, b| truth(a == b)),
            Binary::NotEqual => $then!(CHEAP, |a, b| truth(a != b)),
            Binary::Greater => $then!(CHEAP, |a, b| truth(a > b)),
            Binary::GreaterEqual => $then!(CHEAP, |a, b| truth(a >= b)),
            Binary::Lesser => $then!(CHEAP, |a, b| truth(a < b)),
            Binary::LesserEqual => $then!(CHEAP, |a, b| truth(a <= b)),
            Binary::LogicalAnd => $then!(CHEAP, |a, b| truth(a != Self::ZERO && b != Self::ZERO)),
            Binary::LogicalOr => $then!(CHEAP, |a, b| truth(a != Self::ZERO || b != Self::ZERO)),
            Binary::LogicalXor => $then!(CHEAP, |a, b| truth((a != Self::ZERO) != (b != Self::ZERO))),
        }
    };
}

/// How a type's loops are compiled: with each function inlined for `f32` and `f64`, and one loop that calls the function
/// for the others, whose sixteen copies of every loop would be far more code than they are worth.
pub(crate) trait BinaryLoops: Number {
    fn run(par: &dyn Par, op: Binary, axes: &Axes, a: Option<&[Self]>, b: &[Self], out: &mut [Self]);
}

macro_rules! inlined {
    ($($t:ty),*) => { $(impl BinaryLoops for $t {
        fn run(par: &dyn Par, op: Binary, axes: &Axes, a: Option<&[$t]>, b: &[$t], out: &mut [$t]) {
            macro_rules! run {
                ($grain:expr, $f:expr) => { loops::<$t>(par, $grain, axes, a, b, out, $f) };
            }
            with_function!(op, run);
        }
    })* };
}

macro_rules! called {
    ($($t:ty),*) => { $(impl BinaryLoops for $t {
        fn run(par: &dyn Par, op: Binary, axes: &Axes, a: Option<&[$t]>, b: &[$t], out: &mut [$t]) {
            macro_rules! function {
                ($grain:expr, $f:expr) => { { let f: fn($t, $t) -> $t = $f; f } };
            }
            let f = with_function!(op, function);
            loops(par, COSTLY, axes, a, b, out, f);
        }
    })* };
}

inlined!(f32, f64);
called!(f16, bf16, u8, i8, u16, i16, u32, i32, u64, i64);

/// One axis of the result and how far each operand moves along it (0: repeated).
#[derive(Clone, Copy, Debug)]
struct Axis {
    len: usize,
    a: usize,
    b: usize,
}

/// The axes of the result with neighbours merged where both operands move through them evenly.
#[derive(Debug)]
pub(crate) struct Axes {
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

    fn check<T>(&self, b: &[T], out: &[T]) -> Result<(), Mismatch> {
        Mismatch::check("binary", "length of b", b.len(), self.b_len)?;
        Mismatch::check("binary", "length of out", out.len(), self.len())
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

fn loops<T: Number>(
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
            <f32 as Dispatch>::dispatch(Compiled(|| row_loop(a, inner.a, b, inner.b, out, &f)));
            done += len;
        }
    });
}

/// One row: the strides are 0 or 1, and `a` is left out where it is `out` itself.
#[inline(always)]
fn row_loop<T: Copy>(a: Option<&[T]>, a_step: usize, b: &[T], b_step: usize, out: &mut [T], f: &impl Fn(T, T) -> T) {
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
