//! How much order a plan adds: the pairs of nodes of which one waits for the other because it writes memory that the other
//! uses.

use super::{EntryMap, Occupant, Plan, PlanInput};
use serde::Serialize;
use std::collections::BTreeSet;
use varflow_ops::Entry;

/// The most steps of which edges are counted: for each two there is a bit.
const MOST_STEPS: usize = 20_000;
/// The most uses of memory that are looked at.
const MOST_USES: usize = 20_000_000;

/// The happens-before edges that sharing memory adds within a step of training or inference: pairs of nodes of which the
/// second writes memory that the first was the last to use. Those before that follow from these and are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Edges {
    /// All of them.
    pub added: usize,
    /// Those of which the second node does not need what the first computes, directly or through others: they alone keep
    /// nodes from running at the same time.
    pub beyond_data: usize,
}

/// Counts the edges of a plan; `None` if there are too many nodes or edges to be counted.
#[must_use]
pub fn edges(input: &PlanInput<'_>, plan: &Plan) -> Option<Edges> {
    let order: Vec<usize> = input.phases.iter().flatten().copied().collect();
    if order.len() > MOST_STEPS {
        return None;
    }
    let mut position = vec![None; input.graph.nodes.len()];
    order.iter().enumerate().for_each(|(step, node)| position[*node] = Some(step));
    let mut users: EntryMap<Vec<usize>> = EntryMap::from_fn(input.graph, |e| position[e.node].into_iter().collect());
    for (step, node) in order.iter().enumerate() {
        for entry in &input.graph.nodes[*node].inputs {
            let root: Entry = input.views[*entry].map_or(*entry, |view| view.of);
            users[root].push(step);
        }
    }
    let needs = Needs::new(input, &order, &position);
    let (mut edges, mut looked_at) = (Edges::default(), 0);
    for (step, node) in order.iter().enumerate() {
        let mut before = BTreeSet::new();
        for occupant in &plan.clobbers[*node] {
            let used: &[usize] = match occupant {
                Occupant::Entry(entry) => &users[*entry],
                Occupant::Workspace(node) => position[*node].as_slice(),
            };
            looked_at += used.len();
            if looked_at > MOST_USES {
                return None;
            }
            before.extend(used);
        }
        for first in before.range(..step) {
            edges.added += 1;
            edges.beyond_data += usize::from(!needs.has(step, *first));
        }
    }
    Some(edges)
}

/// For each step a bit for each step whose results it needs, directly or through others.
struct Needs {
    words: usize,
    bits: Vec<u64>,
}

impl Needs {
    fn new(input: &PlanInput<'_>, order: &[usize], position: &[Option<usize>]) -> Needs {
        let words = order.len().div_ceil(64);
        let mut needs = Needs { words, bits: vec![0; words * order.len()] };
        for (step, node) in order.iter().enumerate() {
            for entry in &input.graph.nodes[*node].inputs {
                let Some(from) = position[entry.node].filter(|from| *from < step) else { continue };
                let (known, row) = needs.bits.split_at_mut(step * words);
                row.iter_mut().zip(&known[from * words..][..words]).for_each(|(to, of)| *to |= of);
                row[from / 64] |= 1 << (from % 64);
            }
        }
        needs
    }

    fn has(&self, step: usize, first: usize) -> bool {
        self.bits[step * self.words + first / 64] >> (first % 64) & 1 == 1
    }
}
