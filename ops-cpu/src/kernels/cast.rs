//! `Cast` and its gradient: every dtype but bool to every other.

use super::par::Workers;
use crate::compute::cast;
use half::{bf16, f16};
use varflow_ops::{DType, Element, Error, Kernel, KernelCall, KernelCtx, Result};

/// A number that becomes a `To`: floating-point numbers are rounded to the nearest, or become integers by dropping the
/// fraction; what is out of range becomes the nearest integer in range, NaN becomes 0.
pub(super) trait CastTo<To> {
    fn cast_to(self) -> To;
}

macro_rules! cast_to {
    ($($from:ty),* => $to:ty: |$x:ident| $cast:expr) => {
        $(impl CastTo<$to> for $from {
            #[inline(always)]
            fn cast_to(self) -> $to {
                let $x = self;
                $cast
            }
        })*
    };
}

/// To one integer type, from all types.
macro_rules! to_integer {
    ($($to:ty),*) => { $(
        cast_to!(u8, i8, u16, i16, u32, i32, u64, i64 => $to: |x| {
            <$to>::try_from(x).unwrap_or(if x > 0 { <$to>::MAX } else { <$to>::MIN })
        });
        cast_to!(f32, f64 => $to: |x| x as $to);
        cast_to!(f16, bf16 => $to: |x| x.to_f32() as $to);
    )* };
}

to_integer!(u8, i8, u16, i16, u32, i32, u64, i64);

cast_to!(u8, i8, u16, i16, u32, i32, u64, i64, f32, f64 => f32: |x| x as f32);
cast_to!(f16, bf16 => f32: |x| x.to_f32());
cast_to!(u8, i8, u16, i16, u32, i32, u64, i64, f32, f64 => f64: |x| x as f64);
cast_to!(f16, bf16 => f64: |x| x.to_f64());
cast_to!(u8, i8, u16, i16, u32, i32, u64, i64, f64 => f16: |x| f16::from_f64(x as f64));
cast_to!(f32 => f16: |x| f16::from_f32(x));
cast_to!(f16 => f16: |x| x);
cast_to!(bf16 => f16: |x| f16::from_f32(x.to_f32()));
cast_to!(u8, i8, u16, i16, u32, i32, u64, i64, f64 => bf16: |x| bf16::from_f64(x as f64));
cast_to!(f32 => bf16: |x| bf16::from_f32(x));
cast_to!(f16 => bf16: |x| bf16::from_f32(x.to_f32()));
cast_to!(bf16 => bf16: |x| x);

/// What every element is cast to.
pub(super) trait Number:
    Element
    + CastTo<f32>
    + CastTo<f64>
    + CastTo<f16>
    + CastTo<bf16>
    + CastTo<u8>
    + CastTo<i8>
    + CastTo<u16>
    + CastTo<i16>
    + CastTo<u32>
    + CastTo<i32>
    + CastTo<u64>
    + CastTo<i64>
{
}

macro_rules! number {
    ($($t:ty),*) => { $(impl Number for $t {})* };
}
number!(f32, f64, f16, bf16, u8, i8, u16, i16, u32, i32, u64, i64);

/// The output holds what input 0 holds, in its own dtype.
pub(super) fn forward<From: Number>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    match call.outputs[0].dtype {
        DType::F32 => between::<From, f32>(),
        DType::F64 => between::<From, f64>(),
        DType::F16 => between::<From, f16>(),
        DType::BF16 => between::<From, bf16>(),
        DType::U8 => between::<From, u8>(),
        DType::I8 => between::<From, i8>(),
        DType::U16 => between::<From, u16>(),
        DType::I16 => between::<From, i16>(),
        DType::U32 => between::<From, u32>(),
        DType::I32 => between::<From, i32>(),
        DType::U64 => between::<From, u64>(),
        DType::I64 => between::<From, i64>(),
        DType::Bool => Err(Error::DType("the output holds bool, wanted numbers".to_string())),
    }
}

fn between<From: CastTo<To> + Element, To: Element>() -> Result<Box<dyn Kernel>> {
    Ok(Box::new(|ctx: &mut KernelCtx<'_>| {
        Ok(cast(&Workers::of(ctx), ctx.input::<From>(0)?, ctx.output::<To>(0)?, From::cast_to)?)
    }))
}
