//! What scripts are judged by, looked up once: who reads and computes what, how large that is and how long it takes.

use super::cost::{flops, seconds};
use super::recipes::Recipes;
use crate::plan::EntryMap;
use std::collections::HashSet;
use varflow_ops::{Entry, TensorDesc};

/// A result that lives in the arena, whoever computes it.
pub(super) type Value = usize;

/// A node of the network or of a recipe. A view computes nothing.
#[derive(Default)]
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
    let reads: Vec<Option<Value>> = inputs.iter().map(|e| number[*e]).collect();
    let nothing = NodeFacts { reads, is_again: i >= recipes.num_nodes, ..NodeFacts::default() };
    let is_view = recipes.view(Entry { node: i, output: 0 }).is_some();
    let Some(op) = node.op.as_ref().filter(|_| !is_view) else {
        return NodeFacts { writes: vec![None; outputs.len()], ..nothing };
    };
    let mutates: HashSet<usize> = node.mutates().into_iter().collect();
    let fits = |(from, output): &(usize, usize)| {
        let (Some(input), Some(to)) = (inputs.get(*from), outputs.get(*output)) else { return false };
        let whole = &recipes.descs[recipes.value[*input]];
        let is_read_once = nothing.reads.iter().filter(|v| **v == number[*input]).count() == 1;
        whole.dtype == to.dtype && whole.len_bytes() == to.len_bytes() && is_read_once && !mutates.contains(from)
    };
    let descs: Vec<&TensorDesc> = inputs.iter().map(|e| &recipes.descs[*e]).collect();
    let flops = flops(node, &descs, outputs);
    NodeFacts {
        writes: (0..outputs.len()).map(|output| number[Entry { node: i, output }]).collect(),
        inplace: op.inplace(&node.params).into_iter().filter(fits).collect(),
        seconds: seconds(flops, &descs, outputs),
        flops,
        ..nothing
    }
}
