//! Dead code: nodes whose results nobody needs, and nodes that hand on what they are given.

use super::rewrite::{is_output, mutated, outputs, sweep};
use super::{Context, Stage};
use crate::{Graph, Node};
use std::collections::HashMap;
use varflow_ops::{Entry, Result};

/// Takes out nodes that neither compute anything that is needed nor change anything, and lets readers of an identity read what it is
/// the identity of. An identity that is an output of the graph stays, since the output is named after it.
pub(super) fn dead_code(graph: &mut Graph, context: &Context<'_>) -> Result<()> {
    pass_through(graph, |node| is_identity(node, context.stage));
    sweep(graph);
    Ok(())
}

/// Lets readers of the first output of nodes that `is_identity` chooses read their first input instead, where nobody changes that.
pub(super) fn pass_through(graph: &mut Graph, is_identity: impl Fn(&Node) -> bool) {
    let (mutated, outputs) = (mutated(graph), outputs(graph));
    let mut stands_for: HashMap<Entry, Entry> = HashMap::new();
    for i in 0..graph.nodes.len() {
        for entry in &mut graph.nodes[i].inputs {
            *entry = stands_for.get(entry).copied().unwrap_or(*entry);
        }
        let node = &graph.nodes[i];
        let Some(&input) = node.inputs.first().filter(|_| is_identity(node)) else { continue };
        let output = Entry { node: i, output: 0 };
        if !is_output(graph, &outputs, i) && !mutated.contains(&input) && !mutated.contains(&output) {
            stands_for.insert(output, input);
        }
    }
}

/// Whether a node's first output is its first input. In training `Dropout` is none: passes for training and for scoring run the
/// same nodes.
fn is_identity(node: &Node, stage: Stage) -> bool {
    let Some(op) = &node.op else { return false };
    match op.name() {
        "_copy" | "BlockGrad" | "_identity_with_attr_like_rhs" => true,
        "Dropout" => stage == Stage::Inference && node.params.text("mode") == "training",
        _ => false,
    }
}
