//! A value for every output of every node.

use crate::Graph;
use std::ops::{Index, IndexMut};
use varflow_ops::Entry;

/// A value for every output of every node of one graph, in one block.
///
/// Indexing panics for an entry that the graph does not have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryMap<T> {
    /// Where each node's outputs start, and after the last node the end.
    starts: Vec<usize>,
    values: Vec<T>,
}

impl<T> EntryMap<T> {
    /// The value of every entry, from `value`.
    pub fn from_fn(graph: &Graph, mut value: impl FnMut(Entry) -> T) -> Self {
        let mut starts = Vec::with_capacity(graph.nodes.len() + 1);
        let mut values = Vec::with_capacity(graph.nodes.len());
        for (node, n) in graph.nodes.iter().enumerate() {
            starts.push(values.len());
            values.extend((0..n.num_outputs()).map(|output| value(Entry { node, output })));
        }
        starts.push(values.len());
        EntryMap { starts, values }
    }

    /// The values of one node's outputs.
    #[must_use]
    pub fn node(&self, node: usize) -> &[T] {
        &self.values[self.starts[node]..self.starts[node + 1]]
    }

    /// How many nodes there are.
    #[must_use]
    pub fn num_nodes(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Whether there is such an entry.
    #[must_use]
    pub fn has(&self, entry: Entry) -> bool {
        entry.node < self.num_nodes() && entry.output < self.node(entry.node).len()
    }

    /// All entries and their values, by node.
    pub fn iter(&self) -> impl Iterator<Item = (Entry, &T)> {
        let entries =
            (0..self.num_nodes()).flat_map(|node| (0..self.node(node).len()).map(move |output| Entry { node, output }));
        entries.zip(&self.values)
    }
}

impl<T> Index<Entry> for EntryMap<T> {
    type Output = T;
    fn index(&self, entry: Entry) -> &T {
        &self.node(entry.node)[entry.output]
    }
}

impl<T> IndexMut<Entry> for EntryMap<T> {
    fn index_mut(&mut self, entry: Entry) -> &mut T {
        let (start, end) = (self.starts[entry.node], self.starts[entry.node + 1]);
        &mut self.values[start..end][entry.output]
    }
}
