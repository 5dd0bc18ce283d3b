//! The shapes of a network's inputs, as its file and the command line say.

use crate::failure::Failure;
use crate::network::{Network, NetworkSizes};
use clap::Args;
use varflow::ops::{PartialShape, Registry, Shape};
use varflow::symbol::{Graph, infer_partial_shapes, infer_shapes};

/// What the command line says of a network's sizes and of the shapes of its inputs.
#[derive(Args)]
pub(crate) struct ShapeArgs {
    #[command(flatten)]
    sizes: NetworkSizes,
    /// The whole shape of an input of a symbol file, its batch included; may be given several times.
    #[arg(long = "input-shape", value_name = "NAME=EXTENTS", value_parser = crate::convert::input_shape)]
    input_shapes: Vec<(String, PartialShape)>,
    /// Samples a batch; by default 1, or what a symbol file says.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    batch_size: Option<u32>,
}

/// Inputs, and what is known of their shapes.
pub(crate) type Known = Vec<(String, PartialShape)>;

impl ShapeArgs {
    /// The network, and what is known of the shapes of its inputs.
    pub(crate) fn resolve(&self, network: &Network, registry: &Registry) -> Result<(Graph, Known), Failure> {
        let (symbol, sample) = network.build(&self.sizes)?;
        let graph = symbol.resolve(registry)?;
        let mut known = self.given(network)?;
        let batch_size = self.batch_size.map(|n| n as usize);
        if known.iter().any(|(name, _)| name == "data") {
            if sample.is_some() || batch_size.is_some() {
                let told =
                    "--input-shape gives the whole shape of data: wanted no --data-shape and --batch-size beside it";
                return Err(Failure::Usage(told.to_string()));
            }
            return Ok((graph, known));
        }
        let batch = |n: usize, rest: Vec<Option<usize>>| PartialShape::new(std::iter::once(Some(n)).chain(rest));
        if let Some(sample) = sample {
            let rest = sample.dims().iter().copied().map(Some).collect();
            known.push(("data".to_string(), batch(batch_size.unwrap_or(1), rest)));
        } else if let Some(data) = graph.nodes.iter().position(|n| n.op.is_none() && n.name == "data") {
            // The file or its operators may know more of the shape, and the batch too.
            let shapes = infer_partial_shapes(&graph, &known)?;
            if let Some([own, rest @ ..]) = shapes[data][0].dims()
                && let Some(n) = batch_size.or(if own.is_none() { Some(1) } else { None })
            {
                known.push(("data".to_string(), batch(n, vec![None; rest.len()])));
            }
        }
        Ok((graph, known))
    }

    fn given(&self, network: &Network) -> Result<Known, Failure> {
        let mut known: Known = Vec::new();
        for (name, shape) in &self.input_shapes {
            if matches!(network, Network::Zoo(_)) {
                let told = format!("--input-shape {name} is for symbol files: {network} has sizes of its own");
                return Err(Failure::Usage(told));
            }
            if known.iter().any(|(other, _)| other == name) {
                return Err(Failure::Usage(format!("--input-shape {name} is given twice")));
            }
            known.push((name.clone(), shape.clone()));
        }
        Ok(known)
    }
}

/// Infers all shapes; where some stay open, the error tells the options that give them.
pub(crate) fn infer(graph: &Graph, known: &Known) -> Result<Vec<Vec<Shape>>, Failure> {
    infer_shapes(graph, known).map_err(|error| {
        let is_open = |shapes: Vec<Vec<PartialShape>>| shapes.iter().flatten().any(|shape| shape.known().is_none());
        if infer_partial_shapes(graph, known).is_ok_and(is_open) {
            let options = "--data-shape gives that of one sample of data, --input-shape NAME=EXTENTS that of any input";
            Failure::Usage(format!("{error}; {options}"))
        } else {
            error.into()
        }
    })
}

/// The shapes of inputs and labels, which have no gradients.
pub(crate) fn inputs(graph: &Graph, known: &Known) -> Result<Vec<(String, Shape)>, Failure> {
    let shapes = infer(graph, known)?;
    let labels = graph.labels();
    let is_told = |name: &str| name == "data" || known.iter().any(|(n, _)| n == name);
    let is_input = |i: &usize| is_told(&graph.nodes[*i].name) || labels.binary_search(i).is_ok();
    let variables = graph.arguments().into_iter().filter(is_input);
    Ok(variables.map(|i| (graph.nodes[i].name.clone(), shapes[i][0].clone())).collect())
}
