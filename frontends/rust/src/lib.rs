//! Build and train networks on the varflow dependency engine.
//!
//! ```
//! use varflow::prelude::*;
//!
//! let rt = varflow::runtime(2)?;
//! let x = sym::fully_connected(sym::var("data")).num_hidden(16).name("fc1");
//! let x = sym::fully_connected(sym::relu(x)).num_hidden(3).name("fc2");
//! let mut module = Module::new(&rt, sym::softmax_output(x).name("softmax"))?;
//! module.bind(&[("data", [8, 4].into())])?;
//! module.init(&Xavier::default(), 0)?;
//! # Ok::<(), varflow::Error>(())
//! ```
//!
//! The parts are crates of their own: [`engine`], [`ops`], [`symbol`], [`io`].

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod callback;
mod checkpoint;
mod fit;
pub mod init;
pub mod metric;
mod module;
pub mod optimizer;
mod params;
mod plugins;
mod predict;
mod run_ahead;
mod runtime;
pub mod schedule;
mod score;
pub mod states;
mod updater;
pub mod zoo;

pub use checkpoint::Files;
pub use fit::{Ending, Fit};
pub use module::Module;
pub use params::Param;
pub use plugins::{PLUGIN_PATH, load_plugins, plugin_path};
pub use predict::Predictions;
pub use runtime::{registry, registry_with, runtime, runtime_with};
pub use varflow_cuda as cuda;
pub use varflow_engine as engine;
pub use varflow_io as io;
pub use varflow_ops as ops;
pub use varflow_ops::{Error, Result, Runtime};
pub use varflow_symbol as symbol;

/// What most programs use.
pub mod prelude {
    pub use crate::callback::{BatchEnd, EpochEnd, speedometer};
    pub use crate::init::{Constant, Initializer, Normal, Orthogonal, Uniform, Xavier};
    pub use crate::metric::{Accuracy, CrossEntropy, Metric, Metrics, TopK};
    pub use crate::optimizer::{Optimizer, Rule, Sgd};
    pub use crate::schedule::{Factor, MultiFactor, Schedule};
    pub use crate::{Ending, Fit, Module, runtime, runtime_with, zoo};
    pub use varflow_ops::{Batch, DataIter, Shape, Tensor, cpu, gpu};
    pub use varflow_symbol::{Symbol, sym};
}

/// The book's pages, so that their programs run as tests.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../../../docs/first-network.md")]
    struct FirstNetwork;

    #[doc = include_str!("../../../docs/from-mxnet.md")]
    struct FromMxnet;

    #[doc = include_str!("../../../docs/planner.md")]
    struct Planner;

    #[doc = include_str!("../../../docs/symbol.md")]
    struct Symbols;

    #[doc = include_str!("../../../docs/write-an-operator.md")]
    struct WriteAnOperator;
}
