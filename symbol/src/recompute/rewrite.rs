//! From a script to the graph that does what it says.

use super::recipes::Recipes;
use super::script::Script;
use crate::Graph;
use crate::plan::EntryMap;
use crate::plan::{runs, wanted};
use std::collections::HashSet;
use varflow_ops::{Entry, TensorDesc};

/// A graph that runs a script.
pub(crate) struct Rewritten {
    /// Variables, then nodes in execution order.
    pub(crate) graph: Graph,
    pub(crate) descs: EntryMap<TensorDesc>,
    /// The nodes that run.
    pub(crate) phases: Vec<Vec<usize>>,
    /// For each node of the old graph its number in the new one. `None`: it did not run.
    pub(crate) moved: Vec<Option<usize>>,
}

impl Rewritten {
    /// The new number of a node.
    pub(crate) fn node(&self, old: usize) -> Option<usize> {
        self.moved.get(old).copied().flatten()
    }

    /// The same of one of its outputs.
    pub(crate) fn entry(&self, old: Entry) -> Option<Entry> {
        self.node(old.node).map(|node| Entry { node, ..old })
    }
}

/// Makes a node of each step. Recipes that are run more than once get more names; nodes that compute nothing that is read
/// any more do not run.
pub(crate) fn rewrite(recipes: &Recipes, script: &Script) -> Rewritten {
    let old = &recipes.graph;
    let mut names: HashSet<String> = old.nodes.iter().map(|n| n.name.clone()).collect();
    let mut graph = Graph { constants: old.constants.clone(), ..Graph::default() };
    // The node that each node of the new graph was made from, and each value's latest entry.
    let mut made_from = Vec::new();
    let mut latest = EntryMap::from_fn(old, |e| e);
    let mut moved = vec![None; old.nodes.len()];
    let variables = (0..recipes.num_nodes).filter(|i| old.nodes[*i].op.is_none());
    let order: Vec<usize> = variables.chain(script.steps().iter().copied()).collect();
    for node in order {
        let number = graph.nodes.len();
        let mut new = old.nodes[node].clone();
        for input in &mut new.inputs {
            *input = latest[recipes.value[*input]];
        }
        if moved[node].is_some() {
            new.name = another(&new.name, &mut names);
        }
        moved[node].get_or_insert(number);
        for output in 0..recipes.value.node(node).len() {
            latest[recipes.value[Entry { node, output }]] = Entry { node: number, output };
        }
        graph.nodes.push(new);
        made_from.push(node);
    }
    graph.outputs = old.outputs.iter().filter_map(|e| Some(Entry { node: moved[e.node]?, ..*e })).collect();
    let descs =
        EntryMap::from_fn(&graph, |e| recipes.descs[Entry { node: made_from[e.node], output: e.output }].clone());
    let wanted = wanted(&graph);
    let mut next = graph.nodes.len() - script.steps().len();
    let mut phases = Vec::new();
    for phase in script.phases() {
        let nodes = next..next + phase.len();
        next = nodes.end;
        phases.push(nodes.filter(|i| runs(&graph, &wanted, *i)).collect());
    }
    moved.truncate(recipes.num_nodes);
    Rewritten { graph, descs, phases, moved }
}

/// A name that nobody has, made of this one.
fn another(name: &str, names: &mut HashSet<String>) -> String {
    let mut number = 1;
    loop {
        let name = format!("{name}{number}");
        if names.insert(name.clone()) {
            return name;
        }
        number += 1;
    }
}
