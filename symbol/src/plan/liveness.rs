//! Which entries anybody looks at, and from when to when.

use super::{EntryMap, PlanInput};
use crate::Graph;
use varflow_ops::{Entry, Error, Result};

/// Which entries anybody looks at: the graph's outputs, and what is read by a node that runs. A node runs if one of its
/// outputs is wanted or it changes an input.
#[must_use]
pub fn wanted(graph: &Graph) -> EntryMap<bool> {
    let mut wanted = EntryMap::from_fn(graph, |_| false);
    for entry in &graph.outputs {
        wanted[*entry] = true;
    }
    for (i, node) in graph.nodes.iter().enumerate().rev() {
        if runs(graph, &wanted, i) {
            for entry in &node.inputs {
                wanted[*entry] = true;
            }
        }
    }
    wanted
}

/// Whether node `i` has anything to do.
#[must_use]
pub fn runs(graph: &Graph, wanted: &EntryMap<bool>, i: usize) -> bool {
    let node = &graph.nodes[i];
    node.op.is_some() && (wanted.node(i).contains(&true) || !node.mutates().is_empty())
}

/// When things happen, as positions in the execution order.
pub(super) struct Liveness {
    /// The nodes in execution order.
    pub(super) order: Vec<usize>,
    /// For entries of nodes that run: the position of the last node that touches it, or a view of it.
    pub(super) last: EntryMap<Option<usize>>,
}

impl Liveness {
    /// # Errors
    /// [`Error::Contract`] when the phases are no execution order of the graph.
    pub(super) fn new(input: &PlanInput<'_>) -> Result<Liveness> {
        let graph = input.graph;
        let (n, descs, workspaces) = (graph.nodes.len(), input.descs.num_nodes(), input.workspace_bytes.len());
        let groups = input.groups.len();
        if (descs, workspaces, groups) != (n, n, n) {
            return Err(contract(format!(
                "{descs} descriptions, {workspaces} workspaces and {groups} groups are given for {n} nodes"
            )));
        }
        let order: Vec<usize> = input.phases.iter().flatten().copied().collect();
        let mut last = EntryMap::from_fn(graph, |_| None);
        for (position, &i) in order.iter().enumerate() {
            let node = graph.nodes.get(i).filter(|n| n.op.is_some());
            let node = node.ok_or_else(|| contract(format!("node {i} is in the execution order, but runs nothing")))?;
            for entry in &node.inputs {
                let known = last.has(*entry) && (graph.nodes[entry.node].op.is_none() || last[*entry].is_some());
                if !known {
                    return Err(contract(format!("{} runs before its input {entry:?}", node.place())));
                }
                last[*entry] = Some(position);
                if let Some(view) = input.views[*entry] {
                    last[view.of] = Some(position);
                }
            }
            for output in 0..last.node(i).len() {
                let seen = last[Entry { node: i, output }].replace(position);
                if seen.is_some() {
                    return Err(contract(format!("{} is twice in the execution order", node.place())));
                }
            }
        }
        let missing =
            graph.outputs.iter().find(|e| !last.has(**e) || graph.nodes[e.node].op.is_some() && last[**e].is_none());
        if let Some(entry) = missing {
            return Err(contract(format!("nothing in the execution order computes the output {entry:?}")));
        }
        Ok(Liveness { order, last })
    }
}

fn contract(text: String) -> Error {
    Error::Contract(text)
}
