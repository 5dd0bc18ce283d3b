//! Pieces of memory: each holds one entry, or a chain of entries of which each takes the place of the one before, or a
//! workspace.

use super::concurrency::Concurrency;
use super::liveness::Liveness;
use super::pack::Span;
use super::{EntryMap, InPlace, Occupant, PlanInput};
use std::collections::{BTreeMap, HashSet};
use varflow_ops::Entry;

/// All blocks of a plan, and who is in which.
pub(super) struct Blocks {
    /// When each block is needed, and its size.
    pub(super) spans: Vec<Span>,
    /// The group of each block.
    pub(super) groups: Vec<usize>,
    /// The block of each entry that lives in the arena.
    pub(super) of_entry: EntryMap<Option<usize>>,
    /// The block of each node's workspace.
    pub(super) of_workspace: Vec<Option<usize>>,
    /// The output of the graph that takes the place of the last entry of each block, if one does. Such a block lies in that
    /// output's memory, and takes no bytes of the arena.
    pub(super) hosts: Vec<Option<Entry>>,
    /// The outputs that take the place of an input.
    pub(super) inplace: Vec<InPlace>,
}

impl Blocks {
    pub(super) fn new(
        input: &PlanInput<'_>,
        wanted: &EntryMap<bool>,
        live: &Liveness,
        concurrency: Option<&Concurrency>,
    ) -> Blocks {
        let graph = input.graph;
        let own: HashSet<Entry> = graph.outputs.iter().copied().collect();
        let mut phase_ends = input.phases.iter().scan(0, |end, phase| {
            *end += phase.len();
            Some(*end)
        });
        let mut phase = 0..phase_ends.next().unwrap_or(0);
        let mut blocks = Blocks {
            spans: Vec::new(),
            groups: Vec::new(),
            of_entry: EntryMap::from_fn(graph, |_| None),
            of_workspace: vec![None; graph.nodes.len()],
            hosts: Vec::new(),
            inplace: Vec::new(),
        };
        for (position, &i) in live.order.iter().enumerate() {
            while position >= phase.end {
                phase = phase.end..phase_ends.next().unwrap_or(usize::MAX);
            }
            let places: Vec<Entry> = (0..wanted.node(i).len())
                .map(|output| Entry { node: i, output })
                .filter(|e| wanted[*e] && input.views[*e].is_none())
                .filter(|e| !own.contains(e) || input.hosts.contains(e))
                .collect();
            let at = Step { node: i, position, phase_start: phase.start };
            blocks.take_over_inputs(input, live, concurrency, &at, &places);
            for entry in places.into_iter().filter(|e| !own.contains(e)) {
                if blocks.of_entry[entry].is_none() {
                    let death = live.last[entry].unwrap_or(position);
                    blocks.of_entry[entry] = Some(blocks.spans.len());
                    blocks
                        .push(Span { birth: position, death, bytes: input.descs[entry].len_bytes() }, input.groups[i]);
                }
            }
            let bytes = input.workspace_bytes[i];
            let is_view = input.views.node(i).iter().any(Option::is_some);
            if bytes > 0 && !is_view {
                blocks.of_workspace[i] = Some(blocks.spans.len());
                blocks.push(Span { birth: position, death: position, bytes }, input.groups[i]);
            }
        }
        blocks
    }

    fn push(&mut self, span: Span, group: usize) {
        self.spans.push(span);
        self.groups.push(group);
        self.hosts.push(None);
    }

    /// The most bytes alive at a time, summed over groups.
    pub(super) fn lower_bound_bytes(&self) -> usize {
        by_group(&self.groups)
            .into_values()
            .map(|members| {
                let spans: Vec<Span> = members.into_iter().map(|i| self.spans[i]).collect();
                peak_bytes(&spans, |s| s.bytes)
            })
            .sum()
    }

    /// Gives outputs of node `i` the memory of inputs that nobody needs afterwards, where the operator allows it. That
    /// never makes a block live longer than its members do, so it is taken whenever it can be.
    fn take_over_inputs(
        &mut self,
        input: &PlanInput<'_>,
        live: &Liveness,
        concurrency: Option<&Concurrency>,
        at: &Step,
        outputs: &[Entry],
    ) {
        let &Step { node: i, position, phase_start } = at;
        let node = &input.graph.nodes[i];
        let Some(op) = node.op.as_ref().filter(|_| !outputs.is_empty()) else { return };
        let pairs = op.inplace(&node.params);
        if pairs.is_empty() {
            return;
        }
        let mutates = node.mutates();
        for (from, output) in pairs {
            let to = Entry { node: i, output };
            let Some(&source) = node.inputs.get(from) else { continue };
            let root = |e: Entry| input.views[e].map_or(e, |v| v.of);
            let source = match input.views[source] {
                Some(view) if input.descs[view.of].len_bytes() == input.descs[source].len_bytes() => view.of,
                Some(_) => continue,
                None => source,
            };
            let Some(block) = self.of_entry[source] else { continue };
            let free = live.last[source] == Some(position)
                && self.groups[block] == input.groups[i]
                && !mutates.contains(&from)
                && node.inputs.iter().filter(|e| root(**e) == source).count() == 1
                && self.spans[block].death == position
                && concurrency.is_none_or(|c| c.may_replace(position, Occupant::Entry(source)));
            let fits = outputs.contains(&to) && self.of_entry[to].is_none() && {
                let (a, b) = (&input.descs[source], &input.descs[to]);
                a.dtype == b.dtype && a.len_bytes() == b.len_bytes() && a.len_bytes() > 0
            };
            // A block that was handed on at this position lives longer by now, unless the output dies at once: look at
            // the hand-overs of this node too.
            let taken = self.inplace.iter().rev().take_while(|p| p.node == i).any(|p| p.input == from);
            if !(free && fits && !taken) {
                continue;
            }
            if input.hosts.contains(&to) {
                // Users may look at the output's memory between phases.
                if self.hosts[block].is_some() || self.spans[block].birth < phase_start || self.is_host(to) {
                    continue;
                }
                self.hosts[block] = Some(to);
                self.spans[block].bytes = 0;
            } else {
                self.of_entry[to] = Some(block);
                self.spans[block].death = live.last[to].unwrap_or(position);
            }
            self.inplace.push(InPlace { node: i, input: from, output });
        }
    }

    /// Whether some block lies in the memory of an output.
    fn is_host(&self, output: Entry) -> bool {
        self.inplace.iter().rev().take_while(|p| p.node == output.node).any(|p| p.output == output.output)
    }
}

/// A step of the execution order.
struct Step {
    node: usize,
    position: usize,
    /// Where its phase starts.
    phase_start: usize,
}

/// The blocks of each group.
pub(super) fn by_group(groups: &[usize]) -> BTreeMap<usize, Vec<usize>> {
    let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    groups.iter().enumerate().for_each(|(block, group)| members.entry(*group).or_default().push(block));
    members
}

/// The most bytes that are needed at one time.
pub(super) fn peak_bytes(spans: &[Span], bytes: impl Fn(&Span) -> usize) -> usize {
    needed_bytes(spans, bytes).into_iter().max().unwrap_or(0)
}

/// The bytes that are needed at each position: the sum over the blocks that are alive.
pub(super) fn needed_bytes(spans: &[Span], bytes: impl Fn(&Span) -> usize) -> Vec<usize> {
    let end = spans.iter().map(|s| s.death + 2).max().unwrap_or(0);
    let (mut born, mut dead) = (vec![0; end], vec![0; end]);
    for span in spans {
        born[span.birth] += bytes(span);
        dead[span.death + 1] += bytes(span);
    }
    let mut now = 0;
    let needed = born.iter().zip(&dead).map(|(b, d)| {
        now = now + b - d;
        now
    });
    needed.collect()
}
