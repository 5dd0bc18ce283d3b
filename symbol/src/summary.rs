//! A table of a network's layers.

use crate::graph::Graph;
use std::collections::HashSet;
use std::fmt::Write;
use varflow_ops::{Entry, Shape};

/// A text table with a line for each operator: name and operator, shape of the first output, number of parameters, and the layers
/// before it. `shapes` are those of [`infer_shapes`](crate::infer_shapes).
///
/// Parameters are the variables that are neither in `data` nor called `…label`, and auxiliary states; one that several
/// layers share is counted in the first.
#[must_use]
pub fn summary(graph: &Graph, shapes: &[Vec<Shape>], data: &[impl AsRef<str>]) -> String {
    let data: HashSet<&str> = data.iter().map(AsRef::as_ref).collect();
    let is_parameter = |node: usize| {
        let node = &graph.nodes[node];
        node.op.is_none() && !data.contains(node.name.as_str()) && !node.name.ends_with("label")
    };
    let shape = |e: Entry| shapes.get(e.node).and_then(|s| s.get(e.output));
    let mut counted = HashSet::new();
    let mut total = 0;
    let mut rows = vec![["Layer (type)", "Output shape", "Param #", "Previous layer"].map(String::from)];
    for (i, node) in graph.nodes.iter().enumerate() {
        let is_data = node.op.is_none() && data.contains(node.name.as_str());
        if node.op.is_none() && !is_data {
            continue;
        }
        let params = node.inputs.iter().filter(|e| is_parameter(e.node) && counted.insert(e.node));
        let params: usize = params.filter_map(|e| shape(*e)).map(Shape::len).sum();
        total += params;
        let before = node.inputs.iter().filter(|e| graph.nodes[e.node].op.is_some() || !is_parameter(e.node));
        let before: Vec<_> = before.map(|e| graph.nodes[e.node].name.as_str()).collect();
        let op = node.op.as_ref().map_or("null", |op| op.name());
        let output = shape(Entry { node: i, output: 0 }).map_or(String::new(), ToString::to_string);
        rows.push([format!("{} ({op})", node.name), output, params.to_string(), before.join(", ")]);
    }
    table(&rows, &format!("Total params: {total}"))
}

fn table(rows: &[[String; 4]], last: &str) -> String {
    let widths: [usize; 4] = std::array::from_fn(|c| rows.iter().map(|r| r[c].chars().count()).max().unwrap_or(0));
    let rule = |of: &str| of.repeat(widths.iter().sum::<usize>() + 3 * 2);
    let mut out = rule("=") + "\n";
    for (i, [layer, shape, params, before]) in rows.iter().enumerate() {
        let [l, s, p, _] = widths;
        // Writing to a text cannot fail.
        let _ = writeln!(out, "{}", format!("{layer:l$}  {shape:s$}  {params:>p$}  {before}").trim_end());
        if i == 0 {
            out += &(rule("=") + "\n");
        }
    }
    out + &rule("=") + "\n" + last + "\n"
}
