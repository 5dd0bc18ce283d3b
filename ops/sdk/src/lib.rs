//! Plug-ins for varflow in safe Rust: operators, data iterators, kvstore reductions and optimizers in a dylib of their own.
//!
//! A crate of type `cdylib` implements [`Operator`], [`DataIter`] or [`Reduction`] and ends with [`plugin!`]. It needs no
//! `unsafe`: tensors are handed out so that safe code cannot misuse them (see [`Context`]), and a panic becomes an error that
//! names the plug-in and the operator.
//!
//! ```
//! use varflow_sdk::prelude::*;
//!
//! struct Square;
//!
//! impl Operator for Square {
//!     const NAME: &'static str = "Square";
//!     const DOC: &'static str = "output = data², elementwise.";
//!     const IN_PLACE: &'static [(usize, usize)] = &[(0, 0)];
//!     const GRADIENT: Gradient = Gradient::kernel().inputs(&[0]);
//!
//!     fn new(_: &Params) -> Result<Self> {
//!         Ok(Square)
//!     }
//!
//!     fn forward<T: Float>(&self, ctx: &Context) -> Result<()> {
//!         ctx.output::<T>(0)?.map(&ctx.input::<T>(0)?, |x| x * x)
//!     }
//!
//!     fn backward<T: Float>(&self, ctx: &Context) -> Result<()> {
//!         let (g, x) = (ctx.input::<T>(0)?, ctx.input::<T>(1)?);
//!         ctx.output::<T>(0)?.map2(&g, &x, |g, x| g * (x + x))
//!     }
//! }
//!
//! varflow_sdk::plugin! { name: "square", operators: [Square] }
//! # fn main() {}
//! ```
//!
//! Kernels are for the CPU; those for other devices are written against the C header.

mod boundary;
mod call;
mod context;
mod dtype;
mod dtypes;
mod error;
mod gradient;
mod half;
mod iterator;
mod operator;
mod parallel;
mod params;
mod pending;
mod place;
mod plugin;
mod random;
mod reduction;
mod shapes;
mod tables;
pub mod templates;
mod tensor;
mod update_rule;
mod views;

pub use call::Call;
pub use context::Context;
pub use dtype::{Bool, DType, Element, Float};
pub use dtypes::DTypes;
pub use error::{Error, Result};
pub use gradient::{Entry, Gradient, Graph};
pub use half::{BF16, F16};
pub use iterator::{Batch, DataIter, Field, Next, Part};
pub use operator::{Names, Operator};
pub use params::{Param, ParamRange, ParamValue, Params};
pub use pending::Pending;
pub use plugin::Plugin;
#[doc(hidden)]
pub use plugin::entry;
pub use random::Random;
pub use reduction::Reduction;
pub use shapes::{PartialShape, Shapes};
pub use update_rule::UpdateRule;
pub use varflow_abi as abi;
pub use views::{Source, View, ViewMut};

/// What plug-ins use.
pub mod prelude {
    pub use crate::{
        Batch, Call, Context, DType, DTypes, DataIter, Error, Field, Float, Gradient, Graph, Next, Operator, Param,
        Params, Part, PartialShape, Pending, Reduction, Result, Shapes, UpdateRule, View, ViewMut,
    };
}

/// The book's page on plug-ins, so that its code runs as tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/plugins.md")]
struct Book;
