//! A network's layers, with sizes and work.

use crate::graph::Graph;
use crate::work::multiply_adds;
use std::collections::HashSet;
use std::fmt;
use varflow_ops::{Entry, Shape};

/// What a network consists of. Its text is a table with a line for each layer, and the totals.
///
/// Parameters are the variables that are neither data nor [labels](Graph::labels). One that several layers share is counted in the
/// first. Auxiliary states, which no optimizer trains, are counted apart.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Data and operators, in the graph's order.
    pub layers: Vec<Layer>,
    /// Elements of all parameters.
    pub params: usize,
    /// Elements of all auxiliary states.
    pub auxiliary: usize,
    /// Multiplications, each with an addition, of one forward pass: of convolutions, fully connected layers and matrix
    /// products.
    pub multiply_adds: u64,
}

/// A line of a [`Summary`].
#[derive(Clone, Debug)]
pub struct Layer {
    /// Its name.
    pub name: String,
    /// The operator's name; `null` for data.
    pub op: String,
    /// The shape of its first output; `None` if the shapes given lack it.
    pub output: Option<Shape>,
    /// Elements of its parameters.
    pub params: usize,
    /// Its share of [`Summary::multiply_adds`].
    pub multiply_adds: u64,
    /// The layers, data and labels whose outputs it takes.
    pub before: Vec<String>,
}

/// The layers of a network whose inputs `data` have names; `shapes` are those of [`infer_shapes`](crate::infer_shapes).
#[must_use]
pub fn summary(graph: &Graph, shapes: &[Vec<Shape>], data: &[impl AsRef<str>]) -> Summary {
    let data: HashSet<&str> = data.iter().map(AsRef::as_ref).collect();
    let auxiliary: HashSet<usize> = graph.auxiliaries().into_iter().collect();
    let labels: HashSet<usize> = graph.labels().into_iter().collect();
    let is_parameter = |i: usize| {
        let node = &graph.nodes[i];
        node.op.is_none() && !data.contains(node.name.as_str()) && !labels.contains(&i)
    };
    let shape = |e: Entry| shapes.get(e.node).and_then(|s| s.get(e.output));
    let count = |e: &Entry| shape(*e).map_or(0, Shape::len);
    let mut counted = HashSet::new();
    let mut all = Summary { layers: Vec::new(), params: 0, auxiliary: 0, multiply_adds: 0 };
    for (i, node) in graph.nodes.iter().enumerate() {
        if node.op.is_none() && !data.contains(node.name.as_str()) {
            continue;
        }
        let mut params = 0;
        for e in node.inputs.iter().filter(|e| is_parameter(e.node) && counted.insert(e.node)) {
            *(if auxiliary.contains(&e.node) { &mut all.auxiliary } else { &mut params }) += count(e);
        }
        let inputs: Vec<_> = node.inputs.iter().map(|e| shape(*e)).collect();
        let output = shape(Entry { node: i, output: 0 });
        let before = node.inputs.iter().filter(|e| !is_parameter(e.node));
        let layer = Layer {
            name: node.name.clone(),
            op: node.op.as_ref().map_or("null", |op| op.name()).to_string(),
            multiply_adds: multiply_adds(node, &inputs, output),
            output: output.cloned(),
            params,
            before: before.map(|e| graph.nodes[e.node].name.clone()).collect(),
        };
        all.params += params;
        all.multiply_adds = all.multiply_adds.saturating_add(layer.multiply_adds);
        all.layers.push(layer);
    }
    all
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows =
            vec![["Layer (type)", "Output shape", "Param #", "Multiply-adds", "Previous layer"].map(String::from)];
        rows.extend(self.layers.iter().map(|layer| {
            let Layer { name, op, output, params, multiply_adds, before } = layer;
            let output = output.as_ref().map_or(String::new(), ToString::to_string);
            let row =
                [format!("{name} ({op})"), output, params.to_string(), multiply_adds.to_string(), before.join(", ")];
            // A name from a file does not break the table.
            row.map(|text| text.replace(char::is_control, "\u{fffd}"))
        }));
        let mut widths: [usize; 5] =
            std::array::from_fn(|c| rows.iter().map(|r| r[c].chars().count()).max().unwrap_or(0));
        // One layer of many inputs does not make every rule long.
        widths[4] = widths[4].min(40);
        let rule = "=".repeat(widths.iter().sum::<usize>() + 4 * 2);
        writeln!(f, "{rule}")?;
        for (i, [layer, shape, params, work, before]) in rows.iter().enumerate() {
            let [l, s, p, w, _] = widths;
            let line = format!("{layer:l$}  {shape:s$}  {params:>p$}  {work:>w$}  {before}");
            writeln!(f, "{}", line.trim_end())?;
            if i == 0 {
                writeln!(f, "{rule}")?;
            }
        }
        writeln!(f, "{rule}")?;
        writeln!(f, "Total params: {}", self.params)?;
        writeln!(f, "Auxiliary states: {}", self.auxiliary)?;
        // A multiplication and an addition are two operations.
        let gflops = self.multiply_adds as f64 * 2e-9;
        writeln!(f, "Multiply-adds: {} ({gflops:.3} GFLOPs)", self.multiply_adds)
    }
}
