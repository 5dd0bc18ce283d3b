//! Common subexpressions: what several nodes compute from the same inputs is computed by the first of them.

use super::Context;
use super::rewrite::{is_output, mutated, outputs, sweep};
use crate::Graph;
use crate::placement::GROUP;
use std::collections::HashMap;
use std::fmt::Write;
use varflow_ops::{Entry, Result, TensorDesc};

/// What makes two nodes compute the same. Shapes belong to it: those of an operator without inputs follow from its readers.
#[derive(PartialEq, Eq, Hash)]
struct Expression {
    /// Operator, parameters and group.
    text: String,
    inputs: Vec<Entry>,
    outputs: Vec<Option<TensorDesc>>,
}

/// Lets readers of a node read an earlier one of the same operator, parameters, inputs, shapes and group. Nodes that draw random
/// numbers, change an input, or read or make what somebody changes stay, as do outputs of the graph, which are named after their nodes.
pub(super) fn cse(graph: &mut Graph, context: &Context<'_>) -> Result<()> {
    let (mutated, outputs) = (mutated(graph), outputs(graph));
    let mut first: HashMap<Expression, usize> = HashMap::new();
    let mut same_as: Vec<usize> = (0..graph.nodes.len()).collect();
    for i in 0..graph.nodes.len() {
        for entry in &mut graph.nodes[i].inputs {
            entry.node = same_as[entry.node];
        }
        let node = &graph.nodes[i];
        let Some(op) = node.op.as_ref().filter(|op| op.is_deterministic()) else { continue };
        let descs = context.descs.node(i);
        let is_open = node.inputs.is_empty() && descs.contains(&None);
        let mut touched = node.inputs.iter().copied().chain((0..descs.len()).map(|output| Entry { node: i, output }));
        if is_open || !node.mutates().is_empty() || touched.any(|e| mutated.contains(&e)) {
            continue;
        }
        let mut text = format!("{}\n{:?}\n", op.name(), node.attrs.get(GROUP));
        for (name, value) in node.params.iter() {
            // Writing to a text cannot fail. Debug tells texts from numbers, and prints numbers with all their digits.
            let _ = writeln!(text, "{name}={value:?}");
        }
        let expression = Expression { text, inputs: node.inputs.clone(), outputs: descs.to_vec() };
        match first.get(&expression) {
            Some(&earlier) if !is_output(graph, &outputs, i) => same_as[i] = earlier,
            Some(_) => {}
            None => {
                first.insert(expression, i);
            }
        }
    }
    sweep(graph);
    Ok(())
}
