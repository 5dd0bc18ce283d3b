//! The 16-bit floating-point types: stored so, computed with as `f32` and rounded after every operation.

use crate::dtype::Float;
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};

/// An IEEE 754 half: 5 bits of exponent, 10 of fraction.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct F16(pub u16);

/// The upper half of an `f32`: 8 bits of exponent, 7 of fraction.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct BF16(pub u16);

impl BF16 {
    /// The nearest value, ties to even.
    #[must_use]
    pub fn from_f32(value: f32) -> Self {
        let bits = value.to_bits();
        if value.is_nan() {
            // A quiet one: the payload may lie in the half that is cut off.
            return BF16((bits >> 16) as u16 | 0x40);
        }
        let odd = (bits >> 16) & 1;
        BF16(((bits + 0x7fff + odd) >> 16) as u16)
    }

    /// The same value.
    #[must_use]
    pub fn to_f32(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }
}

impl F16 {
    /// The nearest value, ties to even.
    #[must_use]
    pub fn from_f32(value: f32) -> Self {
        let bits = value.to_bits();
        let sign = (bits >> 16) as u16 & 0x8000;
        let magnitude = bits & 0x7fff_ffff;
        if value.is_nan() {
            return F16(sign | 0x7e00);
        }
        // From 65520, halfway above the greatest half, on.
        if magnitude >= 0x477f_f000 {
            return F16(sign | 0x7c00);
        }
        // Below 2^-14 halves lie 2^-24 apart, so the nearest is what adding 0.5, whose last bit is worth as much, leaves.
        if magnitude < 0x3880_0000 {
            let sum = f32::from_bits(magnitude) + 0.5;
            return F16(sign | (sum.to_bits() - 0.5_f32.to_bits()) as u16);
        }
        let odd = (magnitude >> 13) & 1;
        let rounded = magnitude + 0xfff + odd;
        // The exponent's bias goes from 127 to 15.
        F16(sign | ((rounded - (112 << 23)) >> 13) as u16)
    }

    /// The same value.
    #[must_use]
    pub fn to_f32(self) -> f32 {
        let sign = u32::from(self.0 & 0x8000) << 16;
        let (exponent, fraction) = (u32::from(self.0 >> 10) & 0x1f, u32::from(self.0) & 0x3ff);
        match exponent {
            0 => f32::from_bits(sign | 1.0_f32.to_bits()) * (fraction as f32 * 2.0_f32.powi(-24)),
            31 => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
            _ => f32::from_bits(sign | (exponent + 112) << 23 | fraction << 13),
        }
    }
}

macro_rules! float_by_f32 {
    ($type:ident, one: $one:literal) => {
        impl PartialEq for $type {
            #[inline]
            fn eq(&self, other: &Self) -> bool {
                self.to_f32() == other.to_f32()
            }
        }

        impl PartialOrd for $type {
            #[inline]
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                self.to_f32().partial_cmp(&other.to_f32())
            }
        }

        impl Neg for $type {
            type Output = Self;
            #[inline]
            fn neg(self) -> Self {
                $type(self.0 ^ 0x8000)
            }
        }

        float_by_f32!(@operator $type: Add add, Sub sub, Mul mul, Div div);
        float_by_f32!(@assign $type: AddAssign add_assign add, SubAssign sub_assign sub, MulAssign mul_assign mul);

        impl Float for $type {
            const ZERO: Self = $type(0);
            const ONE: Self = $type($one);
            #[inline]
            fn from_f64(value: f64) -> Self {
                $type::from_f32(value as f32)
            }
            #[inline]
            fn to_f64(self) -> f64 {
                f64::from(self.to_f32())
            }
            float_by_f32!(@unary $type: abs, sqrt, exp, ln, sin, cos, tanh);
            float_by_f32!(@binary $type: powf, max, min);
        }
    };
    (@operator $type:ident: $($trait:ident $name:ident),*) => {
        $(
            impl $trait for $type {
                type Output = Self;
                #[inline]
                fn $name(self, other: Self) -> Self {
                    $type::from_f32(self.to_f32().$name(other.to_f32()))
                }
            }
        )*
    };
    (@assign $type:ident: $($trait:ident $name:ident $by:ident),*) => {
        $(
            impl $trait for $type {
                #[inline]
                fn $name(&mut self, other: Self) {
                    *self = (*self).$by(other);
                }
            }
        )*
    };
    (@unary $type:ident: $($name:ident),*) => {
        $(
            #[inline]
            fn $name(self) -> Self {
                $type::from_f32(self.to_f32().$name())
            }
        )*
    };
    (@binary $type:ident: $($name:ident),*) => {
        $(
            #[inline]
            fn $name(self, other: Self) -> Self {
                $type::from_f32(self.to_f32().$name(other.to_f32()))
            }
        )*
    };
}
float_by_f32!(F16, one: 0x3c00);
float_by_f32!(BF16, one: 0x3f80);

#[cfg(test)]
mod tests {
    use super::*;

    /// Every half is the nearest half to itself.
    #[test]
    fn all_halves_come_back() {
        for bits in 0..=u16::MAX {
            let (f, b) = (F16(bits), BF16(bits));
            if !f.to_f32().is_nan() {
                assert_eq!(F16::from_f32(f.to_f32()).0, bits, "{bits:#x}");
            }
            if !b.to_f32().is_nan() {
                assert_eq!(BF16::from_f32(b.to_f32()).0, bits, "{bits:#x}");
            }
            assert_eq!(F16::from_f32(f.to_f32()).to_f32().is_nan(), f.to_f32().is_nan(), "{bits:#x}");
        }
    }

    /// What lies between two neighbours goes to the nearer one, halfway to the even one.
    #[test]
    fn between_two_halves_the_nearer_one() {
        for bits in 0..0x7bff_u16 {
            let (low, high) = (F16(bits).to_f32(), F16(bits + 1).to_f32());
            let middle = low + (high - low) / 2.0;
            assert_eq!(F16::from_f32(middle).0, bits + (bits & 1), "{bits:#x}");
            assert_eq!(F16::from_f32(middle.next_down()).0, bits, "{bits:#x}");
            assert_eq!(F16::from_f32(middle.next_up()).0, bits + 1, "{bits:#x}");
        }
        assert_eq!(F16::from_f32(65519.99).to_f32(), 65504.0);
        assert_eq!(F16::from_f32(65520.0).to_f32(), f32::INFINITY);
        assert_eq!(F16::from_f32(-1e-30).0, 0x8000);
    }
}
