//! `+ - * /` between symbols, and between symbols and numbers.

use crate::builder::{OpBuilder, VarBuilder};
use crate::sym;
use crate::symbol::Symbol;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// The right side of `+ - * /`.
pub enum Operand {
    /// A symbol of the same shape.
    Symbol(Symbol),
    /// A number.
    Number(f64),
}

impl From<f64> for Operand {
    fn from(number: f64) -> Self {
        Operand::Number(number)
    }
}

macro_rules! binary {
    ($($trait:ident $method:ident $elemwise:literal $scalar:literal $reversed:literal),*) => { $(
        binary!(@on Symbol, $trait $method $elemwise $scalar $reversed);
        binary!(@on &Symbol, $trait $method $elemwise $scalar $reversed);
        binary!(@on OpBuilder, $trait $method $elemwise $scalar $reversed);
        binary!(@on VarBuilder, $trait $method $elemwise $scalar $reversed);
    )* };
    (@on $left:ty, $trait:ident $method:ident $elemwise:literal $scalar:literal $reversed:literal) => {
        impl<R: Into<Operand>> $trait<R> for $left {
            type Output = OpBuilder;
            fn $method(self, right: R) -> OpBuilder {
                match right.into() {
                    Operand::Symbol(right) => sym::op($elemwise).input(self).input(right),
                    Operand::Number(number) => sym::op($scalar).input(self).set("scalar", number),
                }
            }
        }
        impl $trait<$left> for f64 {
            type Output = OpBuilder;
            fn $method(self, right: $left) -> OpBuilder {
                sym::op($reversed).input(right).set("scalar", self)
            }
        }
    };
}
binary!(
    Add add "elemwise_add" "_plus_scalar" "_plus_scalar",
    Sub sub "elemwise_sub" "_minus_scalar" "_rminus_scalar",
    Mul mul "elemwise_mul" "_mul_scalar" "_mul_scalar",
    Div div "elemwise_div" "_div_scalar" "_rdiv_scalar"
);

macro_rules! unary {
    ($($t:ty),*) => { $(
        impl From<$t> for Operand {
            fn from(symbol: $t) -> Self {
                Operand::Symbol(symbol.into())
            }
        }
        impl Neg for $t {
            type Output = OpBuilder;
            fn neg(self) -> OpBuilder {
                sym::op("negative").input(self)
            }
        }
    )* };
}
unary!(Symbol, &Symbol, OpBuilder, VarBuilder);
