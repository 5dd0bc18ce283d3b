//! Names of what a graph takes and gives.

use crate::graph::{Graph, Node};
use varflow_ops::Entry;

impl Node {
    /// `fc1_output`; a variable's only output has its name.
    #[must_use]
    pub fn output_name(&self, output: usize) -> String {
        let Some(op) = &self.op else { return self.name.clone() };
        match op.outputs(&self.params).get(output) {
            Some(output) => format!("{}_{output}", self.name),
            None => format!("{}_output{output}", self.name),
        }
    }
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
        self.outputs.iter().map(|e| self.nodes[e.node].output_name(e.output)).collect()
    }

    /// Every output of every node that users see, by name, in order.
    #[must_use]
    pub fn internals(&self) -> Vec<(String, Entry)> {
        let visible = |node: &Node| node.op.as_ref().map_or(1, |op| op.num_visible_outputs(&node.params));
        let all = self.nodes.iter().enumerate();
        all.flat_map(|(n, node)| {
            (0..visible(node)).map(move |output| (node.output_name(output), Entry { node: n, output }))
        })
        .collect()
    }
}
