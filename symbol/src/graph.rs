//! A resolved graph: what passes work on.

use crate::HostArray;
use std::collections::BTreeMap;
use std::sync::Arc;
use varflow_ops::{Attrs, Entry, Operator, Params};

/// A node: a variable, or one use of an operator.
#[derive(Clone, Debug)]
pub struct Node {
    /// The operator; `None` for a variable.
    pub op: Option<Arc<dyn Operator>>,
    /// Its name, unique in the graph.
    pub name: String,
    /// The operator's parameters; empty for a variable.
    pub params: Params,
    /// All attributes as texts, hidden ones (`__lr_mult__`) included. Copies of the node share them.
    pub attrs: Arc<Attrs>,
    /// What it reads, auxiliary states last.
    pub inputs: Vec<Entry>,
}

impl Node {
    /// How many outputs it has, hidden ones included; one for a variable.
    #[must_use]
    pub fn num_outputs(&self) -> usize {
        self.op.as_ref().map_or(1, |op| op.outputs(&self.params).len())
    }

    /// The inputs that it changes.
    #[must_use]
    pub fn mutates(&self) -> Vec<usize> {
        self.op.as_ref().map_or(Vec::new(), |op| op.mutates(&self.params))
    }

    /// `Convolution "conv1"`, for errors.
    #[must_use]
    pub fn place(&self) -> String {
        let op = self.op.as_ref().map_or("variable", |op| op.name());
        format!("{op} \"{}\"", self.name)
    }
}

/// Nodes in an order in which each comes after all that it reads, and what the graph computes.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// The nodes.
    pub nodes: Vec<Node>,
    /// What the graph computes, in order.
    pub outputs: Vec<Entry>,
    /// Pairs of entries that have one shape and dtype: a gradient, and what it is the gradient of. Inference merges what
    /// it knows of the two, so that a backward operator needs no input merely to learn a shape.
    pub alike: Vec<(Entry, Entry)>,
    /// The values of variables that passes have made of nodes: neither arguments nor auxiliary states, and never changed.
    pub constants: BTreeMap<String, Arc<HostArray>>,
}

impl Graph {
    /// The variables that are auxiliary states of some node, in order.
    #[must_use]
    pub fn auxiliaries(&self) -> Vec<usize> {
        let mut is_aux = vec![false; self.nodes.len()];
        for node in &self.nodes {
            let Some(op) = &node.op else { continue };
            let n = op.inputs(&node.params).len();
            node.inputs.iter().skip(n).for_each(|e| is_aux[e.node] = true);
        }
        (0..self.nodes.len()).filter(|i| is_aux[*i] && self.nodes[*i].op.is_none()).collect()
    }

    /// The variables, in order, that only go into inputs called `label`, reshaped perhaps: what losses compare with.
    #[must_use]
    pub fn labels(&self) -> Vec<usize> {
        let (mut as_label, mut otherwise) = (vec![false; self.nodes.len()], vec![false; self.nodes.len()]);
        self.outputs.iter().for_each(|e| otherwise[e.node] = true);
        for (i, node) in self.nodes.iter().enumerate().rev() {
            let Some(op) = &node.op else { continue };
            let makes_label = as_label[i] && !otherwise[i];
            let mut names = op.inputs(&node.params).into_iter();
            for e in &node.inputs {
                let is_label = makes_label || names.next().is_some_and(|name| name == "label");
                (if is_label { &mut as_label } else { &mut otherwise })[e.node] = true;
            }
        }
        (0..self.nodes.len()).filter(|i| as_label[*i] && !otherwise[*i] && self.nodes[*i].op.is_none()).collect()
    }

    /// The other variables, in order: data, labels and parameters.
    #[must_use]
    pub fn arguments(&self) -> Vec<usize> {
        let aux = self.auxiliaries();
        let is_argument = |i: &usize| {
            let node = &self.nodes[*i];
            node.op.is_none() && aux.binary_search(i).is_err() && !self.constants.contains_key(&node.name)
        };
        (0..self.nodes.len()).filter(is_argument).collect()
    }
}
