//! Batch normalisation as part of the convolution before it, for inference: with the moving statistics it is linear, and goes
//! into weight and bias.

use super::Context;
use super::fuse_convolution::{Growth, is};
use crate::Graph;
use crate::plan::EntryMap;
use varflow_ops::{Entry, Result};

/// Makes one node of a convolution and the `BatchNorm` that alone reads it, and of which only the first output is read. The node
/// stands where the `BatchNorm` stood, and has its name.
pub(super) fn fold_batch_norm(graph: &mut Graph, context: &Context<'_>) -> Result<()> {
    let Some(mut growth) = Growth::new(graph, context.registry) else { return Ok(()) };
    let mut read = EntryMap::from_fn(graph, |_| false);
    graph.nodes.iter().flat_map(|node| &node.inputs).chain(&graph.outputs).for_each(|e| read[*e] = true);
    for i in 0..graph.nodes.len() {
        let norm = &graph.nodes[i];
        if !is(norm, "BatchNorm") || norm.params.int("axis") != 1 || read.node(i)[1..].contains(&true) {
            continue;
        }
        let &[_, gamma, beta, mean, var] = &norm.inputs[..] else { continue };
        let given = [
            ("with_batch_norm", "True".to_string()),
            ("eps", norm.params.value("eps").to_string()),
            ("fix_gamma", norm.params.value("fix_gamma").to_string()),
        ];
        let statistics: [Entry; 4] = [gamma, beta, mean, var];
        growth.grow(graph, i, 0, |conv| is(conv, "Convolution"), &given, &statistics)?;
    }
    growth.finish(graph);
    Ok(())
}
