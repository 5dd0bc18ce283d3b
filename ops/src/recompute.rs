//! Computing a node's outputs a second time, so that they need not wait in memory from the forward to the backward pass.

use crate::Result;
use crate::operator::{Entry, GraphBuilder, Operator};
use crate::schema::{Attrs, Params};

/// What [`Operator::recompute`] works with.
pub struct Recompute<'a> {
    /// The forward node's name; the node that computes its outputs again is named `<node>_recomputed`.
    pub node: &'a str,
    /// Its parameters.
    pub params: &'a Params,
    /// Its parameters as texts, to hand on to an operator of the same schema.
    pub attrs: &'a Attrs,
    /// What it reads, auxiliary states last; some of it perhaps recomputed as well.
    pub inputs: &'a [Entry],
    /// The outputs that it gave in the forward pass. Those named in the answer are kept.
    pub outputs: &'a [Entry],
    /// The graph.
    pub graph: &'a mut dyn GraphBuilder,
}

impl Recompute<'_> {
    /// Adds one node named `<node>_recomputed` with the forward node's attributes, and returns its first output.
    ///
    /// # Errors
    /// As [`GraphBuilder::add`].
    pub fn add(&mut self, op: &str, inputs: &[Entry]) -> Result<Entry> {
        self.graph.add(op, &format!("{}_recomputed", self.node), self.attrs.clone(), inputs)
    }

    /// Adds the operator itself, all of whose outputs it computes again; `None` where a second run would draw other random
    /// numbers, or change what the first one changed.
    ///
    /// # Errors
    /// As [`GraphBuilder::add`].
    pub fn again(&mut self, op: &(impl Operator + ?Sized)) -> Result<Option<Vec<Entry>>> {
        if !op.is_deterministic() || !op.mutates(self.params).is_empty() {
            return Ok(None);
        }
        self.add_all(op.name()).map(Some)
    }

    /// Adds a node of `op`, of the forward node's inputs, and returns as many outputs as that has.
    ///
    /// # Errors
    /// As [`GraphBuilder::add`].
    pub fn add_all(&mut self, op: &str) -> Result<Vec<Entry>> {
        let first = self.add(op, self.inputs)?;
        Ok((0..self.outputs.len()).map(|output| Entry { output, ..first }).collect())
    }
}
