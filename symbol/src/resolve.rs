//! From symbols to graphs: operators are looked up, parameters read, missing inputs made into variables, names given.

mod draft;
mod frame;
mod missing;

use crate::graph::Graph;
use crate::symbol::{Symbol, SymbolNode};
use draft::{Draft, into_nodes};
use frame::Frame;
use std::collections::HashMap;
use std::sync::Arc;
use varflow_ops::{Entry, Error, Registry, Result};

impl Symbol {
    /// Looks every operator up and gives the graph, nodes in depth-first post-order of their inputs: the order in which
    /// MXNet lists arguments.
    ///
    /// - An operator of any number of inputs gets the parameter `num_args`, if it is not set; all must be given.
    /// - Inputs and auxiliary states of others that are left out become variables `<node>_<input>`; they get the hidden attributes of
    ///   the node, such as `__lr_mult__`.
    /// - A node without a name gets the lower-case name of its operator and a number, counted in the graph's order;
    ///   numbers that make a name given to another node are passed over.
    /// - A head without output number stands for all outputs that users see. As an input it must have just one.
    ///
    /// # Errors
    /// Unknown operators, all of them; an unknown parameter, inputs that do not fit the operator, a name used twice: each with its node.
    pub fn resolve(&self, registry: &Registry) -> Result<Graph> {
        let mut walk = Walk { registry, drafts: Vec::new(), seen: HashMap::new() };
        for head in &self.heads {
            walk.visit(&head.node).map_err(|e| missing::several(&self.heads, registry).unwrap_or(e))?;
        }
        let mut outputs = Vec::new();
        for head in &self.heads {
            let node = walk.seen[&Arc::as_ptr(&head.node)];
            let draft = &walk.drafts[node];
            let range = match head.output {
                Some(output) => draft.checked_output(output)?..output + 1,
                None => 0..draft.visible,
            };
            outputs.extend(range.map(|output| Entry { node, output }));
        }
        Ok(Graph { nodes: into_nodes(walk.drafts)?, outputs, ..Graph::default() })
    }
}

/// A depth-first walk with a stack of its own: graphs are deeper than threads' stacks.
struct Walk<'r> {
    registry: &'r Registry,
    drafts: Vec<Draft>,
    seen: HashMap<*const SymbolNode, usize>,
}

impl Walk<'_> {
    fn visit(&mut self, root: &Arc<SymbolNode>) -> Result<()> {
        if self.seen.contains_key(&Arc::as_ptr(root)) {
            return Ok(());
        }
        let mut stack = vec![self.enter(root)?];
        while let Some(frame) = stack.last_mut() {
            let slot = frame.entries.len();
            match frame.given.get(slot) {
                None => {
                    if let Some(frame) = stack.pop() {
                        self.leave(frame);
                    }
                }
                Some(None) => {
                    let node = self.drafts.len();
                    self.drafts.push(frame.missing_variable());
                    frame.entries.push(Entry { node, output: 0 });
                }
                Some(Some(head)) => match self.seen.get(&Arc::as_ptr(&head.node)) {
                    Some(&node) => {
                        let output = self
                            .one_output(node, head.output)
                            .map_err(|e| e.at(format!("{}: input {}", frame.node.place(), frame.slots[slot])))?;
                        frame.entries.push(Entry { node, output });
                    }
                    None => {
                        let next = self.enter(&head.node)?;
                        stack.push(next);
                    }
                },
            }
        }
        Ok(())
    }

    fn enter<'a>(&self, node: &'a Arc<SymbolNode>) -> Result<Frame<'a>> {
        if node.name.as_ref().is_some_and(String::is_empty) {
            return Err(Error::Param("its name is empty: wanted at least one character".to_string()).at(node.place()));
        }
        let op = node.op.as_ref().map(|op| self.registry.operator(op)).transpose();
        op.and_then(|op| Frame::new(node, op.cloned())).map_err(|e| e.at(node.place()))
    }

    fn leave(&mut self, frame: Frame<'_>) {
        let consumer = self.drafts.len();
        for (slot, key, value) in frame.for_inputs {
            let input = &mut self.drafts[frame.entries[slot].node];
            if input.op.is_none() {
                input.attrs.insert(key, value);
            }
        }
        for ((slot, given), entry) in frame.slots.into_iter().zip(frame.given).zip(&frame.entries) {
            if given.is_none() {
                self.drafts[entry.node].made_for = Some((consumer, slot));
            }
        }
        self.seen.insert(Arc::as_ptr(frame.node), consumer);
        self.drafts.push(Draft::new(frame.op, Some(frame.node), frame.params, frame.attrs, frame.entries));
    }

    /// The output that an input reads.
    fn one_output(&self, node: usize, output: Option<usize>) -> Result<usize> {
        let draft = &self.drafts[node];
        match (output, draft.visible) {
            (Some(output), _) => draft.checked_output(output),
            (None, 1) => Ok(0),
            (None, n) => {
                let text = format!("is {}, which has {n} outputs: choose one by output(i)", draft.place());
                Err(Error::Param(text))
            }
        }
    }
}

/// `1 input`, `2 inputs`.
fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
