//! The arithmetic that every element type has.

use half::{bf16, f16};
use std::fmt::Debug;

/// A number of any element type. Integers wrap around, as MXNet's do; division by the integer 0 gives 0. 16-bit
/// floating-point numbers are computed in `f32`.
pub trait Number: Copy + Default + Debug + PartialOrd + Send + Sync + bytemuck::Pod + 'static {
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// Minus infinity, or the least integer.
    const LEAST: Self;
    /// Infinity, or the greatest integer.
    const GREATEST: Self;
    /// Rounded from `value`; integers lose the fraction and wrap around.
    fn from_f64(value: f64) -> Self;
    /// The nearest double.
    fn to_f64(self) -> f64;
    /// Sum.
    fn plus(self, other: Self) -> Self;
    /// Difference.
    fn minus(self, other: Self) -> Self;
    /// Product.
    fn times(self, other: Self) -> Self;
    /// Quotient; of integers without its fraction.
    fn over(self, divisor: Self) -> Self;
    /// Remainder with the sign of the divisor, as Python's `%`; 0 if the divisor is 0, as MXNet's `mod`.
    fn modulo(self, divisor: Self) -> Self;
    /// `self` to the power `exponent`.
    fn powf(self, exponent: Self) -> Self;
    /// `sqrt(self² + other²)` without overflow.
    fn hypot(self, other: Self) -> Self;
    /// Whether this is a NaN.
    fn is_nan(self) -> bool;
}

macro_rules! float {
    ($t:ident) => {
        impl Number for $t {
            const ZERO: $t = 0.0;
            const ONE: $t = 1.0;
            const LEAST: $t = $t::NEG_INFINITY;
            const GREATEST: $t = $t::INFINITY;
            #[inline(always)]
            fn from_f64(value: f64) -> $t {
                value as $t
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            #[inline(always)]
            fn plus(self, other: $t) -> $t {
                self + other
            }
            #[inline(always)]
            fn minus(self, other: $t) -> $t {
                self - other
            }
            #[inline(always)]
            fn times(self, other: $t) -> $t {
                self * other
            }
            #[inline(always)]
            fn over(self, divisor: $t) -> $t {
                self / divisor
            }
            #[inline]
            fn modulo(self, divisor: $t) -> $t {
                if divisor == 0.0 {
                    return 0.0;
                }
                let rest = self % divisor;
                if rest != 0.0 && (rest < 0.0) != (divisor < 0.0) { rest + divisor } else { rest }
            }
            #[inline]
            fn powf(self, exponent: $t) -> $t {
                $t::powf(self, exponent)
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

macro_rules! integer {
    ($($t:ident),*) => { $(
        impl Number for $t {
            const ZERO: $t = 0;
            const ONE: $t = 1;
            const LEAST: $t = $t::MIN;
            const GREATEST: $t = $t::MAX;
            fn from_f64(value: f64) -> $t {
                value as i128 as $t
            }
            fn to_f64(self) -> f64 {
                self as f64
            }
            fn plus(self, other: $t) -> $t {
                self.wrapping_add(other)
            }
            fn minus(self, other: $t) -> $t {
                self.wrapping_sub(other)
            }
            fn times(self, other: $t) -> $t {
                self.wrapping_mul(other)
            }
            fn over(self, divisor: $t) -> $t {
                if divisor == 0 { 0 } else { self.wrapping_div(divisor) }
            }
            fn modulo(self, divisor: $t) -> $t {
                if divisor == 0 {
                    return 0;
                }
                // In a wider type the sign can be asked for of unsigned numbers too, and the sum does not wrap.
                let (divisor, rest) = (i128::from(divisor), i128::from(self) % i128::from(divisor));
                (if rest != 0 && (rest < 0) != (divisor < 0) { rest + divisor } else { rest }) as $t
            }
            fn powf(self, exponent: $t) -> $t {
                (self as f64).powf(exponent as f64) as $t
            }
            fn hypot(self, other: $t) -> $t {
                (self as f64).hypot(other as f64) as $t
            }
            fn is_nan(self) -> bool {
                false
            }
        }
    )* };
}

integer!(u8, i8, u16, i16, u32, i32, u64, i64);

macro_rules! half_float {
    ($($t:ident),*) => { $(
        impl Number for $t {
            const ZERO: $t = $t::ZERO;
            const ONE: $t = $t::ONE;
            const LEAST: $t = $t::NEG_INFINITY;
            const GREATEST: $t = $t::INFINITY;
            fn from_f64(value: f64) -> $t {
                $t::from_f64(value)
            }
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            fn plus(self, other: $t) -> $t {
                self + other
            }
            fn minus(self, other: $t) -> $t {
                self - other
            }
            fn times(self, other: $t) -> $t {
                self * other
            }
            fn over(self, divisor: $t) -> $t {
                self / divisor
            }
            fn modulo(self, divisor: $t) -> $t {
                $t::from_f32(self.to_f32().modulo(divisor.to_f32()))
            }
            fn powf(self, exponent: $t) -> $t {
                $t::from_f32(self.to_f32().powf(exponent.to_f32()))
            }
            fn hypot(self, other: $t) -> $t {
                $t::from_f32(self.to_f32().hypot(other.to_f32()))
            }
            fn is_nan(self) -> bool {
                $t::is_nan(self)
            }
        }
    )* };
}

half_float!(f16, bf16);
