//! Inference on part of a batch at a time.
//!
//! Where every operator works on samples one by one, a part of the batch can go through the network from the first layer to the
//! last before the next part begins. Intermediate results then take the memory of a part, and stay in cache. The parts are
//! views of the data, and what the parts compute is joined where somebody needs it whole.

use super::Context;
use crate::placement::GROUP;
use crate::plan::EntryMap;
use crate::work::multiply_adds;
use crate::{Graph, Node};
use std::collections::HashMap;
use std::ops::Range;
use varflow_ops::{Attrs, Entry, Registry, Result, Shape, TensorDesc};

/// The fewest samples of a part that is chosen here: so many cores can share a layer sample by sample.
const FEWEST_SAMPLES: usize = 8;
/// The largest result of a part takes at least so many bytes: less does not gain anything in a second-level cache.
const LEAST_BYTES: usize = 1 << 20;
/// The most parts.
const MOST_PARTS: usize = 64;
/// The most nodes that the parts have together.
const MOST_NODES: usize = 100_000;
/// How often a part uses each weight at least: a layer whose weights are read for fewer products takes the batch as a whole.
const LEAST_REUSE: u64 = 64;

/// Replaces the part of the graph that works sample by sample by one such part for each part of the batch.
pub(super) fn split_batch(graph: &mut Graph, context: &Context<'_>) -> Result<()> {
    let Some(region) = Region::find(graph, context) else { return Ok(()) };
    let parts = region.parts();
    if parts.len() > 1 {
        *graph = Split::new(graph, &region, context.registry).run(&parts)?;
    }
    Ok(())
}

/// Nodes that work sample by sample on the data.
struct Region {
    samples: usize,
    /// Samples of a part.
    at_a_time: usize,
    /// The inputs that hold samples, by node; `None` outside of the region.
    per_sample: Vec<Option<Vec<usize>>>,
}

impl Region {
    fn find(graph: &Graph, context: &Context<'_>) -> Option<Region> {
        let data = |i: &usize| graph.nodes[*i].op.is_none() && context.data.contains(&graph.nodes[*i].name);
        let desc = |e: Entry| context.descs[e].as_ref();
        let samples_of = |e: Entry| desc(e).and_then(|d| d.shape.dims().first().copied());
        let seeds: Vec<usize> = (0..graph.nodes.len()).filter(data).collect();
        let samples = seeds.iter().find_map(|i| samples_of(Entry { node: *i, output: 0 }))?;
        let all = Region::from(graph, context, samples, &seeds, None);
        // Results of one sample, of which the largest decides.
        let largest = (0..graph.nodes.len())
            .filter(|i| all[*i].is_some())
            .filter_map(|i| desc(Entry { node: i, output: 0 }).map(TensorDesc::len_bytes))
            .max()?;
        let of_cache = LEAST_BYTES.div_ceil((largest / samples.max(1)).max(1));
        let at_a_time = context.samples_at_a_time.unwrap_or_else(|| of_cache.max(FEWEST_SAMPLES));
        let at_a_time = at_a_time.max(samples.div_ceil(MOST_PARTS)).max(1);
        let per_sample = Region::from(graph, context, samples, &seeds, Some(at_a_time));
        Some(Region { samples, at_a_time, per_sample })
    }

    /// The inputs that hold samples of each node that works sample by sample on the variables `seeds`; with parts of so many samples,
    /// only where weights are used often enough.
    fn from(
        graph: &Graph,
        context: &Context<'_>,
        samples: usize,
        seeds: &[usize],
        at_a_time: Option<usize>,
    ) -> Vec<Option<Vec<usize>>> {
        let mut found: Vec<Option<Vec<usize>>> = vec![None; graph.nodes.len()];
        // Whether a node is computed from what the region computes, outside of it.
        let mut is_after = vec![false; graph.nodes.len()];
        for (i, node) in graph.nodes.iter().enumerate() {
            let in_region = |e: &Entry| found[e.node].is_some();
            let depends = node.inputs.iter().any(|e| in_region(e) || is_after[e.node]);
            let inputs = per_sample_inputs(graph, context, samples, i).filter(|inputs| {
                let is_data = |p: &usize| in_region(&node.inputs[*p]) || seeds.contains(&node.inputs[*p].node);
                let others = (0..node.inputs.len()).filter(|p| !inputs.contains(p));
                inputs.iter().any(is_data)
                    && !node.inputs.iter().any(|e| is_after[e.node])
                    && !others.into_iter().any(|p| in_region(&node.inputs[p]))
                    && at_a_time
                        .is_none_or(|n| weights_pay(graph, context, i, inputs, n.min(samples) as u64, samples as u64))
            });
            is_after[i] = depends && inputs.is_none();
            found[i] = inputs;
        }
        found
    }

    /// The samples of each part: as many in each as in the others, or one more.
    fn parts(&self) -> Vec<Range<usize>> {
        let nodes = self.per_sample.iter().flatten().count();
        let parts = self.samples.div_ceil(self.at_a_time).min(MOST_NODES / nodes.max(1)).max(1);
        (0..parts).map(|p| p * self.samples / parts..(p + 1) * self.samples / parts).collect()
    }
}

/// The inputs of node `i` that hold samples, if it works on so many samples one by one.
fn per_sample_inputs(graph: &Graph, context: &Context<'_>, samples: usize, i: usize) -> Option<Vec<usize>> {
    let node = &graph.nodes[i];
    let op = node.op.as_ref()?;
    let descs: Vec<TensorDesc> = node.inputs.iter().map(|e| context.descs[*e].clone()).collect::<Option<_>>()?;
    let inputs = op.per_sample(&node.params, &descs).filter(|inputs| !inputs.is_empty())?;
    // A part would change a copy.
    if node.mutates().iter().any(|p| inputs.contains(p)) {
        return None;
    }
    let has_samples = |desc: &TensorDesc| desc.shape.dims().first() == Some(&samples);
    let inputs_have = inputs.iter().all(|p| descs.get(*p).is_some_and(has_samples));
    let output_has = context.descs.node(i).first()?.as_ref().is_some_and(has_samples);
    // Of outputs of the graph the join takes the place, under the name that a single output has.
    let outputs: Vec<usize> = graph.outputs.iter().filter(|e| e.node == i).map(|e| e.output).collect();
    let named_alike = outputs.iter().all(|o| *o == 0 && node.output_name(0) == format!("{}_output", node.name));
    (inputs_have && output_has && named_alike).then_some(inputs)
}

/// Whether a node uses each of its weights often enough when it is given `part` of the `samples`.
fn weights_pay(graph: &Graph, context: &Context<'_>, i: usize, inputs: &[usize], part: u64, samples: u64) -> bool {
    let node = &graph.nodes[i];
    let shape = |e: &Entry| context.descs[*e].as_ref().map(|d| &d.shape);
    let shapes: Vec<Option<&Shape>> = node.inputs.iter().map(shape).collect();
    let products = multiply_adds(node, &shapes, shape(&Entry { node: i, output: 0 }));
    let weights: u64 =
        (0..shapes.len()).filter(|p| !inputs.contains(p)).filter_map(|p| shapes[p]).map(|s| s.len() as u64).sum();
    let uses = products / weights.max(1);
    products == 0 || uses.saturating_mul(part) / samples.max(1) >= LEAST_REUSE
}

/// The new graph in the making.
struct Split<'a> {
    old: &'a Graph,
    region: &'a Region,
    registry: &'a Registry,
    new: Graph,
    /// Where each entry that is not of the region is in the new graph.
    moved: EntryMap<Option<Entry>>,
    /// The parts so far of what is cut or computed in parts.
    parts: HashMap<Entry, Vec<Entry>>,
}

impl<'a> Split<'a> {
    fn new(old: &'a Graph, region: &'a Region, registry: &'a Registry) -> Split<'a> {
        let new = Graph { constants: old.constants.clone(), ..Graph::default() };
        let moved = EntryMap::from_fn(old, |_| None);
        Split { old, region, registry, new, moved, parts: HashMap::new() }
    }

    /// Variables and what the region needs come first, then one part after the other, then joins and all that is left.
    fn run(mut self, parts: &[Range<usize>]) -> Result<Graph> {
        let old = self.old;
        let in_region = |i: &usize| self.region.per_sample[*i].is_some();
        let mut is_after = vec![false; old.nodes.len()];
        for (i, node) in old.nodes.iter().enumerate() {
            is_after[i] = !in_region(&i) && node.inputs.iter().any(|e| in_region(&e.node) || is_after[e.node]);
        }
        let region: Vec<usize> = (0..old.nodes.len()).filter(in_region).collect();
        let before: Vec<usize> = (0..old.nodes.len()).filter(|i| !in_region(i) && !is_after[*i]).collect();
        let (variables, before): (Vec<usize>, Vec<usize>) = before.iter().partition(|i| old.nodes[**i].op.is_none());
        variables.into_iter().chain(before).for_each(|i| self.copy(i));
        for (number, samples) in parts.iter().enumerate() {
            for &i in &region {
                self.copy_part(i, number, samples)?;
            }
        }
        let needed: Vec<Entry> = (is_after.iter().enumerate().filter(|(_, after)| **after))
            .flat_map(|(i, _)| old.nodes[i].inputs.iter().copied())
            .chain(old.outputs.iter().copied())
            .collect();
        for entry in needed {
            if self.moved[entry].is_none() && self.region.per_sample[entry.node].is_some() {
                self.join(entry)?;
            }
        }
        (0..old.nodes.len()).filter(|i| is_after[*i]).for_each(|i| self.copy(i));
        self.new.outputs = old.outputs.iter().filter_map(|e| self.moved[*e]).collect();
        Ok(self.new)
    }

    fn push(&mut self, node: Node) -> usize {
        self.new.nodes.push(node);
        self.new.nodes.len() - 1
    }

    fn copy(&mut self, i: usize) {
        let mut node = self.old.nodes[i].clone();
        node.inputs = node.inputs.iter().filter_map(|e| self.moved[*e]).collect();
        let outputs = node.num_outputs();
        let to = self.push(node);
        (0..outputs).for_each(|output| self.moved[Entry { node: i, output }] = Some(Entry { node: to, output }));
    }

    /// Adds the node of the region for one part of the batch.
    fn copy_part(&mut self, i: usize, number: usize, samples: &Range<usize>) -> Result<()> {
        let mut node = self.old.nodes[i].clone();
        let per_sample = self.region.per_sample[i].clone().unwrap_or_default();
        let mut inputs = Vec::with_capacity(node.inputs.len());
        for (p, entry) in node.inputs.iter().enumerate() {
            inputs.extend(if per_sample.contains(&p) {
                Some(self.part(*entry, number, samples)?)
            } else {
                self.moved[*entry]
            });
        }
        node.inputs = inputs;
        node.name = format!("{}_part{number}", node.name);
        let outputs = node.num_outputs();
        let to = self.push(node);
        for output in 0..outputs {
            self.parts.entry(Entry { node: i, output }).or_default().push(Entry { node: to, output });
        }
        Ok(())
    }

    /// Part `number` of an entry: computed in parts, or cut from what is there whole.
    fn part(&mut self, entry: Entry, number: usize, samples: &Range<usize>) -> Result<Entry> {
        if let Some(part) = self.parts.get(&entry).and_then(|parts| parts.get(number)) {
            return Ok(*part);
        }
        let from = &self.old.nodes[entry.node];
        let name = format!("{}_part{number}", from.output_name(entry.output));
        let given = [("axis", 0), ("begin", samples.start), ("end", samples.end)].map(|(k, v)| (k, v.to_string()));
        let inputs = self.moved[entry].into_iter().collect();
        let to = self.add("slice_axis", name, &given, inputs, &from.attrs)?;
        self.parts.entry(entry).or_default().push(to);
        Ok(to)
    }

    /// Puts the parts of an entry together.
    fn join(&mut self, entry: Entry) -> Result<()> {
        let parts = self.parts.get(&entry).cloned().unwrap_or_default();
        let from = &self.old.nodes[entry.node];
        let name =
            if entry.output == 0 { from.name.clone() } else { format!("{}_whole", from.output_name(entry.output)) };
        let given = [("num_args", parts.len()), ("dim", 0)].map(|(k, v)| (k, v.to_string()));
        self.moved[entry] = Some(self.add("Concat", name, &given, parts, &from.attrs)?);
        Ok(())
    }

    /// Adds a node with the hidden attributes of another.
    fn add(
        &mut self,
        op: &str,
        name: String,
        given: &[(&str, String)],
        inputs: Vec<Entry>,
        like: &Attrs,
    ) -> Result<Entry> {
        let op = self.registry.operator(op)?.clone();
        let mut attrs: Attrs = given.iter().map(|(k, v)| ((*k).to_string(), v.clone())).collect();
        let params = op.schema().parse(&attrs)?;
        attrs.extend(like.iter().filter(|(k, _)| *k == GROUP).map(|(k, v)| (k.clone(), v.clone())));
        Ok(Entry { node: self.push(Node { op: Some(op), name, params, attrs: attrs.into(), inputs }), output: 0 })
    }
}
