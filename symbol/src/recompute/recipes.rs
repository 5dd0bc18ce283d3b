//! How each result can be computed again.

use super::script::Script;
use crate::gradient::Appender;
use crate::placement::{GROUP, set_group};
use crate::plan::{EntryMap, View};
use crate::{Graph, Node};
use std::collections::HashMap;
use varflow_ops::{Entry, Error, Registry, Result, TensorDesc, infer_outputs};

/// A graph with the nodes appended that compute results again.
pub(crate) struct Recipes {
    /// The nodes of the network under their old numbers, then those of recipes, each of which is a pattern: it may be run
    /// never or often.
    pub(super) graph: Graph,
    pub(super) descs: EntryMap<TensorDesc>,
    /// How many nodes are the network's.
    pub(super) num_nodes: usize,
    /// For each node of the network the nodes of its recipe. `None`: it cannot be computed again.
    pub(super) of: Vec<Option<Vec<usize>>>,
    /// What value each entry is: for what a recipe computes the network's own entry, of which it has the bits; for a view what
    /// it is a view of.
    pub(super) value: EntryMap<Entry>,
    /// What has memory of its own, and so is always there: variables and the graph's outputs.
    pub(super) is_own: EntryMap<bool>,
    /// Of the network's entries.
    views: EntryMap<Option<View>>,
}

impl Recipes {
    /// # Errors
    /// What an operator says when it is asked how to compute it again.
    pub(super) fn new(
        graph: &Graph,
        descs: &EntryMap<TensorDesc>,
        views: &EntryMap<Option<View>>,
        script: &Script,
        registry: &Registry,
    ) -> Result<Recipes> {
        let num_nodes = graph.nodes.len();
        let mut changed = EntryMap::from_fn(graph, |_| false);
        for node in &graph.nodes {
            for input in node.mutates() {
                if let Some(entry) = node.inputs.get(input) {
                    changed[*entry] = true;
                }
            }
        }
        let mut to = Appender::new(graph.clone(), registry);
        let mut of = vec![None; num_nodes];
        let mut same: Vec<(Entry, Entry)> = Vec::new();
        for &i in script.phases().next().into_iter().flatten() {
            let node = &graph.nodes[i];
            // A view is made anew when it is needed, of what is there then.
            let Some(op) = node.op.as_ref().filter(|_| views.node(i).iter().all(Option::is_none)) else { continue };
            let outputs: Vec<Entry> = (0..node.num_outputs()).map(|output| Entry { node: i, output }).collect();
            let first = to.graph.nodes.len();
            let again = op.recompute(&mut varflow_ops::Recompute {
                node: &node.name,
                params: &node.params,
                attrs: &node.attrs,
                inputs: &node.inputs,
                outputs: &outputs,
                graph: &mut to,
            })?;
            for added in &mut to.graph.nodes[first..] {
                set_group(&mut added.attrs, node.attrs.get(GROUP).map(String::as_str));
            }
            let Some(again) = again else { continue };
            if again.len() != outputs.len() {
                let text = format!("is recomputed with {} outputs, wanted {}", again.len(), outputs.len());
                return Err(Error::Contract(text).at(node.place()));
            }
            let reads = to.graph.nodes[first..].iter().flat_map(|n| &n.inputs);
            let is_stable = outputs.iter().chain(reads).all(|e| !changed.has(*e) || !changed[*e]);
            let is_pure = to.graph.nodes[first..].iter().all(|n| n.mutates().is_empty());
            if is_stable && is_pure {
                of[i] = Some((first..to.graph.nodes.len()).collect());
                same.extend(again.into_iter().zip(outputs));
            }
        }
        Recipes::of(to.graph, descs, views, of, &same)
    }

    fn of(
        graph: Graph,
        descs: &EntryMap<TensorDesc>,
        views: &EntryMap<Option<View>>,
        of: Vec<Option<Vec<usize>>>,
        same: &[(Entry, Entry)],
    ) -> Result<Recipes> {
        let num_nodes = of.len();
        let mut known: Vec<Vec<TensorDesc>> = (0..num_nodes).map(|i| descs.node(i).to_vec()).collect();
        let stands_for: HashMap<usize, usize> = same.iter().map(|(again, entry)| (again.node, entry.node)).collect();
        for (at, node) in graph.nodes.iter().enumerate().skip(num_nodes) {
            let Some(op) = &node.op else { continue };
            // Of the node itself once more all is known, what its readers told it included.
            if let Some(i) = stands_for.get(&at).filter(|i| is_same_use(&graph.nodes[**i], node)) {
                known.push(descs.node(*i).to_vec());
                continue;
            }
            let inputs: Vec<TensorDesc> = node.inputs.iter().map(|e| known[e.node][e.output].clone()).collect();
            known.push(infer_outputs(&**op, &node.params, &node.name, &inputs)?);
        }
        let descs = EntryMap::from_fn(&graph, |e| known[e.node][e.output].clone());
        let mut is_own = EntryMap::from_fn(&graph, |e| graph.nodes[e.node].op.is_none());
        graph.outputs.iter().for_each(|e| is_own[*e] = true);
        let mut value = EntryMap::from_fn(&graph, |e| e);
        for (again, entry) in same.iter().filter(|(again, entry)| again != entry && !is_own[*entry]) {
            if descs[*again] != descs[*entry] {
                let text = format!("output {} is recomputed with another shape or dtype", entry.output);
                return Err(Error::Contract(text).at(graph.nodes[entry.node].place()));
            }
            value[*again] = *entry;
        }
        for (entry, view) in views.iter() {
            if let Some(view) = view {
                value[entry] = view.of;
            }
        }
        Ok(Recipes { graph, descs, num_nodes, of, value, is_own, views: views.clone() })
    }

    /// What an entry is a view of.
    pub(super) fn view(&self, entry: Entry) -> Option<View> {
        if entry.node < self.num_nodes { self.views[entry] } else { None }
    }

    /// The recipe of an entry of the network. `None`: that entry cannot be computed again.
    pub(super) fn recipe(&self, entry: Entry) -> Option<&[usize]> {
        let nodes = self.of.get(entry.node)?.as_deref()?;
        let computes = |node: &usize| {
            (0..self.value.node(*node).len()).any(|output| self.value[Entry { node: *node, output }] == entry)
        };
        nodes.iter().any(computes).then_some(nodes)
    }
}

/// Whether two nodes use one operator in one way.
fn is_same_use(a: &Node, b: &Node) -> bool {
    let name = |node: &Node| node.op.as_ref().map(|op| op.name().to_string());
    name(a) == name(b) && a.params == b.params && a.inputs == b.inputs
}
