//! `BatchNorm` and the rectifier that alone reads it as one node: one pass over memory less each way, and no value between them.

use super::Context;
use super::rewrite::retain;
use crate::placement::GROUP;
use crate::plan::EntryMap;
use crate::{Graph, Node};
use varflow_ops::{Entry, Result};

/// The operator that stands for both.
const FUSED: &str = "_FusedBatchNormRelu";

/// Makes a `BatchNorm` whose output a rectifier alone reads, and whose mean and var nobody reads, one node with it. The node stands
/// where the `BatchNorm` stood, so that the moving statistics change when they did, and has the rectifier's name.
pub(super) fn fuse_batch_norm_relu(graph: &mut Graph, context: &Context<'_>) -> Result<()> {
    let registry = context.registry;
    let Ok(fused) = registry.operator(FUSED) else { return Ok(()) };
    let has_kernel = |kind| registry.kernels_of(FUSED).any(|(k, _)| k == kind);
    if !registry.kernels_of("BatchNorm").all(|(kind, _)| has_kernel(kind)) {
        return Ok(());
    }
    let mut readers = EntryMap::from_fn(graph, |_| 0_usize);
    graph.nodes.iter().flat_map(|node| &node.inputs).chain(&graph.outputs).for_each(|e| readers[*e] += 1);
    let mut stands_for: Vec<usize> = (0..graph.nodes.len()).collect();
    for i in 0..graph.nodes.len() {
        let relu = &graph.nodes[i];
        let Some(norm) = relu.inputs.first().filter(|_| is_relu(relu)).map(|e| e.node) else { continue };
        let read = readers.node(norm);
        if !is(&graph.nodes[norm], "BatchNorm")
            || relu.inputs[0].output != 0
            || read[0] != 1
            || read[1..].iter().any(|readers| *readers > 0)
            || relu.attrs.get(GROUP) != graph.nodes[norm].attrs.get(GROUP)
        {
            continue;
        }
        let (name, hidden) = (relu.name.clone(), relu.attrs.clone());
        let node = &mut graph.nodes[norm];
        let params = fused.schema().parse(&node.attrs)?;
        (node.name, node.op, node.params) = (name, Some(fused.clone()), params);
        for (key, value) in hidden.into_iter().filter(|(key, _)| key.starts_with("__")) {
            node.attrs.entry(key).or_insert(value);
        }
        stands_for[i] = norm;
    }
    let keep: Vec<bool> = stands_for.iter().enumerate().map(|(i, by)| i == *by).collect();
    let entries = graph.nodes.iter_mut().flat_map(|node| &mut node.inputs).chain(&mut graph.outputs);
    entries.for_each(|e: &mut Entry| e.node = stands_for[e.node]);
    retain(graph, &keep);
    Ok(())
}

fn is(node: &Node, op: &str) -> bool {
    node.op.as_ref().is_some_and(|o| o.name() == op)
}

fn is_relu(node: &Node) -> bool {
    is(node, "relu") || (is(node, "Activation") && node.params.text("act_type") == "relu")
}
