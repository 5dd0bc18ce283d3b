//! Asking the operators' rules until nothing is news.

use crate::graph::{Graph, Node};
use std::collections::{HashMap, VecDeque};
use varflow_ops::{DType, Entry, Error, Operator, Params, PartialShape, Result};

/// What is known of a tensor. It only grows, and not without end; the default is to know nothing.
pub(super) trait Knowledge: Clone + Default {
    /// `shape` or `dtype`.
    const WHAT: &str;
    /// Adds what `other` knows; whether that was news.
    fn merge(&mut self, other: &Self) -> Result<bool>;
    /// Whether nothing is known.
    fn is_unknown(&self) -> bool;
    /// Whether there is nothing more to know.
    fn is_complete(&self) -> bool;
    /// For errors.
    fn describe(&self) -> String;
}

impl Knowledge for PartialShape {
    const WHAT: &str = "shape";

    fn merge(&mut self, other: &Self) -> Result<bool> {
        PartialShape::merge(self, other)
    }

    fn is_unknown(&self) -> bool {
        *self == PartialShape::unknown()
    }

    fn is_complete(&self) -> bool {
        self.known().is_some()
    }

    fn describe(&self) -> String {
        self.to_string()
    }
}

impl Knowledge for Option<DType> {
    const WHAT: &str = "dtype";

    fn merge(&mut self, other: &Self) -> Result<bool> {
        match (*self, *other) {
            (Some(has), Some(wanted)) if has != wanted => {
                Err(Error::DType(format!("has dtype {has}, wanted {wanted}")))
            }
            (None, Some(_)) => {
                *self = *other;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn is_unknown(&self) -> bool {
        self.is_none()
    }

    fn is_complete(&self) -> bool {
        self.is_some()
    }

    fn describe(&self) -> String {
        self.map_or("(unknown)".to_string(), |dtype| dtype.to_string())
    }
}

/// What a node's rule is asked with: names, for errors, and what is known.
pub(super) struct Io<'a, T> {
    pub(super) op: &'a dyn Operator,
    pub(super) params: &'a Params,
    pub(super) inputs: Vec<(String, T)>,
    pub(super) outputs: Vec<(String, T)>,
}

/// The nodes whose rules are to be asked (again).
pub(super) struct Settle<'a> {
    graph: &'a Graph,
    /// The readers of node `i` are `readers[starts[i]..starts[i + 1]]`.
    starts: Vec<usize>,
    readers: Vec<usize>,
    /// [`Graph::alike`] both ways, sorted.
    alike: Vec<(Entry, Entry)>,
    queue: VecDeque<usize>,
    queued: Vec<bool>,
    /// The node whose rule had the last news of an entry; of others what is known was given.
    told_by: HashMap<Entry, usize>,
}

impl<'a> Settle<'a> {
    /// All nodes, in the graph's order.
    pub(super) fn new(graph: &'a Graph) -> Self {
        let n = graph.nodes.len();
        let mut starts = vec![0; n + 1];
        let edges =
            || graph.nodes.iter().enumerate().flat_map(|(i, node)| node.inputs.iter().map(move |e| (e.node, i)));
        edges().for_each(|(from, _)| starts[from + 1] += 1);
        for i in 0..n {
            starts[i + 1] += starts[i];
        }
        let mut readers = vec![0; starts[n]];
        let mut next = starts.clone();
        for (from, to) in edges() {
            readers[next[from]] = to;
            next[from] += 1;
        }
        let mut alike: Vec<_> = graph.alike.iter().flat_map(|&(a, b)| [(a, b), (b, a)]).collect();
        alike.sort_unstable();
        let (queue, queued) = ((0..n).collect(), vec![true; n]);
        Settle { graph, starts, readers, alike, queue, queued, told_by: HashMap::new() }
    }

    fn push(&mut self, node: usize) {
        if !std::mem::replace(&mut self.queued[node], true) {
            self.queue.push_back(node);
        }
    }

    /// Something new is known of an output of this node: asks it and its readers again.
    pub(super) fn changed(&mut self, node: usize) {
        self.push(node);
        for i in self.starts[node]..self.starts[node + 1] {
            self.push(self.readers[i]);
        }
    }

    /// Asks `rule` what it knows of the inputs and outputs of each node in the queue, until the queue is empty.
    pub(super) fn run<T: Knowledge>(
        &mut self,
        known: &mut [Vec<T>],
        mut rule: impl FnMut(Io<'_, T>) -> Result<(Vec<T>, Vec<T>)>,
    ) -> Result<()> {
        while let Some(i) = self.queue.pop_front() {
            self.queued[i] = false;
            self.pass_on(i, known)?;
            let node = &self.graph.nodes[i];
            let Some(op) = node.op.as_deref() else { continue };
            let inputs = self.input_names(op, node)?.into_iter().zip(&node.inputs);
            let inputs = inputs.map(|(name, e)| (name, known[e.node][e.output].clone())).collect();
            let outputs = op.outputs(&node.params).into_iter().zip(known[i].iter().cloned()).collect();
            let io = Io { op, params: &node.params, inputs, outputs };
            let (inputs, outputs) = rule(io).map_err(|e| self.explain(e, op, i, known).at(node.place()))?;
            let lost = |e: Error| Error::Contract(format!("its inference rule forgets: {e}")).at(node.place());
            for (e, new) in node.inputs.iter().zip(&inputs) {
                if known[e.node][e.output].merge(new).map_err(lost)? {
                    self.told_by.insert(*e, i);
                    self.changed(e.node);
                }
            }
            for (output, (has, new)) in known[i].iter_mut().zip(&outputs).enumerate() {
                if has.merge(new).map_err(lost)? {
                    self.told_by.insert(Entry { node: i, output }, i);
                    self.changed(i);
                }
            }
        }
        Ok(())
    }

    /// Adds to a contradiction at node `i` where the node's inputs have what they have: it may be far away.
    fn explain<T: Knowledge>(&self, error: Error, op: &dyn Operator, i: usize, known: &[Vec<T>]) -> Error {
        let node = &self.graph.nodes[i];
        let Ok(names) = self.input_names(op, node) else { return error };
        let origin = |(name, e): (String, &Entry)| {
            let told_by = self.told_by.get(e).copied();
            if known[e.node][e.output].is_unknown() || told_by == Some(i) {
                return None;
            }
            let from = told_by.map_or("given".to_string(), |n| format!("from {}", self.graph.nodes[n].place()));
            Some(format!("{name} is {from}"))
        };
        let origins: Vec<String> = names.into_iter().zip(&node.inputs).filter_map(origin).collect();
        if origins.iter().all(|o| o.ends_with(" is given")) {
            return error;
        }
        let add = |text: String| format!("{text} ({})", origins.join(", "));
        match error {
            Error::Shape(text) => Error::Shape(add(text)),
            Error::DType(text) => Error::DType(add(text)),
            error => error,
        }
    }

    /// The names of a node's inputs: `weight`, or `weight "shared"` for a variable of another name than the automatic one.
    fn input_names(&self, op: &dyn Operator, node: &Node) -> Result<Vec<String>> {
        let mut names = op.inputs(&node.params);
        names.extend(op.auxiliaries(&node.params));
        if names.len() != node.inputs.len() {
            let text = format!("has {} inputs, wanted {}: {}", node.inputs.len(), names.len(), names.join(", "));
            return Err(Error::Contract(text).at(node.place()));
        }
        for (slot, e) in names.iter_mut().zip(&node.inputs) {
            let input = &self.graph.nodes[e.node];
            let automatic = |name: &str| name.strip_prefix(&node.name).and_then(|n| n.strip_prefix('_')) == Some(slot);
            if input.op.is_none() && input.name != *slot && !automatic(&input.name) {
                *slot = format!("{slot} \"{}\"", input.name);
            }
        }
        Ok(names)
    }

    /// Hands what is known of node `i` to what is like it.
    fn pass_on<T: Knowledge>(&mut self, i: usize, known: &mut [Vec<T>]) -> Result<()> {
        let start = self.alike.partition_point(|(a, _)| a.node < i);
        let end = self.alike.partition_point(|(a, _)| a.node <= i);
        for k in start..end {
            let (a, b) = self.alike[k];
            let theirs = known[a.node][a.output].clone();
            let news = known[b.node][b.output].merge(&theirs).map_err(|e| {
                let (here, there) = (&self.graph.nodes[b.node], self.graph.nodes[a.node].place());
                let name = here.output_name(b.output);
                Error::Shape(format!("{name} {e} from {there}: one is the gradient of the other")).at(here.place())
            })?;
            if news {
                self.told_by.insert(b, a.node);
                self.changed(b.node);
            }
        }
        Ok(())
    }
}
