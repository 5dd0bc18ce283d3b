//! Elementwise fusion: operators that work element by element and feed each other become one `_FusedElementwise`.
//!
//! Nodes are visited in order. Each elementwise node starts a group of its own and takes in the groups of the nodes that it reads,
//! where nobody else reads their results: so groups are trees, computed where their last node was. An input of a group must wait
//! for that, so a group is taken in only where no more memory is alive for it: if at most one of its inputs has to wait longer
//! than before (for which the result need not), or nothing else happens in between.

use super::Context;
use super::rewrite::{mutated, outputs, retain};
use crate::Graph;
use crate::placement::GROUP;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use varflow_ops::defs::{Program, Step, elementwise_function};
use varflow_ops::{Attrs, DType, DeviceKind, Entry, Registry, Result};

/// The operator that runs the programs.
const FUSED: &str = "_FusedElementwise";

/// The most nodes of a group, and the most inputs: each has a share of the first cache.
const MOST_NODES: usize = 32;
const MOST_INPUTS: usize = 8;

/// Makes groups of elementwise nodes of one shape, dtype, group of devices and phase one node each, named as the last of them.
///
/// Operators and kernels of plug-ins stay as they are, and nodes that read what somebody changes.
pub(super) fn fuse_elementwise(graph: &mut Graph, context: &Context<'_>) -> Result<()> {
    // A registry need not have it: then there is nothing to fuse with.
    let Ok(operator) = context.registry.operator(FUSED).cloned() else { return Ok(()) };
    if context.registry.kernels_of(FUSED).next().is_none() {
        return Ok(());
    }
    let groups = Groups::new(graph, context).into_groups(graph);
    let mut keep = vec![true; graph.nodes.len()];
    for group in groups {
        let Some((&last, rest)) = group.nodes.split_last() else { continue };
        let (program, inputs) = program(graph, &group);
        let attrs = Attrs::from([
            ("num_args".to_string(), inputs.len().to_string()),
            ("program".to_string(), program.to_string()),
        ]);
        let params = operator.schema().parse(&attrs)?;
        operator.check(&params)?;
        let node = &mut graph.nodes[last];
        let hidden = node.attrs.iter().filter(|(name, _)| name.starts_with("__"));
        let hidden = hidden.map(|(name, value)| (name.clone(), value.clone()));
        node.attrs = Arc::new(hidden.chain(attrs).collect());
        node.op = Some(operator.clone());
        node.params = params;
        node.inputs = inputs;
        rest.iter().for_each(|i| keep[*i] = false);
    }
    retain(graph, &keep);
    Ok(())
}

/// Nodes to be made one.
struct Group {
    /// In the graph's order.
    nodes: Vec<usize>,
    /// What they read of other nodes.
    inputs: Vec<Entry>,
}

struct Groups {
    /// The group that a node is the last of.
    ending_at: Vec<Option<Group>>,
    /// How often each entry is read, those that are outputs of the graph once more.
    reads: HashMap<Entry, usize>,
    /// The last node that reads each entry, once groups are computed where their last node is.
    last: HashMap<Entry, usize>,
    mutated: HashSet<Entry>,
    /// Whether the operators seen so far are ours.
    ours: HashMap<String, bool>,
}

impl Groups {
    fn new(graph: &Graph, context: &Context<'_>) -> Groups {
        let mut groups = Groups {
            ending_at: graph.nodes.iter().map(|_| None).collect(),
            reads: HashMap::new(),
            last: HashMap::new(),
            mutated: mutated(graph),
            ours: HashMap::new(),
        };
        for (i, node) in graph.nodes.iter().enumerate() {
            let distinct: HashSet<Entry> = node.inputs.iter().copied().collect();
            for entry in distinct {
                *groups.reads.entry(entry).or_default() += 1;
                groups.last.insert(entry, i);
            }
        }
        for entry in outputs(graph) {
            *groups.reads.entry(entry).or_default() += 1;
            groups.last.insert(entry, usize::MAX);
        }
        for i in 0..graph.nodes.len() {
            if groups.is_elementwise(graph, context, i) {
                groups.grow(graph, context, i);
            }
        }
        groups
    }

    /// The groups of more than one node, and single nodes that are sums of many: those go over memory several times too.
    fn into_groups(self, graph: &Graph) -> Vec<Group> {
        let is_long = |group: &Group| {
            group.nodes.len() > 1 || group.nodes.first().is_some_and(|i| graph.nodes[*i].inputs.len() > 2)
        };
        self.ending_at.into_iter().flatten().filter(is_long).collect()
    }

    /// Whether the node can be a step of a program, or several.
    fn is_elementwise(&mut self, graph: &Graph, context: &Context<'_>, i: usize) -> bool {
        let node = &graph.nodes[i];
        let Some(op) = &node.op else { return false };
        let [Some(desc)] = context.descs.node(i) else { return false };
        let distinct: HashSet<Entry> = node.inputs.iter().copied().collect();
        let is_step = match op.name() {
            "add_n" => node.inputs.len() > 1,
            name => elementwise_function(name, &node.params).is_some(),
        };
        is_step
            && matches!(desc.dtype, DType::F32 | DType::F64)
            && !node.inputs.is_empty()
            && distinct.len() <= MOST_INPUTS
            && node.inputs.len() <= MOST_NODES
            && node.inputs.iter().all(|e| context.descs[*e].as_ref() == Some(desc) && !self.mutated.contains(e))
            && self.is_ours(context.registry, op.name())
    }

    /// Whether operator and kernel are of those who brought the fused one, not replaced by a plug-in's.
    fn is_ours(&mut self, registry: &Registry, op: &str) -> bool {
        if let Some(is_ours) = self.ours.get(op) {
            return *is_ours;
        }
        let kernel =
            |op| registry.kernels_of(op).find(|(kind, _)| *kind == DeviceKind::Cpu).map(|(_, by)| by.to_string());
        let is_ours = registry.provider_of(op) == registry.provider_of(FUSED) && kernel(op) == kernel(FUSED);
        self.ours.insert(op.to_string(), is_ours);
        is_ours
    }

    /// Makes the group that ends at node `i`.
    fn grow(&mut self, graph: &Graph, context: &Context<'_>, i: usize) {
        let node = &graph.nodes[i];
        let mut inputs: Vec<Entry> = Vec::new();
        for entry in &node.inputs {
            if !inputs.contains(entry) {
                inputs.push(*entry);
            }
        }
        let mut group = Group { nodes: vec![i], inputs };
        // The latest first: what is before it then comes next to the group.
        let mut candidates = group.inputs.clone();
        candidates.sort_by_key(|e| e.node);
        while let Some(entry) = candidates.pop() {
            let from = entry.node;
            let Some(other) = &self.ending_at[from] else { continue };
            let same_group = graph.nodes[from].attrs.get(GROUP) == node.attrs.get(GROUP);
            let same_phase = (from < context.num_forward) == (i < context.num_forward);
            let read_here_only = self.reads.get(&entry) == Some(&1);
            let mut union: Vec<Entry> = group.inputs.iter().copied().filter(|e| *e != entry).collect();
            union.extend(other.inputs.iter().filter(|e| !group.inputs.contains(e)));
            let fits = union.len() <= MOST_INPUTS && steps(graph, &group) + steps(graph, other) <= MOST_NODES;
            if !(same_group && same_phase && read_here_only && fits) {
                continue;
            }
            // Variables are there all the time.
            let waits = |e: &&Entry| graph.nodes[e.node].op.is_some() && self.last.get(e).is_some_and(|last| *last < i);
            let wait = other.inputs.iter().filter(waits).count();
            if wait > 1 && !is_next(graph, &group, from) {
                continue;
            }
            if let Some(other) = self.ending_at[from].take() {
                for entry in &other.inputs {
                    let last = self.last.entry(*entry).or_default();
                    *last = (*last).max(i);
                    // Both read it: as one they do so once.
                    if group.inputs.contains(entry)
                        && let Some(reads) = self.reads.get_mut(entry)
                    {
                        *reads -= 1;
                        candidates.push(*entry);
                    }
                }
                group.nodes.extend(other.nodes);
                group.inputs = union;
            }
        }
        group.nodes.sort_unstable();
        self.ending_at[i] = Some(group);
    }
}

/// How many steps the group's program has.
fn steps(graph: &Graph, group: &Group) -> usize {
    group.nodes.iter().map(|i| graph.nodes[*i].inputs.len().saturating_sub(1).max(1)).sum()
}

/// Whether all that comes after node `from` and before the last node of the group is of the group, or runs nothing.
fn is_next(graph: &Graph, group: &Group, from: usize) -> bool {
    let last = group.nodes.iter().copied().max().unwrap_or(from);
    last - from <= 2 * MOST_NODES && (from + 1..last).all(|i| group.nodes.contains(&i) || graph.nodes[i].op.is_none())
}

/// The program of a group, and what it reads, in order.
fn program(graph: &Graph, group: &Group) -> (Program, Vec<Entry>) {
    let inputs = group.inputs.clone();
    let mut registers: HashMap<Entry, usize> = inputs.iter().enumerate().map(|(r, e)| (*e, r)).collect();
    let mut steps: Vec<Step> = Vec::new();
    for &i in &group.nodes {
        let node = &graph.nodes[i];
        let args: Vec<usize> = node.inputs.iter().filter_map(|e| registers.get(e).copied()).collect();
        let name = node.op.as_ref().map_or("", |op| op.name());
        let mut push = |function: &str, numbers: Vec<f64>, args: Vec<usize>| {
            steps.push(Step { function: function.to_string(), numbers, args });
            inputs.len() + steps.len() - 1
        };
        let result = if let Some((function, numbers)) = elementwise_function(name, &node.params) {
            push(&function, numbers, args)
        } else {
            // A sum of any number of tensors, added in their order.
            let mut args = args.into_iter();
            let first = args.next().unwrap_or_default();
            args.fold(first, |sum, next| push("elemwise_add", Vec::new(), vec![sum, next]))
        };
        registers.insert(Entry { node: i, output: 0 }, result);
    }
    (Program { num_inputs: inputs.len(), steps }, inputs)
}
