//! Networks as symbols, graphs and passes over them, the memory planner and executors.

mod graph;

pub use graph::{Graph, Node};
