//! Reverse-mode differentiation: a graph with the nodes appended that compute gradients.

use crate::graph::{Graph, Node};
use crate::placement::{COPY, GROUP, set_group};
use std::collections::HashMap;
use varflow_ops::{Attrs, Entry, Error, Gradient, GraphBuilder, Registry, Result};

/// A graph together with gradients.
#[derive(Clone, Debug)]
pub struct GradGraph {
    /// The forward nodes under their old numbers, then variables for the gradients of heads, then backward nodes. The
    /// outputs are the forward ones.
    pub graph: Graph,
    /// The gradient of each node asked for, by its first output. `None`: nothing flows there, the gradient is zero. The same entry
    /// may be the gradient of several nodes, and it may be a variable of `head_grads`.
    pub grads: Vec<Option<Entry>>,
    /// For each output of the graph the variable, named `<node>_out_grad`, that stands for its gradient and has its shape.
    /// `None` for losses, and where nothing asked for depends on it. Left alone it is to be all ones.
    pub head_grads: Vec<Option<usize>>,
    /// How many nodes are forward nodes.
    pub num_forward: usize,
}

/// Appends the nodes that compute the gradients of the sum of all outputs (each times its head gradient) by the nodes `wrt`.
///
/// Nodes are visited last to first. Gradients that meet are added one to one as they appear, so that no more than one
/// waits besides the sum. Branches from which none of `wrt` is reached are not differentiated, and backward nodes that
/// compute nothing asked for are taken out again.
///
/// # Errors
/// An operator on the way that has no gradient, and whatever its gradient says.
pub fn gradient(graph: &Graph, registry: &Registry, wrt: &[usize]) -> Result<GradGraph> {
    let num_forward = graph.nodes.len();
    let mut reaches = vec![false; num_forward];
    for &node in wrt {
        let place = reaches.get_mut(node);
        *place.ok_or_else(|| {
            Error::Contract(format!("there is no node {node} to differentiate by: the graph has {num_forward}"))
        })? = true;
    }
    for (i, node) in graph.nodes.iter().enumerate() {
        reaches[i] |= differentiable(node).iter().any(|e| reaches[e.node]);
    }

    let mut pass = Pass {
        to: Appender::new(graph.clone(), registry),
        sums: graph.nodes.iter().map(|n| vec![None; n.num_outputs()]).collect(),
        is_head: vec![false; num_forward],
    };
    let mut head_grads = pass.add_heads(&reaches)?;
    for i in (0..num_forward).rev().filter(|i| reaches[*i]) {
        pass.visit(i, &reaches)?;
    }

    let mut grads: Vec<_> = wrt.iter().map(|i| pass.sums[*i].first().copied().flatten()).collect();
    let mut graph = pass.to.graph;
    let renumber = sweep(&mut graph, num_forward, &grads);
    grads.iter_mut().flatten().for_each(|e| e.node = renumber[e.node].unwrap_or(e.node));
    head_grads.iter_mut().for_each(|h| *h = h.and_then(|n| renumber[n]));
    Ok(GradGraph { graph, grads, head_grads, num_forward })
}

/// The inputs through which gradients flow: all but auxiliary states.
fn differentiable(node: &Node) -> &[Entry] {
    let n = node.op.as_ref().map_or(0, |op| op.inputs(&node.params).len());
    &node.inputs[..n.min(node.inputs.len())]
}

/// The attribute that names a node's group.
fn group_attrs(of: &Node) -> Attrs {
    of.attrs.get(GROUP).map(|group| (GROUP.to_string(), group.clone())).into_iter().collect()
}

struct Pass<'r> {
    to: Appender<'r>,
    /// The gradients found so far, by node and output.
    sums: Vec<Vec<Option<Entry>>>,
    is_head: Vec<bool>,
}

impl Pass<'_> {
    fn add_heads(&mut self, reaches: &[bool]) -> Result<Vec<Option<usize>>> {
        let mut head_grads = Vec::new();
        for head in self.to.graph.outputs.clone() {
            let node = &self.to.graph.nodes[head.node];
            self.is_head[head.node] = true;
            if !reaches[head.node] || node.op.as_ref().is_some_and(|op| op.is_loss(&node.params)) {
                head_grads.push(None);
                continue;
            }
            let visible = node.op.as_ref().map_or(1, |op| op.num_visible_outputs(&node.params));
            let number = if visible == 1 { String::new() } else { head.output.to_string() };
            let name = format!("{}_out_grad{number}", node.name);
            let variable = self.to.push(Node {
                op: None,
                name,
                params: varflow_ops::Params::default(),
                attrs: group_attrs(&self.to.graph.nodes[head.node]).into(),
                inputs: Vec::new(),
            });
            head_grads.push(Some(variable));
            self.flow(head, Entry { node: variable, output: 0 }, true)?;
        }
        Ok(head_grads)
    }

    /// Adds `grad` to what is known of the gradient of `entry`, if that is wanted.
    fn flow(&mut self, entry: Entry, grad: Entry, wanted: bool) -> Result<()> {
        self.to.graph.alike.push((grad, entry));
        if !wanted {
            return Ok(());
        }
        let sum = match self.sums[entry.node][entry.output] {
            None => grad,
            Some(sum) => {
                let of = &self.to.graph.nodes[entry.node];
                let (name, attrs) = (format!("{}_grad_add", of.name), group_attrs(of));
                self.to.add("_grad_add", &name, attrs, &[sum, grad])?
            }
        };
        self.sums[entry.node][entry.output] = Some(sum);
        Ok(())
    }

    fn visit(&mut self, i: usize, reaches: &[bool]) -> Result<()> {
        let node = self.to.graph.nodes[i].clone();
        let Some(op) = &node.op else { return Ok(()) };
        let inputs = differentiable(&node);
        let starts = op.is_loss(&node.params) && self.is_head[i];
        let out_grads = self.sums[i].clone();
        if !inputs.iter().any(|e| reaches[e.node]) || !(starts || out_grads.iter().any(Option::is_some)) {
            return Ok(());
        }
        let outputs: Vec<_> = (0..out_grads.len()).map(|output| Entry { node: i, output }).collect();
        let first = self.to.graph.nodes.len();
        let grads = op.gradient(&mut Gradient {
            node: &node.name,
            params: &node.params,
            attrs: &node.attrs,
            inputs: &node.inputs,
            outputs: &outputs,
            out_grads: &out_grads,
            graph: &mut self.to,
        })?;
        // A copy between groups goes back to where it came from; all else is computed where the node is.
        let of = if op.name() == COPY { &self.to.graph.nodes[node.inputs[0].node] } else { &node };
        let group = of.attrs.get(GROUP).cloned();
        for added in &mut self.to.graph.nodes[first..] {
            set_group(&mut added.attrs, group.as_deref());
        }
        if grads.len() < inputs.len() {
            let text =
                format!("its gradient has {} parts, wanted one for each of {} inputs", grads.len(), inputs.len());
            return Err(Error::Contract(text).at(node.place()));
        }
        for (entry, grad) in inputs.iter().zip(grads) {
            if let Some(grad) = grad {
                let from = self.to.graph.nodes.get(grad.node);
                if from.is_none_or(|n| grad.output >= n.num_outputs()) {
                    let Entry { node: from, output } = grad;
                    let text = format!("its gradient names output {output} of node {from}, which is not there");
                    return Err(Error::Contract(text).at(node.place()));
                }
                self.flow(*entry, grad, reaches[entry.node])?;
            }
        }
        Ok(())
    }
}

/// Appends nodes under names that nobody has.
pub(crate) struct Appender<'r> {
    pub(crate) graph: Graph,
    /// Each name that is taken, and the number to try next to make another of it.
    names: HashMap<String, usize>,
    registry: &'r Registry,
}

impl<'r> Appender<'r> {
    pub(crate) fn new(graph: Graph, registry: &'r Registry) -> Self {
        Appender { names: graph.nodes.iter().map(|n| (n.name.clone(), 1)).collect(), graph, registry }
    }

    fn push(&mut self, mut node: Node) -> usize {
        node.name = self.unique(node.name);
        self.graph.nodes.push(node);
        self.graph.nodes.len() - 1
    }

    fn unique(&mut self, wanted: String) -> String {
        let mut number = self.names.get(&wanted).copied().unwrap_or(0);
        let mut name = wanted.clone();
        while self.names.contains_key(&name) {
            name = format!("{wanted}{number}");
            number += 1;
        }
        self.names.insert(wanted, number.max(1));
        self.names.entry(name.clone()).or_insert(1);
        name
    }
}

impl GraphBuilder for Appender<'_> {
    fn add(&mut self, op: &str, name: &str, attrs: Attrs, inputs: &[Entry]) -> Result<Entry> {
        let place = || format!("{op} \"{name}\"");
        let op = self.registry.operator(op).map_err(|e| e.at(place()))?.clone();
        let params = op.schema().parse(&attrs).and_then(|p| op.check(&p).map(|()| p)).map_err(|e| e.at(place()))?;
        let wanted = op.inputs(&params).len() + op.auxiliaries(&params).len();
        if inputs.len() != wanted {
            let text = format!("is added with {} inputs, wanted {wanted}", inputs.len());
            return Err(Error::Contract(text).at(place()));
        }
        let missing = inputs.iter().find(|e| self.graph.nodes.get(e.node).is_none_or(|n| e.output >= n.num_outputs()));
        if let Some(Entry { node, output }) = missing {
            return Err(
                Error::Contract(format!("reads output {output} of node {node}, which is not there")).at(place())
            );
        }
        let node = Node { op: Some(op), name: name.to_string(), params, attrs: attrs.into(), inputs: inputs.to_vec() };
        Ok(Entry { node: self.push(node), output: 0 })
    }
}

/// Takes out the appended nodes that none of `wanted` depends on. Returns the new number of each node that stays.
fn sweep(graph: &mut Graph, num_forward: usize, wanted: &[Option<Entry>]) -> Vec<Option<usize>> {
    let mut live = vec![false; graph.nodes.len()];
    live[..num_forward].fill(true);
    wanted.iter().flatten().for_each(|e| live[e.node] = true);
    for i in (num_forward..graph.nodes.len()).rev() {
        if live[i] {
            graph.nodes[i].inputs.iter().for_each(|e| live[e.node] = true);
        }
    }
    let mut next = 0..;
    let renumber: Vec<Option<usize>> = live.iter().map(|live| live.then(|| next.next()).flatten()).collect();
    let mut number = 0..;
    graph.nodes.retain(|_| number.next().is_some_and(|i: usize| live[i]));
    let number = |e: Entry| renumber[e.node].map(|node| Entry { node, ..e });
    for node in &mut graph.nodes[num_forward..] {
        node.inputs = node.inputs.iter().filter_map(|e| number(*e)).collect();
    }
    graph.alike = graph.alike.iter().filter_map(|(a, b)| Some((number(*a)?, number(*b)?))).collect();
    renumber
}
