//! A network at a batch size, as both sides get it.

use crate::Result;
use std::fmt;
use varflow::ops::{PartialShape, Registry, Shape};
use varflow::symbol::{BindOptions, Graph, infer_shapes};
use varflow::zoo;

/// A network at a batch size.
pub struct Case {
    /// The zoo's short name.
    pub network: String,
    /// Samples a batch.
    pub batch_size: usize,
    /// The network itself.
    pub graph: Graph,
    /// The shapes of data and labels.
    pub inputs: Vec<(String, Shape)>,
}

/// What a network is bound for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// Forward and backward passes.
    Training,
    /// Forward passes only.
    Inference,
}

impl Mode {
    /// Both.
    pub const ALL: [Mode; 2] = [Mode::Training, Mode::Inference];

    /// The options of a network that is bound for it, and no others.
    pub fn options(self) -> BindOptions {
        BindOptions { for_training: self == Mode::Training, ..BindOptions::default() }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(if *self == Mode::Training { "training" } else { "inference" })
    }
}

impl Case {
    /// A network of the zoo.
    ///
    /// # Errors
    /// A name that the zoo does not have; what inference says.
    pub fn new(registry: &Registry, network: &str, batch_size: usize) -> Result<Case> {
        let model = zoo::by_name(network)?;
        let graph = model.symbol.resolve(registry)?;
        let data: Shape = std::iter::once(batch_size).chain(model.data_shape.dims().iter().copied()).collect();
        let shapes = infer_shapes(&graph, &[("data", PartialShape::from(&data))])?;
        let labels = graph.labels().into_iter().map(|i| (graph.nodes[i].name.clone(), shapes[i][0].clone()));
        let inputs = std::iter::once(("data".to_string(), data)).chain(labels).collect();
        Ok(Case { network: network.to_string(), batch_size, graph, inputs })
    }
}
