//! How much order a plan adds: the pairs of nodes of which one waits for the other because it writes memory that the other
//! uses.

use super::data_order::DataOrder;
use super::{EntryMap, Occupant, Plan, PlanInput};
use std::collections::BTreeMap;
use varflow_ops::Entry;

/// The most steps of which edges are looked for.
const MOST_STEPS: usize = 20_000;
/// The most uses of memory that are looked at.
const MOST_USES: usize = 20_000_000;

/// A happens-before edge that sharing memory adds within a phase: `then` writes memory that `first` was among the last to use.
/// Phases follow each other as wholes anyway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The node that must be done.
    pub first: usize,
    /// The node that waits for it.
    pub then: usize,
    /// Who held the memory when `first` used it.
    pub over: Occupant,
    /// Whether `then` does not need what `first` computes, directly or through others: then this edge alone keeps the two from
    /// running at the same time.
    pub is_beyond_data: bool,
}

/// The edges of a plan, ordered by `then` and `first`, one for each two nodes; those before the last users of memory follow from
/// these and are left out. `None` if there are too many nodes or edges.
#[must_use]
pub fn edges(input: &PlanInput<'_>, plan: &Plan) -> Option<Vec<Edge>> {
    let order: Vec<usize> = input.phases.iter().flatten().copied().collect();
    if order.len() > MOST_STEPS {
        return None;
    }
    let users = users(input, &order);
    let needs = DataOrder::new(input, &order, usize::MAX);
    let (mut edges, mut looked_at, mut step) = (Vec::new(), 0, 0);
    for phase in input.phases {
        let start = step;
        for &node in phase {
            let mut before = BTreeMap::new();
            for over in &plan.clobbers[node] {
                let used = users.of(*over);
                looked_at += used.len();
                if looked_at > MOST_USES {
                    return None;
                }
                for first in used {
                    before.entry(*first).or_insert(*over);
                }
            }
            edges.extend(before.range(start..step).map(|(&first, &over)| Edge {
                first: order[first],
                then: node,
                over,
                is_beyond_data: !needs.has(step, first),
            }));
            step += 1;
        }
    }
    Some(edges)
}

/// The steps that touch something: its maker, and all who read it or a view of it.
pub(super) struct UseSteps {
    entries: EntryMap<Vec<usize>>,
    workspaces: Vec<Option<usize>>,
}

pub(super) fn users(input: &PlanInput<'_>, order: &[usize]) -> UseSteps {
    let mut workspaces = vec![None; input.graph.nodes.len()];
    order.iter().enumerate().for_each(|(step, node)| workspaces[*node] = Some(step));
    let mut entries: EntryMap<Vec<usize>> =
        EntryMap::from_fn(input.graph, |e| workspaces[e.node].into_iter().collect());
    for (step, node) in order.iter().enumerate() {
        for entry in &input.graph.nodes[*node].inputs {
            let root: Entry = input.views[*entry].map_or(*entry, |view| view.of);
            let steps = &mut entries[root];
            if steps.last() != Some(&step) {
                steps.push(step);
            }
        }
    }
    UseSteps { entries, workspaces }
}

impl UseSteps {
    /// In ascending order.
    pub(super) fn of(&self, occupant: Occupant) -> &[usize] {
        match occupant {
            Occupant::Entry(entry) => &self.entries[entry],
            Occupant::Workspace(node) => self.workspaces[node].as_slice(),
        }
    }
}
