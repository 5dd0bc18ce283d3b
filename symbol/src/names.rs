//! Names of what a graph takes and gives.

use crate::graph::{Graph, Node};
use std::collections::HashMap;
use varflow_ops::Entry;

impl Node {
    /// `fc1_output`; a variable's only output has its name.
    #[must_use]
    pub fn output_name(&self, output: usize) -> String {
        let name = self.output_names().into_iter().nth(output);
        name.unwrap_or_else(|| format!("{}_output{output}", self.name))
    }

    /// The [names](Self::output_name) of all its outputs, which cost no more than one.
    #[must_use]
    pub fn output_names(&self) -> Vec<String> {
        let Some(op) = &self.op else { return vec![self.name.clone()] };
        op.outputs(&self.params).iter().map(|output| output_name(&self.name, output)).collect()
    }
}

/// The name of what an operator calls `output`, of a node.
pub(crate) fn output_name(node: &str, output: &str) -> String {
    format!("{node}_{output}")
}

impl Graph {
    /// The names of the [`arguments`](Self::arguments), in MXNet's order.
    #[must_use]
    pub fn list_arguments(&self) -> Vec<&str> {
        self.arguments().into_iter().map(|i| self.nodes[i].name.as_str()).collect()
    }

    /// The names of the [`auxiliaries`](Self::auxiliaries), in MXNet's order.
    #[must_use]
    pub fn list_auxiliaries(&self) -> Vec<&str> {
        self.auxiliaries().into_iter().map(|i| self.nodes[i].name.as_str()).collect()
    }

    /// The names of what it computes: `<node>_<output>`.
    #[must_use]
    pub fn list_outputs(&self) -> Vec<String> {
        self.entry_names(&self.outputs)
    }

    /// The names of some outputs of nodes. Each node is asked for its names once: it may have very many.
    pub(crate) fn entry_names(&self, entries: &[Entry]) -> Vec<String> {
        let mut names: HashMap<usize, Vec<String>> = HashMap::new();
        let mut name = |e: &Entry| {
            let of_node = names.entry(e.node).or_insert_with(|| self.nodes[e.node].output_names());
            of_node.get(e.output).cloned().unwrap_or_else(|| self.nodes[e.node].output_name(e.output))
        };
        entries.iter().map(&mut name).collect()
    }

    /// Every output of every node that users see, by name, in order.
    #[must_use]
    pub fn internals(&self) -> Vec<(String, Entry)> {
        let visible = |node: &Node| node.op.as_ref().map_or(1, |op| op.num_visible_outputs(&node.params));
        let all = self.nodes.iter().enumerate();
        all.flat_map(|(n, node)| {
            let names = node.output_names().into_iter().take(visible(node)).enumerate();
            names.map(move |(output, name)| (name, Entry { node: n, output }))
        })
        .collect()
    }
}
