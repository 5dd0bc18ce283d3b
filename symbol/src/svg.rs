//! Graphs as pictures: nodes in layers, each below all that it reads.

use crate::Graph;
use crate::plan::EntryMap;
use std::fmt::Write;
use varflow_ops::{Entry, TensorDesc};

/// Sizes in pixels.
const BOX: (f64, f64) = (168.0, 46.0);
const GAP: (f64, f64) = (18.0, 34.0);
const BEND: f64 = 10.0;
/// How often layers are ordered by where their neighbours are.
const SWEEPS: usize = 12;
/// The most bends of all lines. Lines of larger graphs are straight.
const MOST_BENDS: usize = 200_000;

/// The graph as an SVG: a box for each operator with its name and the shape of its first output, rounded for what comes from
/// outside. Variables that are not a node's first input, such as weights, are left out. Nodes from `num_forward` on are drawn in another
/// colour.
#[must_use]
pub fn svg(graph: &Graph, descs: &EntryMap<Option<TensorDesc>>, num_forward: usize) -> String {
    let mut drawing = Drawing::new(graph);
    for sweep in 0..SWEEPS {
        drawing.arrange(sweep % 2 == 0);
    }
    drawing.write(graph, descs, num_forward)
}

/// A node, or a bend of a line that passes a layer.
struct Item {
    node: Option<usize>,
    layer: usize,
    x: f64,
    /// What it is joined to in the layers above and below.
    above: Vec<usize>,
    below: Vec<usize>,
}

impl Item {
    fn width(&self) -> f64 {
        if self.node.is_some() { BOX.0 } else { BEND }
    }
}

struct Drawing {
    items: Vec<Item>,
    layers: Vec<Vec<usize>>,
}

impl Drawing {
    fn new(graph: &Graph) -> Drawing {
        let layer = layers(graph);
        let mut drawing = Drawing { items: Vec::new(), layers: Vec::new() };
        let item_of: Vec<Option<usize>> =
            layer.iter().enumerate().map(|(i, layer)| layer.map(|layer| drawing.add(Some(i), layer))).collect();
        for (i, node) in graph.nodes.iter().enumerate() {
            let Some(to) = item_of[i] else { continue };
            let mut from: Vec<usize> = node.inputs.iter().filter_map(|e| item_of[e.node]).collect();
            from.sort_unstable();
            from.dedup();
            for mut at in from {
                let last = drawing.items[to].layer;
                for layer in drawing.items[at].layer + 1..last {
                    if drawing.items.len() >= MOST_BENDS {
                        break;
                    }
                    let bend = drawing.add(None, layer);
                    drawing.join(at, bend);
                    at = bend;
                }
                drawing.join(at, to);
            }
        }
        drawing
    }

    fn add(&mut self, node: Option<usize>, layer: usize) -> usize {
        if self.layers.len() <= layer {
            self.layers.resize_with(layer + 1, Vec::new);
        }
        let x = self.layers[layer].last().map_or(0.0, |last| self.items[*last].x + BOX.0);
        self.items.push(Item { node, layer, x, above: Vec::new(), below: Vec::new() });
        self.layers[layer].push(self.items.len() - 1);
        self.items.len() - 1
    }

    fn join(&mut self, from: usize, to: usize) {
        self.items[from].below.push(to);
        self.items[to].above.push(from);
    }

    /// Moves the items of each layer to where those that they are joined to are, above or below, as far as there is room.
    fn arrange(&mut self, down: bool) {
        let count = self.layers.len();
        for k in 0..count {
            let layer = if down { k } else { count - 1 - k };
            let mut row: Vec<(f64, usize)> = self.layers[layer]
                .iter()
                .map(|&i| {
                    let item = &self.items[i];
                    let joined = if down { &item.above } else { &item.below };
                    let sum: f64 = joined.iter().map(|j| self.items[*j].x).sum();
                    (if joined.is_empty() { item.x } else { sum / joined.len() as f64 }, i)
                })
                .collect();
            row.sort_by(|a, b| a.0.total_cmp(&b.0));
            let (mut end, mut off) = (f64::NEG_INFINITY, 0.0);
            for &(wish, i) in &row {
                let half = self.items[i].width() / 2.0;
                let x = wish.max(end + half);
                self.items[i].x = x;
                end = x + half + GAP.0;
                off += x - wish;
            }
            let shift = off / row.len().max(1) as f64;
            row.iter().for_each(|(_, i)| self.items[*i].x -= shift);
            self.layers[layer] = row.into_iter().map(|(_, i)| i).collect();
        }
    }

    fn write(&self, graph: &Graph, descs: &EntryMap<Option<TensorDesc>>, num_forward: usize) -> String {
        let left = self.items.iter().map(|i| i.x - i.width() / 2.0).fold(f64::INFINITY, f64::min);
        let right = self.items.iter().map(|i| i.x + i.width() / 2.0).fold(f64::NEG_INFINITY, f64::max);
        let (left, width) = if left <= right { (left, right - left) } else { (0.0, 0.0) };
        let (width, height) = (width + 2.0 * GAP.0, self.layers.len() as f64 * (BOX.1 + GAP.1) + GAP.1);
        let x = |item: &Item| item.x - left + GAP.0;
        let top = |item: &Item| item.layer as f64 * (BOX.1 + GAP.1) + GAP.1 / 2.0;
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
             viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"sans-serif\" font-size=\"11\" text-anchor=\"middle\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<g fill=\"none\" stroke=\"#777\">\n"
        );
        // Writing to a text cannot fail.
        for item in &self.items {
            let (x0, y0) = (x(item), top(item) + BOX.1);
            if item.node.is_none() {
                let _ = writeln!(out, "<path d=\"M{x0:.1} {:.1}V{y0:.1}\"/>", y0 - BOX.1);
            }
            for below in &item.below {
                let (x1, y1) = (x(&self.items[*below]), top(&self.items[*below]));
                let middle = (y0 + y1) / 2.0;
                let _ = writeln!(
                    out,
                    "<path d=\"M{x0:.1} {y0:.1}C{x0:.1} {middle:.1} {x1:.1} {middle:.1} {x1:.1} {y1:.1}\"/>"
                );
            }
        }
        out.push_str("</g>\n");
        for item in &self.items {
            let Some(i) = item.node else { continue };
            let node = &graph.nodes[i];
            let (fill, radius) = match &node.op {
                None => ("#e8e8e8", BOX.1 / 2.0),
                Some(_) if i >= num_forward => ("#fbe3d6", 4.0),
                Some(_) => ("#dce9f7", 4.0),
            };
            let (x, y) = (x(item), top(item));
            let shape = descs[Entry { node: i, output: 0 }].as_ref().map(|d| d.shape.to_string()).unwrap_or_default();
            let lines = match &node.op {
                None => [node.name.clone(), String::new(), shape],
                Some(op) => [node.name.clone(), op.name().to_string(), shape],
            };
            let _ = writeln!(
                out,
                "<rect x=\"{:.1}\" y=\"{y:.1}\" width=\"{}\" height=\"{}\" rx=\"{radius}\" fill=\"{fill}\" stroke=\"#555\"/>",
                x - BOX.0 / 2.0,
                BOX.0,
                BOX.1
            );
            for (k, line) in lines.iter().enumerate().filter(|(_, line)| !line.is_empty()) {
                let weight = if k == 0 { " font-weight=\"bold\"" } else { "" };
                let _ = writeln!(
                    out,
                    "<text x=\"{x:.1}\" y=\"{:.1}\"{weight}>{}</text>",
                    y + 14.0 * (k + 1) as f64,
                    fit(line)
                );
            }
        }
        out + "</svg>\n"
    }
}

/// The layer of each node that is drawn: each below what it reads, and variables right above the first of their readers.
fn layers(graph: &Graph) -> Vec<Option<usize>> {
    let mut layer: Vec<Option<usize>> = vec![None; graph.nodes.len()];
    let mut is_data = vec![false; graph.nodes.len()];
    graph.nodes.iter().filter_map(|n| n.inputs.first()).for_each(|e| is_data[e.node] = true);
    graph.outputs.iter().for_each(|e| is_data[e.node] = true);
    for (i, node) in graph.nodes.iter().enumerate().filter(|(_, n)| n.op.is_some()) {
        let read = node.inputs.iter().filter(|e| graph.nodes[e.node].op.is_some() || is_data[e.node]);
        layer[i] = Some(read.map(|e| layer[e.node].unwrap_or(0) + 1).max().unwrap_or(0));
    }
    for (i, node) in graph.nodes.iter().enumerate() {
        for e in node.inputs.iter().filter(|e| graph.nodes[e.node].op.is_none() && is_data[e.node]) {
            let above = layer[i].map_or(0, |layer| layer.saturating_sub(1));
            layer[e.node] = Some(layer[e.node].map_or(above, |first| first.min(above)));
        }
    }
    layer
}

/// A line that fits into a box, as text of XML.
fn fit(line: &str) -> String {
    const MOST: usize = 27;
    let short: String = if line.chars().count() > MOST {
        line.chars().take(MOST - 1).chain(['…']).collect()
    } else {
        line.to_string()
    };
    xml_text(&short)
}

/// Text that may stand in XML. Characters that XML does not have, but names may, become blanks.
pub(crate) fn xml_text(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
