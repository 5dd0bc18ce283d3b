//! The number types that the kernels compute in.

use super::broadcast::BinaryLoops;
use super::number::Number;
use super::reduce::ReduceLoops;
use crate::arch::Dispatch;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

/// `f32` or `f64`. The first has vector code of its own, the second goes through the same algorithms on portable lanes.
#[expect(private_bounds, reason = "sealed: the kernels are written for these two types")]
pub trait Float:
    Number
    + BinaryLoops
    + ReduceLoops
    + Dispatch
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
{
    /// Plus infinity.
    const INFINITY: Self;
    /// Natural exponential of one number.
    fn exp(self) -> Self;
    /// Natural logarithm of one number.
    fn ln(self) -> Self;
    /// Square root.
    fn sqrt(self) -> Self;
}

macro_rules! float {
    ($t:ident) => {
        impl Float for $t {
            const INFINITY: $t = $t::INFINITY;
            #[inline]
            fn exp(self) -> $t {
                $t::exp(self)
            }
            #[inline]
            fn ln(self) -> $t {
                $t::ln(self)
            }
            #[inline(always)]
            fn sqrt(self) -> $t {
                $t::sqrt(self)
            }
        }
    };
}

float!(f32);
float!(f64);
