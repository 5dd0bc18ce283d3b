//! Graphs as Graphviz texts.

use crate::graph::Graph;
use std::fmt::Write;

/// The graph in Graphviz's language: a box for each operator with its name and parameters, an ellipse for each variable, a dashed
/// arrow to an input that is changed. `dot -Tsvg` draws it.
#[must_use]
pub fn dot(graph: &Graph) -> String {
    let mut out = String::from("digraph network {\n  rankdir=BT;\n");
    for (i, node) in graph.nodes.iter().enumerate() {
        let (shape, label) = match &node.op {
            None => ("ellipse", quote(&node.name)),
            Some(op) => {
                let params: Vec<_> = node.attrs.iter().filter(|(k, _)| op.schema().has(k)).collect();
                let params: String = params.iter().map(|(k, v)| format!("\n{k}={v}")).collect();
                ("box", quote(&format!("{}\n{}{params}", node.name, op.name())))
            }
        };
        // Writing to a text cannot fail.
        let _ = writeln!(out, "  n{i} [shape={shape}, label=\"{label}\"];");
        let mutates = node.mutates();
        for (k, e) in node.inputs.iter().enumerate() {
            let style = if mutates.contains(&k) { " [style=dashed, dir=both]" } else { "" };
            let _ = writeln!(out, "  n{} -> n{i}{style};", e.node);
        }
    }
    for (i, e) in graph.outputs.iter().enumerate() {
        let name = quote(&graph.nodes[e.node].output_name(e.output));
        let _ = writeln!(out, "  out{i} [shape=plaintext, label=\"{name}\"];\n  n{} -> out{i};", e.node);
    }
    out + "}\n"
}

fn quote(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
