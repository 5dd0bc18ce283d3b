//! What is asked of each node, and what can be.

use super::super::rewrite::mutated;
use super::super::{Context, Stage};
use super::KIND;
use super::order::Order;
use crate::Graph;
use crate::placement::GROUP;
use crate::plan::{EntryMap, wanted};
use std::collections::HashSet;
use varflow_ops::defs::transpose_order;
use varflow_ops::{Entry, KernelCall, Permutation, Relaid, Result, TensorDesc};

/// What a node may do.
pub(super) enum Role {
    /// It stays as it is: a variable too.
    Fixed,
    /// It takes any order that its operator can take.
    Free,
    /// It is its input with its axes in this order, and needs no node.
    Alias(Order),
    /// It is wanted so.
    Wanted(Box<Relaid>),
}

/// The graph, and the role of each of its nodes.
pub(super) struct Wishes<'a> {
    pub(super) graph: &'a Graph,
    pub(super) roles: Vec<Role>,
    descs: &'a EntryMap<Option<TensorDesc>>,
    wanted: EntryMap<bool>,
    is_train: bool,
    mutated: HashSet<Entry>,
    outputs: Vec<Vec<usize>>,
}

impl<'a> Wishes<'a> {
    /// # Errors
    /// What a wish is refused for.
    pub(super) fn new(graph: &'a Graph, context: &Context<'a>) -> Result<Wishes<'a>> {
        let mut outputs = vec![Vec::new(); graph.nodes.len()];
        graph.outputs.iter().for_each(|e| outputs[e.node].push(e.output));
        let is_train = context.stage != Stage::Inference;
        let (wanted, mutated) = (wanted(graph), mutated(graph));
        let mut wishes = Wishes { graph, roles: Vec::new(), descs: context.descs, wanted, is_train, mutated, outputs };
        for i in 0..graph.nodes.len() {
            let role = wishes.role(i, context)?;
            wishes.roles.push(role);
        }
        Ok(wishes)
    }

    fn role(&self, i: usize, context: &Context<'_>) -> Result<Role> {
        let node = &self.graph.nodes[i];
        if node.op.is_none() {
            return Ok(Role::Fixed);
        }
        let wish = self.with_call(i, |call| context.registry.layout(KIND, call))?.flatten();
        if let Some(relaid) = wish {
            return Ok(if self.allows(i, &relaid) { Role::Wanted(Box::new(relaid)) } else { Role::Fixed });
        }
        if let Some(order) = self.alias(i) {
            return Ok(Role::Alias(order));
        }
        Ok(Role::Free)
    }

    /// Whether nobody changes what would be permuted, and outputs of the graph can keep their names: those of a node that is renamed
    /// come from a conversion, which has one output, called `output`.
    fn allows(&self, i: usize, relaid: &Relaid) -> bool {
        let node = &self.graph.nodes[i];
        let mut inputs = node.inputs.iter().zip(&relaid.inputs).filter(|(_, order)| order.is_some());
        let mut outputs = relaid.outputs.iter().enumerate().filter(|(_, order)| order.is_some());
        if inputs.any(|(e, _)| self.mutated.contains(e))
            || outputs.any(|(output, _)| self.mutated.contains(&Entry { node: i, output }))
        {
            return false;
        }
        let renamed = relaid.outputs.iter().any(Option::is_some);
        let named_alike = || {
            let first = relaid.outputs.first().is_some_and(Option::is_some);
            first && self.has_plain_name(i) && self.outputs[i].iter().all(|output| *output == 0)
        };
        !renamed || self.outputs[i].is_empty() || named_alike()
    }

    /// Whether the first output is named as that of a `transpose` of the node's name is.
    pub(super) fn has_plain_name(&self, i: usize) -> bool {
        let node = &self.graph.nodes[i];
        node.op.as_ref().is_some_and(|op| op.outputs(&node.params).first().is_some_and(|name| name == "output"))
    }

    /// The order in which a `transpose` has the axes of its input, if it may be done without.
    fn alias(&self, i: usize) -> Option<Order> {
        let node = &self.graph.nodes[i];
        node.op.as_ref().filter(|op| op.name() == "transpose")?;
        let &[input] = &node.inputs[..] else { return None };
        let is_bound = !self.outputs[i].is_empty()
            || self.mutated.contains(&input)
            || self.mutated.contains(&Entry { node: i, output: 0 })
            || self.group(i) != self.group(input.node);
        let rank = self.descs[input].as_ref().filter(|_| !is_bound)?.shape.rank();
        let order = Permutation::new(&transpose_order(&node.params, rank).ok()?).ok()?;
        Some(Some(order).filter(|order| !order.is_identity()))
    }

    /// The node with its axes in this order, if it is free to be.
    ///
    /// # Errors
    /// An operator that says of itself what does not hold.
    pub(super) fn permuted(&self, i: usize, order: &Permutation) -> Result<Option<Relaid>> {
        let (Role::Free, Some(op)) = (&self.roles[i], &self.graph.nodes[i].op) else { return Ok(None) };
        let relaid = self.with_call(i, |call| Relaid::permuted(op, order, call));
        let relaid = relaid.map_err(|e| e.at(self.graph.nodes[i].place()))?.flatten();
        Ok(relaid.filter(|relaid| self.allows(i, relaid)))
    }

    /// What `f` makes of the node; `None` if not all shapes are known.
    fn with_call<T>(&self, i: usize, f: impl FnOnce(&KernelCall<'_>) -> Result<T>) -> Result<Option<T>> {
        let node = &self.graph.nodes[i];
        let inputs: Option<Vec<TensorDesc>> = node.inputs.iter().map(|e| self.descs[*e].clone()).collect();
        let outputs: Option<Vec<TensorDesc>> = self.descs.node(i).iter().cloned().collect();
        let (Some(op), Some(inputs), Some(outputs)) = (&node.op, inputs, outputs) else { return Ok(None) };
        f(&KernelCall {
            op: &**op,
            node: &node.name,
            params: &node.params,
            inputs: &inputs,
            outputs: &outputs,
            wanted: self.wanted.node(i),
            is_train: self.is_train,
        })
        .map(Some)
    }

    /// The bytes of an entry.
    pub(super) fn len_bytes(&self, entry: Entry) -> u64 {
        self.descs[entry].as_ref().map_or(0, |desc| desc.len_bytes() as u64)
    }

    /// The group of a node.
    pub(super) fn group(&self, i: usize) -> Option<&'a str> {
        self.graph.nodes[i].attrs.get(GROUP).map(String::as_str)
    }

    /// Whether an entry is an output of the graph.
    pub(super) fn is_output(&self, entry: Entry) -> bool {
        self.outputs[entry.node].contains(&entry.output)
    }
}
