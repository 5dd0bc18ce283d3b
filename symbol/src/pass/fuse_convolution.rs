//! Convolutions with the sum and the rectifier that follow them, for inference: done to outputs while they are in registers.

use super::Context;
use super::rewrite::{mutated, outputs, retain};
use crate::placement::GROUP;
use crate::plan::EntryMap;
use crate::{Graph, Node};
use std::collections::HashSet;
use std::sync::Arc;
use varflow_ops::{Attrs, Entry, Operator, Registry, Result};

/// The operator that stands for a convolution and what follows it.
const FUSED: &str = "_FusedConvolution";

/// Makes one node of a convolution, a sum with something of the same shape, and a rectifier or clip, where nobody else reads what
/// is between them. The node stands where the last of them stood, and has its name.
pub(super) fn fuse_convolution(graph: &mut Graph, context: &Context<'_>) -> Result<()> {
    let Some(mut growth) = Growth::new(graph, context.registry) else { return Ok(()) };
    for i in 0..graph.nodes.len() {
        if let Some(given) = bounds(&graph.nodes[i]) {
            growth.grow(graph, i, 0, |conv| !is_bounded(conv), &given, &[])?;
        } else if is_sum(&graph.nodes[i]) {
            let &[a, b] = &graph.nodes[i].inputs[..] else { continue };
            if context.descs[a].is_none() || context.descs[a] != context.descs[b] {
                continue;
            }
            // The one that is made last: it need not wait for the other, nor the other's memory for it.
            let last = usize::from(b.node > a.node);
            for (conv, addend) in [(last, [a, b][1 - last]), (1 - last, [a, b][last])] {
                let given = [("with_sum", "True".to_string())];
                if growth.grow(
                    graph,
                    i,
                    conv,
                    |conv| !flag(conv, "with_sum") && !is_bounded(conv),
                    &given,
                    &[addend],
                )? {
                    break;
                }
            }
        }
    }
    growth.finish(graph);
    Ok(())
}

/// The parameters that say what a rectifier or clip does.
fn bounds(node: &Node) -> Option<Vec<(&'static str, String)>> {
    let act_type = |name: &str| ("act_type", name.to_string());
    match node.op.as_ref()?.name() {
        "relu" => Some(vec![act_type("relu")]),
        "Activation" if node.params.text("act_type") == "relu" => Some(vec![act_type("relu")]),
        "clip" if node.params.float("a_min") <= node.params.float("a_max") => {
            let number = |name| (name, node.params.value(name).to_string());
            Some(vec![act_type("clip"), number("a_min"), number("a_max")])
        }
        _ => None,
    }
}

fn is_sum(node: &Node) -> bool {
    let name = node.op.as_ref().map_or("", |op| op.name());
    matches!(name, "elemwise_add" | "broadcast_add" | "_grad_add" | "add_n")
}

/// Whether a convolution has one of the things that a `_FusedConvolution` may have.
fn flag(conv: &Node, name: &str) -> bool {
    is(conv, FUSED) && conv.params.bool(name)
}

fn is_bounded(conv: &Node) -> bool {
    is(conv, FUSED) && conv.params.text("act_type") != "none"
}

pub(super) fn is(node: &Node, op: &str) -> bool {
    node.op.as_ref().is_some_and(|o| o.name() == op)
}

/// Convolutions that take in the nodes that read them.
pub(super) struct Growth {
    fused: Arc<dyn Operator>,
    /// How often each entry is read.
    readers: EntryMap<usize>,
    /// What somebody changes: who reads it stays where it is.
    mutated: HashSet<Entry>,
    outputs: HashSet<Entry>,
    keep: Vec<bool>,
}

impl Growth {
    /// None if a device computes convolutions but no fused ones.
    pub(super) fn new(graph: &Graph, registry: &Registry) -> Option<Growth> {
        let fused = registry.operator(FUSED).ok()?.clone();
        let has_kernel = |kind| registry.kernels_of(FUSED).any(|(k, _)| k == kind);
        if !registry.kernels_of("Convolution").all(|(kind, _)| has_kernel(kind)) {
            return None;
        }
        let mut readers = EntryMap::from_fn(graph, |_| 0_usize);
        graph.nodes.iter().flat_map(|node| &node.inputs).for_each(|e| readers[*e] += 1);
        let (mutated, outputs) = (mutated(graph), outputs(graph));
        Some(Growth { fused, readers, mutated, outputs, keep: vec![true; graph.nodes.len()] })
    }

    /// Makes node `reader` the convolution that is its input `input`, with more parameters and inputs, if that is one that
    /// `may_grow`, is read by this node alone and of the same group; says whether it did.
    pub(super) fn grow(
        &mut self,
        graph: &mut Graph,
        reader: usize,
        input: usize,
        may_grow: impl Fn(&Node) -> bool,
        given: &[(&str, String)],
        inputs: &[Entry],
    ) -> Result<bool> {
        let Some(&from) = graph.nodes[reader].inputs.get(input) else { return Ok(false) };
        let conv = &graph.nodes[from.node];
        if !(is(conv, "Convolution") || is(conv, FUSED))
            || !may_grow(conv)
            || self.readers[from] != 1
            || self.outputs.contains(&from)
            || conv.attrs.get(GROUP) != graph.nodes[reader].attrs.get(GROUP)
            || conv.inputs.iter().any(|e| self.mutated.contains(e))
        {
            return Ok(false);
        }
        let mut attrs = Attrs::clone(&conv.attrs);
        attrs.extend(given.iter().map(|(name, value)| ((*name).to_string(), value.clone())));
        let params = self.fused.schema().parse(&attrs)?;
        self.fused.check(&params)?;
        // Auxiliary states come last.
        let num_inputs = conv.op.as_ref().map_or(0, |op| op.inputs(&conv.params).len());
        let mut all = conv.inputs.clone();
        all.splice(num_inputs..num_inputs, inputs.iter().copied());
        let node = &mut graph.nodes[reader];
        let hidden = node.attrs.iter().filter(|(name, _)| name.starts_with("__"));
        attrs.extend(hidden.map(|(name, value)| (name.clone(), value.clone())));
        (node.op, node.params, node.attrs, node.inputs) = (Some(self.fused.clone()), params, attrs.into(), all);
        self.keep[from.node] = false;
        Ok(true)
    }

    /// Takes out what has become part of other nodes.
    pub(super) fn finish(self, graph: &mut Graph) {
        retain(graph, &self.keep);
    }
}
