//! Views: results that are the bytes of another result under another shape, or a part of them. They take no memory, and
//! nothing is computed for them.

use super::EntryMap;
use crate::Graph;
use std::collections::HashSet;
use varflow_ops::{ALIGN_BYTES, Entry, TensorDesc};

/// Where a view lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Whose bytes they are; never a view itself.
    pub of: Entry,
    /// Where in these it starts.
    pub offset: usize,
}

/// The results that are views, by what their operators [say](varflow_ops::Operator::view).
///
/// No output of the graph is one, since those have memory of their own, and nothing that a node changes is or has a view: who
/// reads one would see the change.
///
/// `groups` are those of the nodes: a node of one group does not make a view of what another's makes. Nor is one made that lies where an
/// operator that reads it [cannot](varflow_ops::Operator::align_bytes) have its inputs.
#[must_use]
pub fn views(graph: &Graph, descs: &EntryMap<TensorDesc>, groups: &[usize]) -> EntryMap<Option<View>> {
    let outputs: HashSet<Entry> = graph.outputs.iter().copied().collect();
    let changed = changed(graph);
    let align_bytes = align_bytes(graph);
    let mut views = EntryMap::from_fn(graph, |_| None);
    for (i, node) in graph.nodes.iter().enumerate() {
        let (Some(op), Some(&from)) = (&node.op, node.inputs.first()) else { continue };
        let entry = Entry { node: i, output: 0 };
        if node.num_outputs() != 1 || outputs.contains(&entry) {
            continue;
        }
        let (input, output): (&TensorDesc, &TensorDesc) = (&descs[from], &descs[entry]);
        let Some(offset) = op.view(&node.params, input, output) else { continue };
        let View { of, offset: start } = views[from].unwrap_or(View { of: from, offset: 0 });
        let is_variable = graph.nodes[of.node].op.is_none();
        let fits = input.dtype == output.dtype
            && offset.checked_add(output.len_bytes()).is_some_and(|end| end <= input.len_bytes())
            && offset.is_multiple_of(output.dtype.size_bytes())
            && (start + offset).is_multiple_of(align_bytes[entry]);
        if fits && !changed.contains(&entry) && !changed.contains(&of) && (is_variable || groups[of.node] == groups[i])
        {
            views[entry] = Some(View { of, offset: start + offset });
        }
    }
    views
}

/// What the address of each entry is a multiple of, as those who read it want.
fn align_bytes(graph: &Graph) -> EntryMap<usize> {
    let mut wanted = EntryMap::from_fn(graph, |_| 1);
    for node in &graph.nodes {
        let Some(op) = &node.op else { continue };
        let bytes = op.align_bytes().clamp(1, ALIGN_BYTES);
        node.inputs.iter().for_each(|e| wanted[*e] = bytes.max(wanted[*e]));
    }
    wanted
}

/// What some node changes.
fn changed(graph: &Graph) -> HashSet<Entry> {
    let of = |node: &crate::Node| node.mutates().into_iter().filter_map(|p| node.inputs.get(p).copied()).collect();
    graph.nodes.iter().flat_map(|node| -> Vec<Entry> { of(node) }).collect()
}
