//! The number types that the kernels compute in.

use super::gemm::GemmKernel;
use crate::arch::Dispatch;
use std::fmt::Debug;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

/// `f32` or `f64`. The first has vector code of its own, the second goes through the same algorithms on portable lanes.
#[expect(private_bounds, reason = "sealed: the kernels are written for these two types")]
pub trait Float:
    Dispatch
    + GemmKernel
    + Copy
    + Default
    + Debug
    + PartialOrd
    + Send
    + Sync
    + bytemuck::Pod
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + 'static
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// Plus infinity.
    const INFINITY: Self;
    /// Rounded from `value`.
    fn from_f64(value: f64) -> Self;
    /// Widened, exactly.
    fn to_f64(self) -> f64;
    /// Natural exponential of one number.
    fn exp(self) -> Self;
    /// Natural logarithm of one number.
    fn ln(self) -> Self;
    /// Square root.
    fn sqrt(self) -> Self;
    /// `self` to the power `exponent`.
    fn powf(self, exponent: Self) -> Self;
    /// Remainder with the sign of the divisor, as Python's `%` and MXNet's `mod`.
    fn modulo(self, divisor: Self) -> Self;
    /// `sqrt(self² + other²)` without overflow.
    fn hypot(self, other: Self) -> Self;
    /// Whether this is a NaN.
    fn is_nan(self) -> bool;
}

macro_rules! float {
    ($t:ident) => {
        impl Float for $t {
            const ZERO: $t = 0.0;
            const ONE: $t = 1.0;
            const INFINITY: $t = $t::INFINITY;
            #[inline(always)]
            fn from_f64(value: f64) -> $t {
                value as $t
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
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
            #[inline]
            fn powf(self, exponent: $t) -> $t {
                $t::powf(self, exponent)
            }
            #[inline]
            fn modulo(self, divisor: $t) -> $t {
                let rest = self % divisor;
                if rest != 0.0 && (rest < 0.0) != (divisor < 0.0) { rest + divisor } else { rest }
            }
            #[inline]
            fn hypot(self, other: $t) -> $t {
                $t::hypot(self, other)
            }
            #[inline(always)]
            fn is_nan(self) -> bool {
                $t::is_nan(self)
            }
        }
    };
}

float!(f32);
float!(f64);
