//! What passes have in common: entries that stand for others, and nodes taken out.

use crate::Graph;
use crate::plan::{runs, wanted};
use std::collections::HashSet;
use varflow_ops::Entry;

/// The entries that some node changes. Who reads one of them reads what it is at that point of the order, so that such reads may
/// be neither moved nor merged.
pub(super) fn mutated(graph: &Graph) -> HashSet<Entry> {
    let changed = graph.nodes.iter().flat_map(|node| node.mutates().into_iter().filter_map(|i| node.inputs.get(i)));
    changed.copied().collect()
}

/// The graph's outputs.
pub(super) fn outputs(graph: &Graph) -> HashSet<Entry> {
    graph.outputs.iter().copied().collect()
}

/// Whether one of a node's outputs is an output of the graph.
pub(super) fn is_output(graph: &Graph, outputs: &HashSet<Entry>, node: usize) -> bool {
    (0..graph.nodes[node].num_outputs()).any(|output| outputs.contains(&Entry { node, output }))
}

/// Takes out the nodes that have nothing to do. Variables stay.
pub(super) fn sweep(graph: &mut Graph) {
    let wanted = wanted(graph);
    let keep: Vec<bool> =
        (0..graph.nodes.len()).map(|i| graph.nodes[i].op.is_none() || runs(graph, &wanted, i)).collect();
    retain(graph, &keep);
}

/// Takes out the nodes that are not to be kept, which nobody else reads.
pub(super) fn retain(graph: &mut Graph, keep: &[bool]) {
    let mut next = 0;
    let numbers: Vec<usize> = keep
        .iter()
        .map(|keep| {
            let number = next;
            next += usize::from(*keep);
            number
        })
        .collect();
    let mut old = keep.iter();
    graph.nodes.retain(|_| old.next().is_some_and(|keep| *keep));
    let inputs = graph.nodes.iter_mut().flat_map(|node| &mut node.inputs);
    inputs.chain(&mut graph.outputs).for_each(|e| e.node = numbers[e.node]);
}
