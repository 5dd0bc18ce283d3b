//! Model parallelism: nodes of a group run on the group's lanes, and what crosses from group to group is copied.

use crate::graph::{Graph, Node};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use varflow_ops::{Attrs, Entry, Error, Registry, Result};

/// The attribute that names a node's group.
pub(crate) const GROUP: &str = "__ctx_group__";
/// The operator that copies between groups.
pub(crate) const COPY: &str = "_CrossDeviceCopy";

/// The group of a node, if it is one of `groups`; all other nodes are of the group that has no name.
pub(crate) fn group_of<'a>(node: &'a Node, groups: &BTreeSet<&str>) -> Option<&'a str> {
    node.attrs.get(GROUP).map(String::as_str).filter(|group| groups.contains(group))
}

/// The same graph with a `_CrossDeviceCopy` wherever a node reads what one of another group makes, one for each value and
/// reading group, in the reader's group.
///
/// A variable that names no group is of the group of its readers, if they are all of one.
///
/// # Errors
/// A group that no node names; a node that changes a variable of another group.
pub(crate) fn place(graph: &Graph, registry: &Registry, groups: &BTreeSet<&str>) -> Result<Graph> {
    let named: BTreeSet<&str> = graph.nodes.iter().filter_map(|n| n.attrs.get(GROUP)).map(String::as_str).collect();
    if let Some(stranger) = groups.iter().find(|g| !named.contains(*g)) {
        let named: Vec<_> = named.into_iter().collect();
        let wanted =
            if named.is_empty() { "its nodes name none".to_string() } else { format!("wanted {}", named.join(", ")) };
        return Err(Error::Param(format!("no node is of the group \"{stranger}\": {wanted}")));
    }
    let of = groups_of_nodes(graph, groups);
    let copy = registry.operator(COPY)?.clone();
    let mut names: HashSet<String> = graph.nodes.iter().map(|n| n.name.clone()).collect();
    let mut placed = Graph::default();
    let mut moved: Vec<usize> = Vec::with_capacity(graph.nodes.len());
    let mut copies: HashMap<(Entry, Option<&str>), Entry> = HashMap::new();
    for (i, node) in graph.nodes.iter().enumerate() {
        let mut node = node.clone();
        set_group(&mut node.attrs, of[i]);
        let mutates = node.mutates();
        for k in 0..node.inputs.len() {
            let from = node.inputs[k];
            let here = Entry { node: moved[from.node], ..from };
            if of[from.node] == of[i] {
                node.inputs[k] = here;
                continue;
            }
            if mutates.contains(&k) {
                let (name, group) = (&graph.nodes[from.node].name, of[from.node].unwrap_or("(none)"));
                let text = format!("changes \"{name}\", which is of the group {group}: wanted both of one group");
                return Err(Error::Param(text).at(node.place()));
            }
            node.inputs[k] = *copies.entry((from, of[i])).or_insert_with(|| {
                let mut name =
                    format!("{}_to_{}", graph.nodes[from.node].output_name(from.output), of[i].unwrap_or("default"));
                while !names.insert(name.clone()) {
                    name.push('_');
                }
                let mut attrs = Arc::default();
                set_group(&mut attrs, of[i]);
                let params = varflow_ops::Params::default();
                placed.nodes.push(Node { op: Some(copy.clone()), name, params, attrs, inputs: vec![here] });
                Entry { node: placed.nodes.len() - 1, output: 0 }
            });
        }
        moved.push(placed.nodes.len());
        placed.nodes.push(node);
    }
    placed.outputs = graph.outputs.iter().map(|e| Entry { node: moved[e.node], ..*e }).collect();
    Ok(placed)
}

fn groups_of_nodes<'a>(graph: &'a Graph, groups: &BTreeSet<&str>) -> Vec<Option<&'a str>> {
    let mut of: Vec<Option<&str>> = graph.nodes.iter().map(|n| group_of(n, groups)).collect();
    let mut readers: Vec<BTreeSet<Option<&str>>> = vec![BTreeSet::new(); graph.nodes.len()];
    for (i, node) in graph.nodes.iter().enumerate() {
        node.inputs.iter().for_each(|e| {
            readers[e.node].insert(of[i]);
        });
    }
    for (i, node) in graph.nodes.iter().enumerate() {
        if node.op.is_none() && !node.attrs.contains_key(GROUP) && readers[i].len() == 1 {
            of[i] = readers[i].first().copied().flatten();
        }
    }
    of
}

/// Says that a node is of a group, or of none.
pub(crate) fn set_group(attrs: &mut Arc<Attrs>, group: Option<&str>) {
    if attrs.get(GROUP).map(String::as_str) == group {
        return;
    }
    let attrs = Arc::make_mut(attrs);
    match group {
        Some(group) => attrs.insert(GROUP.to_string(), group.to_string()),
        None => attrs.remove(GROUP),
    };
}
