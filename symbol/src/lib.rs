//! Networks as symbols, graphs and passes over them, the memory planner and executors.
//!
//! A [`Symbol`] is what a model builder writes: operator names, attributes and inputs. [`Symbol::resolve`] looks the
//! operators up and gives a [`Graph`], on which everything else works.
//!
//! ```
//! use varflow_ops::{Registry, defs};
//! use varflow_symbol::sym;
//! let mut registry = Registry::new();
//! registry.install(defs::provider())?;
//! let x = sym::fully_connected(sym::var("data")).num_hidden(10).name("fc1");
//! let graph = x.build().resolve(&registry)?;
//! assert_eq!(graph.list_arguments(), ["data", "fc1_weight", "fc1_bias"]);
//! assert_eq!(graph.list_outputs(), ["fc1_output"]);
//! # Ok::<(), varflow_ops::Error>(())
//! ```

mod arith;
mod attr_text;
mod builder;
mod checker;
mod compose;
mod dot;
mod executor;
mod gradient;
mod graph;
mod host_array;
mod infer;
pub mod json;
mod names;
pub mod onnx;
pub mod params;
pub mod pass;
mod placement;
pub mod plan;
mod recompute;
mod resolve;
mod scope;
mod summary;
mod svg;
pub mod sym;
mod symbol;
mod work;

pub use arith::Operand;
pub use attr_text::AttrText;
pub use builder::{OpBuilder, VarBuilder};
pub use checker::check_plan;
pub use dot::dot;
pub use executor::{
    BindOptions, Executor, GradReq, GroupLanes, Monitor, Named, PlanReport, PlannedNetwork, Sharing, passed, planned,
};
pub use gradient::{GradGraph, gradient};
pub use graph::{Graph, Node};
pub use host_array::HostArray;
pub use infer::{infer_dtypes, infer_partial_shapes, infer_shapes};
pub use pass::Passes;
pub use plan::Plan;
pub use recompute::Recompute;
pub use scope::Scope;
pub use summary::{Layer, Summary, summary};
pub use svg::svg;
pub use symbol::Symbol;
pub use varflow_ops::{Error, Result};
