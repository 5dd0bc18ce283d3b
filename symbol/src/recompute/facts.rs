//! What scripts are judged by, looked up once: who reads and computes what, how large that is and how long it takes.

use super::cost::{flops, seconds};
use super::recipes::Recipes;
use crate::plan::EntryMap;
use std::collections::HashSet;
use varflow_ops::{Entry, TensorDesc};

/// A result that lives in the arena, whoever computes it.
pub(super) type Value = usize;

/// A node of the network or of a recipe.
pub(super) struct NodeFacts {
    /// By input; `None` for what has memory of its own.
    pub(super) reads: Vec<Option<Value>>,
    /// By output; `None` for what has memory of its own.
    pub(super) writes: Vec<Option<Value>>,
    /// Outputs that may take the place of an input: (input, output).
    pub(super) inplace: Vec<(usize, usize)>,
    pub(super) workspace_bytes: usize,
    pub(super) seconds: f64,
    pub(super) flops: f64,
    /// Whether it is of a recipe.
    pub(super) is_again: bool,
}

pub(super) struct Facts {
    pub(super) nodes: Vec<NodeFacts>,
    /// Of each value.
    pub(super) bytes: Vec<usize>,
    /// The nodes that compute each value again. `None`: nothing does.
    pub(super) recipe: Vec<Option<Vec<usize>>>,
    /// Where each value is computed first.
    pub(super) entry: Vec<Entry>,
}

impl Facts {
    pub(super) fn new(recipes: &Recipes) -> Facts {
        let graph = &recipes.graph;
        let mut entry = Vec::new();
        let mut number = EntryMap::from_fn(graph, |e| {
            let is_value = recipes.value[e] == e && !recipes.is_own[e];
            is_value.then(|| {
                entry.push(e);
                entry.len() - 1
            })
        });
        for (e, value) in recipes.value.iter() {
            number[e] = number[*value];
        }
        let nodes = (0..graph.nodes.len()).map(|i| node_facts(recipes, &number, i)).collect();
        let bytes = entry.iter().map(|e| recipes.descs[*e].len_bytes()).collect();
        let recipe = entry.iter().map(|e| recipes.recipe(*e).map(<[usize]>::to_vec)).collect();
        Facts { nodes, bytes, recipe, entry }
    }

    /// What a recipe reads from the arena that it does not compute itself.
    pub(super) fn inputs_of(&self, recipe: &[usize]) -> Vec<Value> {
        let made = |v: &Value| recipe.iter().any(|node| self.nodes[*node].writes.contains(&Some(*v)));
        recipe.iter().flat_map(|node| &self.nodes[*node].reads).flatten().copied().filter(|v| !made(v)).collect()
    }

    /// `bytes` are those of the network's nodes. The operator itself takes as much when it computes again; what other
    /// operators take that stand in for it is not known, and left out.
    pub(super) fn set_workspaces(&mut self, recipes: &Recipes, bytes: &[usize]) {
        for (i, recipe) in recipes.of.iter().enumerate() {
            let Some(workspace_bytes) = bytes.get(i).copied() else { continue };
            self.nodes[i].workspace_bytes = workspace_bytes;
            let name = |node: usize| recipes.graph.nodes[node].op.as_ref().map(|op| op.name());
            for again in recipe.iter().flatten().copied().filter(|again| name(*again) == name(i)) {
                self.nodes[again].workspace_bytes = workspace_bytes;
            }
        }
    }
}

fn node_facts(recipes: &Recipes, number: &EntryMap<Option<Value>>, i: usize) -> NodeFacts {
    let node = &recipes.graph.nodes[i];
    let (inputs, outputs) = (&node.inputs, recipes.descs.node(i));
    let descs: Vec<&TensorDesc> = inputs.iter().map(|e| &recipes.descs[*e]).collect();
    let mutates: HashSet<usize> = node.mutates().into_iter().collect();
    let pairs = node.op.as_ref().map_or(Vec::new(), |op| op.inplace(&node.params));
    let fits = |(from, output): &(usize, usize)| {
        let (Some(a), Some(b)) = (descs.get(*from), outputs.get(*output)) else { return false };
        let is_read_once = inputs.iter().filter(|e| **e == inputs[*from]).count() == 1;
        a.dtype == b.dtype && a.len_bytes() == b.len_bytes() && is_read_once && !mutates.contains(from)
    };
    let flops = flops(node, &descs, outputs);
    NodeFacts {
        reads: inputs.iter().map(|e| number[*e]).collect(),
        writes: (0..outputs.len()).map(|output| number[Entry { node: i, output }]).collect(),
        inplace: pairs.into_iter().filter(fits).collect(),
        workspace_bytes: 0,
        seconds: if node.op.is_some() { seconds(flops, &descs, outputs) } else { 0.0 },
        flops: if node.op.is_some() { flops } else { 0.0 },
        is_again: i >= recipes.num_nodes,
    }
}
