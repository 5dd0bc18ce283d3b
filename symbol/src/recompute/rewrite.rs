//! From a script to the graph that does what it says.

use super::recipes::Recipes;
use super::script::Script;
use crate::plan::{EntryMap, runs, wanted};
use crate::{Graph, Node};
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
    let mut to = Rewriting::new(recipes);
    (0..recipes.num_nodes).filter(|i| recipes.graph.nodes[*i].op.is_none()).for_each(|i| to.add(i));
    let mut ends = vec![to.graph.nodes.len()];
    for phase in script.phases() {
        phase.iter().for_each(|node| to.add(*node));
        ends.push(to.graph.nodes.len());
    }
    let Rewriting { mut graph, made_from, mut moved, .. } = to;
    let outputs = recipes.graph.outputs.iter();
    graph.outputs = outputs.filter_map(|e| Some(Entry { node: moved[e.node]?, ..*e })).collect();
    let descs =
        EntryMap::from_fn(&graph, |e| recipes.descs[Entry { node: made_from[e.node], output: e.output }].clone());
    let wanted = wanted(&graph);
    let running = |nodes: &[usize]| (nodes[0]..nodes[1]).filter(|i| runs(&graph, &wanted, *i)).collect();
    let phases = ends.windows(2).map(running).collect();
    moved.truncate(recipes.num_nodes);
    Rewritten { graph, descs, phases, moved }
}

struct Rewriting<'a> {
    recipes: &'a Recipes,
    graph: Graph,
    names: HashSet<String>,
    /// For each node of the new graph the node that it was made from.
    made_from: Vec<usize>,
    /// For each node of the old graph the first that was made from it.
    moved: Vec<Option<usize>>,
    /// Each value as it was computed last.
    latest: EntryMap<Entry>,
    /// For each view what it was made of last, and what it is then.
    views: EntryMap<Option<(Entry, Entry)>>,
}

impl<'a> Rewriting<'a> {
    fn new(recipes: &'a Recipes) -> Self {
        let old = &recipes.graph;
        Rewriting {
            recipes,
            graph: Graph { constants: old.constants.clone(), ..Graph::default() },
            names: old.nodes.iter().map(|n| n.name.clone()).collect(),
            made_from: Vec::new(),
            moved: vec![None; old.nodes.len()],
            latest: EntryMap::from_fn(old, |e| e),
            views: EntryMap::from_fn(old, |_| None),
        }
    }

    /// Makes a node of one of the old graph.
    fn add(&mut self, node: usize) {
        let old = &self.recipes.graph.nodes[node];
        let inputs = old.inputs.iter().map(|e| self.input(*e)).collect();
        self.push(node, inputs);
    }

    fn push(&mut self, from: usize, inputs: Vec<Entry>) -> usize {
        let node = self.graph.nodes.len();
        let mut new = Node { inputs, ..self.recipes.graph.nodes[from].clone() };
        if self.moved[from].is_some() {
            new.name = another(&new.name, &mut self.names);
        }
        self.moved[from].get_or_insert(node);
        for output in 0..self.recipes.value.node(from).len() {
            let (old, new) = (Entry { node: from, output }, Entry { node, output });
            let value = self.recipes.value[old];
            match self.recipes.view(old) {
                None => self.latest[value] = new,
                Some(_) => self.views[old] = Some((self.latest[value], new)),
            }
        }
        self.graph.nodes.push(new);
        self.made_from.push(from);
        node
    }

    /// The entry to read for one of the old graph: the latest that is the same value. Of a view it is one of the latest that
    /// it is a view of, made now if it has not been.
    fn input(&mut self, entry: Entry) -> Entry {
        let now = self.latest[self.recipes.value[entry]];
        let mut missing = Vec::new();
        let mut at = entry;
        let mut found = loop {
            if self.recipes.view(at).is_none() {
                break now;
            }
            match self.views[at] {
                Some((of, view)) if of == now => break view,
                _ => missing.push(at.node),
            }
            at = self.recipes.graph.nodes[at.node].inputs[0];
        };
        for view in missing.into_iter().rev() {
            // Other inputs tell it no more than a shape: those of the first time do.
            let others = self.recipes.graph.nodes[view].inputs.iter().skip(1);
            let others = others.map(|e| self.moved[e.node].map_or(*e, |node| Entry { node, ..*e }));
            let inputs = [found].into_iter().chain(others).collect();
            found = Entry { node: self.push(view, inputs), output: 0 };
        }
        found
    }
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
