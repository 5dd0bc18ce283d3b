//! Elementwise loops.

#![expect(unsafe_code, reason = "one loop serves operands that alias the result and operands that do not")]

use super::float::Float;
use super::mismatch::Mismatch;
use super::number::Number;
use super::par::{Par, Parts, Split, each_part};
use crate::arch::{Dispatch, Job, LANES, Lanes};

/// Numbers a part for loops bound by memory.
pub(crate) const CHEAP: usize = 32 * 1024;
/// Numbers a part for loops that compute tens of instructions a vector.
pub(crate) const COSTLY: usize = 8 * 1024;

/// A function of one vector.
pub(crate) trait Map<T: Copy>: Sync {
    fn apply<V: Lanes<T>>(&self, x: V) -> V;
}

/// A function of two vectors.
pub(crate) trait Zip<T: Copy>: Sync {
    fn apply<V: Lanes<T>>(&self, x: V, y: V) -> V;
}

struct MapJob<'a, T, M> {
    op: &'a M,
    x: *const T,
    out: *mut T,
    len: usize,
}

impl<T: Copy, M: Map<T>> Job<T> for MapJob<'_, T, M> {
    type Out = ();
    #[inline(always)]
    fn run<V: Lanes<T>>(self) {
        let whole = self.len - self.len % LANES;
        for at in (0..whole).step_by(LANES) {
            // SAFETY: at + 8 <= len, and `map_lanes` made both pointers valid for `len` numbers.
            unsafe { self.op.apply(V::load(self.x.add(at))).store(self.out.add(at)) };
        }
        if whole < self.len {
            let rest = self.len - whole;
            // SAFETY: whole + rest == len.
            unsafe { self.op.apply(V::load_first(self.x.add(whole), rest)).store_first(self.out.add(whole), rest) };
        }
    }
}

/// `out = op(x)`, with `x` left out for `out = op(out)`. Lengths are equal.
pub(crate) fn map_lanes<T: Float, M: Map<T>>(par: &dyn Par, grain: usize, op: &M, x: Option<&[T]>, out: &mut [T]) {
    let split = Split::new(out.len(), 64, grain, 64);
    let parts = Parts::new(out, split, 1);
    each_part(par, split.parts(), &|i| {
        let out = parts.take(i);
        let len = out.len();
        let out = out.as_mut_ptr();
        let x = x.map_or(out.cast_const(), |x| x[split.range(i)].as_ptr());
        T::dispatch(MapJob { op, x, out, len });
    });
}

struct ZipJob<'a, T, Z> {
    op: &'a Z,
    x: *const T,
    y: *const T,
    out: *mut T,
    len: usize,
}

impl<T: Copy, Z: Zip<T>> Job<T> for ZipJob<'_, T, Z> {
    type Out = ();
    #[inline(always)]
    fn run<V: Lanes<T>>(self) {
        let whole = self.len - self.len % LANES;
        for at in (0..whole).step_by(LANES) {
            // SAFETY: at + 8 <= len, and `zip_lanes` made the pointers valid for `len` numbers.
            unsafe { self.op.apply(V::load(self.x.add(at)), V::load(self.y.add(at))).store(self.out.add(at)) };
        }
        if whole < self.len {
            let rest = self.len - whole;
            // SAFETY: whole + rest == len.
            unsafe {
                let x = V::load_first(self.x.add(whole), rest);
                let y = V::load_first(self.y.add(whole), rest);
                self.op.apply(x, y).store_first(self.out.add(whole), rest);
            }
        }
    }
}

/// `out = op(x, y)`, with `x` left out for `out = op(out, y)`. Lengths are equal.
pub(crate) fn zip_lanes<T: Float, Z: Zip<T>>(
    par: &dyn Par,
    grain: usize,
    op: &Z,
    x: Option<&[T]>,
    y: &[T],
    out: &mut [T],
) {
    let split = Split::new(out.len(), 64, grain, 64);
    let parts = Parts::new(out, split, 1);
    each_part(par, split.parts(), &|i| {
        let out = parts.take(i);
        let len = out.len();
        let out = out.as_mut_ptr();
        let x = x.map_or(out.cast_const(), |x| x[split.range(i)].as_ptr());
        T::dispatch(ZipJob { op, x, y: y[split.range(i)].as_ptr(), out, len });
    });
}

/// A scalar loop compiled with the processor's instruction set, so that the compiler may vectorise it.
pub(crate) struct Compiled<F>(pub(crate) F);

impl<T: Copy, R, F: FnOnce() -> R> Job<T> for Compiled<F> {
    type Out = R;
    #[inline(always)]
    fn run<V: Lanes<T>>(self) -> R {
        (self.0)()
    }
}

/// `out[i] = f(x[i])`, for functions that have no operator of their own.
pub fn map<T: Number, U: Number>(
    par: &dyn Par,
    x: &[T],
    out: &mut [U],
    f: impl Fn(T) -> U + Sync,
) -> Result<(), Mismatch> {
    Mismatch::check("map", "length of out", out.len(), x.len())?;
    let split = Split::new(out.len(), 64, COSTLY, 64);
    let parts = Parts::new(out, split, 1);
    each_part(par, split.parts(), &|i| {
        let (x, out) = (&x[split.range(i)], parts.take(i));
        <f32 as Dispatch>::dispatch(Compiled(|| {
            for (out, &x) in out.iter_mut().zip(x) {
                *out = f(x);
            }
        }));
    });
    Ok(())
}

/// `x[i] = f(x[i])`.
pub fn map_in_place<T: Number>(par: &dyn Par, x: &mut [T], f: impl Fn(T) -> T + Sync) {
    let split = Split::new(x.len(), 64, COSTLY, 64);
    let parts = Parts::new(x, split, 1);
    each_part(par, split.parts(), &|i| {
        let x = parts.take(i);
        <f32 as Dispatch>::dispatch(Compiled(|| {
            for x in x.iter_mut() {
                *x = f(*x);
            }
        }));
    });
}

/// `out[i] = f(x[i], y[i])`.
pub fn zip<T: Float>(
    par: &dyn Par,
    x: &[T],
    y: &[T],
    out: &mut [T],
    f: impl Fn(T, T) -> T + Sync,
) -> Result<(), Mismatch> {
    Mismatch::check("zip", "length of y", y.len(), x.len())?;
    Mismatch::check("zip", "length of out", out.len(), x.len())?;
    let split = Split::new(out.len(), 64, CHEAP, 64);
    let parts = Parts::new(out, split, 1);
    each_part(par, split.parts(), &|i| {
        let (x, y, out) = (&x[split.range(i)], &y[split.range(i)], parts.take(i));
        T::dispatch(Compiled(|| {
            for ((out, &x), &y) in out.iter_mut().zip(x).zip(y) {
                *out = f(x, y);
            }
        }));
    });
    Ok(())
}

/// `x[i] = f(x[i], y[i])`.
pub fn zip_in_place<T: Float>(
    par: &dyn Par,
    x: &mut [T],
    y: &[T],
    f: impl Fn(T, T) -> T + Sync,
) -> Result<(), Mismatch> {
    Mismatch::check("zip_in_place", "length of y", y.len(), x.len())?;
    let split = Split::new(x.len(), 64, CHEAP, 64);
    let parts = Parts::new(x, split, 1);
    each_part(par, split.parts(), &|i| {
        let (x, y) = (parts.take(i), &y[split.range(i)]);
        T::dispatch(Compiled(|| {
            for (x, &y) in x.iter_mut().zip(y) {
                *x = f(*x, y);
            }
        }));
    });
    Ok(())
}

/// Sets every number to `value`.
pub fn fill<T: Float>(par: &dyn Par, out: &mut [T], value: T) {
    let split = Split::new(out.len(), 64, 4 * CHEAP, 64);
    let parts = Parts::new(out, split, 1);
    each_part(par, split.parts(), &|i| parts.take(i).fill(value));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::portable;
    use crate::compute::Serial;

    struct Everything;
    impl Map<f32> for Everything {
        #[inline(always)]
        fn apply<V: Lanes<f32>>(&self, x: V) -> V {
            let small = x.sigmoid().add(x.tanh()).mul(x.abs().sqrt()).sub(x.softrelu().ln());
            small.max(x.min(V::splat(0.5))).div(x.mul_add(x, V::splat(1.0)).exp())
        }
    }

    #[test]
    fn portable_lanes_agree_with_those_of_the_processor() {
        let x: Vec<f32> = (0..1003).map(|i| (i as f32 - 500.0) / 60.0).collect();
        let mut fast = vec![0.0; x.len()];
        map_lanes(&Serial, CHEAP, &Everything, Some(&x), &mut fast);
        let mut plain = vec![0.0; x.len()];
        portable(MapJob { op: &Everything, x: x.as_ptr(), out: plain.as_mut_ptr(), len: x.len() });
        for (fast, plain) in fast.iter().zip(&plain) {
            assert!((fast - plain).abs() <= 2e-5 * plain.abs(), "{fast} {plain}");
        }
    }
}
