//! Element types, and the Rust types that stand for them.

use crate::half::{BF16, F16};
use crate::{Error, Result};
use std::fmt;
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};
use varflow_abi::{DLDataType, type_code};

macro_rules! dtypes {
    ($($name:ident = $word:literal, $code:ident, $bits:literal;)*) => {
        /// The type of a tensor's elements.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[expect(missing_docs, reason = "the names say it")]
        pub enum DType { $($name,)* }

        impl DType {
            /// Every element type.
            pub const ALL: &'static [DType] = &[$(DType::$name,)*];

            /// The name as parameters have it: `float32`, `uint8`, …
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(DType::$name => $word,)* }
            }

            pub(crate) fn to_abi(self) -> DLDataType {
                let (code, bits) = match self { $(DType::$name => (type_code::$code, $bits),)* };
                DLDataType { code, bits, lanes: 1 }
            }
        }
    };
}
dtypes! {
    F32 = "float32", FLOAT, 32;
    F64 = "float64", FLOAT, 64;
    F16 = "float16", FLOAT, 16;
    BF16 = "bfloat16", BFLOAT, 16;
    I8 = "int8", INT, 8;
    I16 = "int16", INT, 16;
    I32 = "int32", INT, 32;
    I64 = "int64", INT, 64;
    U8 = "uint8", UINT, 8;
    U16 = "uint16", UINT, 16;
    U32 = "uint32", UINT, 32;
    U64 = "uint64", UINT, 64;
    Bool = "bool", BOOL, 8;
}

impl DType {
    /// `None` for one that is unknown (no bits).
    pub(crate) fn from_abi(dtype: DLDataType) -> Result<Option<DType>> {
        if dtype.bits == 0 {
            return Ok(None);
        }
        let key = |d: DLDataType| (d.code, d.bits, d.lanes);
        let found = DType::ALL.iter().find(|d| key(d.to_abi()) == key(dtype));
        let DLDataType { code, bits, lanes } = dtype;
        found
            .map(|d| Some(*d))
            .ok_or_else(|| Error::dtype(format!("there is no dtype of code {code}, {bits} bits and {lanes} lanes")))
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

mod sealed {
    /// Types of which every bit pattern is a value.
    pub trait Plain {}
}

/// A Rust type that can be a tensor's element.
///
/// It is sealed: views read whatever bits memory holds as one of these.
pub trait Element: Copy + Send + Sync + PartialOrd + fmt::Debug + 'static + sealed::Plain {
    /// Its dtype.
    const DTYPE: DType;
}

macro_rules! element {
    ($($type:ty => $dtype:ident,)*) => {
        $(
            impl sealed::Plain for $type {}
            impl Element for $type {
                const DTYPE: DType = DType::$dtype;
            }
        )*
    };
}
element! {
    f32 => F32, f64 => F64, F16 => F16, BF16 => BF16, i8 => I8, i16 => I16, i32 => I32, i64 => I64,
    u8 => U8, u16 => U16, u32 => U32, u64 => U64, Bool => Bool,
}

/// A truth value as a tensor holds it: false if zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Bool(pub u8);

impl From<bool> for Bool {
    fn from(value: bool) -> Self {
        Bool(u8::from(value))
    }
}

impl From<Bool> for bool {
    fn from(value: Bool) -> Self {
        value.0 != 0
    }
}

/// A floating-point element, so that one function serves them all.
///
/// ```
/// use varflow_sdk::Float;
/// fn sigmoid<T: Float>(x: T) -> T {
///     T::ONE / (T::ONE + (-x).exp())
/// }
/// assert_eq!(sigmoid(0.0_f32), 0.5);
/// assert_eq!(sigmoid(0.0_f64), 0.5);
/// ```
#[expect(missing_docs, reason = "the methods are those of f64")]
pub trait Float:
    Element
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
{
    const ZERO: Self;
    const ONE: Self;
    /// The nearest value of this type.
    fn from_f64(value: f64) -> Self;
    fn to_f64(self) -> f64;
    fn abs(self) -> Self;
    fn sqrt(self) -> Self;
    fn exp(self) -> Self;
    fn ln(self) -> Self;
    fn sin(self) -> Self;
    fn cos(self) -> Self;
    fn tanh(self) -> Self;
    fn powf(self, exponent: Self) -> Self;
    fn max(self, other: Self) -> Self;
    fn min(self, other: Self) -> Self;
}

macro_rules! float {
    ($($type:ident),*) => {
        $(
            impl Float for $type {
                const ZERO: Self = 0.0;
                const ONE: Self = 1.0;
                #[inline]
                fn from_f64(value: f64) -> Self {
                    value as $type
                }
                #[inline]
                fn to_f64(self) -> f64 {
                    f64::from(self)
                }
                float!(@unary $type: abs, sqrt, exp, ln, sin, cos, tanh);
                float!(@binary $type: powf, max, min);
            }
        )*
    };
    (@unary $type:ident: $($name:ident),*) => {
        $(
            #[inline]
            fn $name(self) -> Self {
                $type::$name(self)
            }
        )*
    };
    (@binary $type:ident: $($name:ident),*) => {
        $(
            #[inline]
            fn $name(self, other: Self) -> Self {
                $type::$name(self, other)
            }
        )*
    };
}
float!(f32, f64);
