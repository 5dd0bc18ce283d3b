//! How much a layer computes.

use crate::graph::Node;
use varflow_ops::{Params, Shape};

/// The products that are added up in computing the node's output once: those of convolutions, fully connected layers and matrix
/// products, which are nearly all of a network's work. 0 for other operators. A bias is not counted.
pub(crate) fn multiply_adds(node: &Node, inputs: &[Option<&Shape>], output: Option<&Shape>) -> u64 {
    node.op.as_ref().map_or(0, |op| products(op.name(), &node.params, inputs, output))
}

/// The same of an operator's name.
pub(crate) fn products(op: &str, params: &Params, inputs: &[Option<&Shape>], output: Option<&Shape>) -> u64 {
    let ([Some(data), Some(weight), ..], Some(output)) = (inputs, output) else { return 0 };
    let axis = |shape: &Shape, axis: Option<usize>| axis.and_then(|a| shape.dims().get(a).copied()).unwrap_or(0);
    let inner = |last: usize| {
        let from_end = if params.bool("transpose_a") { last } else { 1 };
        axis(data, data.rank().checked_sub(from_end))
    };
    // Each element of `of` takes part in as many products as a filter has elements.
    let filters = |of: &Shape| (of.len() as u64).saturating_mul((weight.len() / axis(weight, Some(0)).max(1)) as u64);
    match op {
        "Convolution" | "FullyConnected" => filters(output),
        "Deconvolution" => filters(data),
        "dot" => (output.len() as u64).saturating_mul(inner(data.rank()) as u64),
        "batch_dot" => (output.len() as u64).saturating_mul(inner(2) as u64),
        _ => 0,
    }
}
