//! `_random_uniform`, `_random_normal`: the number at each place follows from the stream and the place alone.

use super::dtype::Real;
use super::par::{Workers, chunks};
use varflow_ops::{DType, Kernel, KernelCall, KernelCtx, Result};

/// Numbers that are worth a part of their own.
const PART: usize = 4 * 1024;

/// Numbers in `[low, high)`, and `low` if that is empty: float32 of 24 random bits, four from a block of the stream;
/// float64 of 53 bits, two from a block.
pub(super) fn uniform<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let (low, high) = (call.params.float("low"), call.params.float("high"));
    let [least, most] = range::<T>(low, high);
    // The two products, unlike the difference of the bounds, do not overflow. Rounding may lead out of the range.
    let number = move |u: f64| {
        let x = T::from_f64(low * (1.0 - u) + high * u);
        if x < least {
            least
        } else if x > most {
            most
        } else {
            x
        }
    };
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let rng = ctx.rng();
        if T::DTYPE == DType::F32 {
            draw(ctx, |block| rng.uniform4(block).map(|u| number(f64::from(u))))
        } else {
            draw(ctx, |block| rng.uniform2(block).map(number))
        }
    }))
}

/// The least and the greatest number of a type in `[low, high)`.
fn range<T: Real>(low: f64, high: f64) -> [T; 2] {
    let (least, end) = (T::from_f64(low), T::from_f64(high));
    let most = if T::DTYPE == DType::F32 { f64::from((high as f32).next_down()) } else { high.next_down() };
    [least, if least < end { T::from_f64(most) } else { least }]
}

/// Normal numbers, two from a block of the stream (see [`Philox::normal2`](varflow_ops::Philox::normal2)).
pub(super) fn normal<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let (loc, scale) = (call.params.float("loc"), call.params.float("scale"));
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let rng = ctx.rng();
        draw(ctx, |block| rng.normal2(block).map(|z| T::from_f64(loc + scale * z)))
    }))
}

/// Fills the output: number `i` is `block(i / N)[i % N]`.
fn draw<T: Real, const N: usize>(ctx: &KernelCtx<'_>, block: impl Fn(u64) -> [T; N] + Sync) -> Result<()> {
    chunks(&Workers::of(ctx), ctx.output(0)?, N, PART, |start, chunk| {
        for (numbers, index) in chunk.chunks_mut(N).zip((start / N) as u64..) {
            numbers.copy_from_slice(&block(index)[..numbers.len()]);
        }
    });
    Ok(())
}
