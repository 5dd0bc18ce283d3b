//! The arena over time: its blocks, from when to when they are needed, and how much is alive at each step.

use super::blocks::Blocks;
use super::concurrency::Concurrency;
use super::liveness::{Liveness, wanted};
use super::{Occupant, Place, Plan, PlanInput};
use crate::Graph;
use std::cmp::Reverse;
use std::ops::{Range, RangeInclusive};
use varflow_ops::Result;

/// A piece of the arena while it holds one entry, a chain of entries of which each takes the place of the one before, or a
/// workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Where it lies in the arena.
    pub bytes: Range<usize>,
    /// The steps in which it is needed.
    pub steps: RangeInclusive<usize>,
    /// Who holds it, one after the other, and from which step on.
    pub members: Vec<(usize, Occupant)>,
}

impl Block {
    /// Who holds it in a step: the last that began by then.
    #[must_use]
    pub fn holder(&self, step: usize) -> Option<Occupant> {
        let begun = self.members.iter().take_while(|(from, _)| *from <= step).last();
        begun.or(self.members.first()).map(|(_, occupant)| *occupant)
    }
}

/// The arena over time. A step is the run of one node, in execution order.
#[derive(Clone, Debug)]
pub struct Timeline {
    /// The node of each step.
    pub order: Vec<usize>,
    /// How many steps are the forward pass.
    pub num_forward: usize,
    /// All blocks, in the order in which they are taken.
    pub blocks: Vec<Block>,
    /// How many bytes are alive at each step.
    pub alive_bytes: Vec<usize>,
}

impl Timeline {
    /// Of a plan and what it was made for.
    ///
    /// # Errors
    /// [`Error::Contract`](varflow_ops::Error::Contract) when the phases are no execution order of the graph.
    pub fn new(input: &PlanInput<'_>, plan: &Plan) -> Result<Timeline> {
        let live = Liveness::new(input)?;
        let concurrency = Concurrency::new(input, &live.order);
        let found = Blocks::new(input, &wanted(input.graph), &live, concurrency.as_ref());
        let mut position = vec![0; input.graph.nodes.len()];
        live.order.iter().enumerate().for_each(|(step, node)| position[*node] = step);
        let mut blocks: Vec<Block> = (found.spans.iter())
            .map(|span| Block { bytes: 0..span.bytes, steps: span.birth..=span.death, members: Vec::new() })
            .collect();
        for (entry, block) in found.of_entry.iter() {
            if let (Some(block), Place::Arena(start)) = (*block, plan.places[entry]) {
                blocks[block].bytes = start..start + input.descs[entry].len_bytes();
                blocks[block].members.push((position[entry.node], Occupant::Entry(entry)));
            }
        }
        for (node, block) in found.of_workspace.iter().enumerate() {
            if let (Some(block), Some(start)) = (*block, plan.workspaces[node]) {
                blocks[block].bytes = start..start + input.workspace_bytes[node];
                blocks[block].members.push((position[node], Occupant::Workspace(node)));
            }
        }
        // What lies in an output's own memory has no place here.
        blocks.retain(|block| !block.members.is_empty());
        blocks.iter_mut().for_each(|block| block.members.sort_unstable());
        let mut alive_bytes = vec![0; live.order.len()];
        let mut dead = vec![0; live.order.len() + 1];
        for block in &blocks {
            alive_bytes[*block.steps.start()] += block.bytes.len();
            dead[block.steps.end() + 1] += block.bytes.len();
        }
        for step in 1..alive_bytes.len() {
            alive_bytes[step] += alive_bytes[step - 1] - dead[step];
        }
        let num_forward = input.phases.first().map_or(0, Vec::len);
        Ok(Timeline { order: live.order, num_forward, blocks, alive_bytes })
    }

    /// The first step in which the most is alive; `None` if the arena is empty.
    #[must_use]
    pub fn peak(&self) -> Option<usize> {
        let most = self.alive_bytes.iter().copied().max().filter(|most| *most > 0)?;
        self.alive_bytes.iter().position(|bytes| *bytes == most)
    }

    /// The blocks that are needed in a step, the largest first.
    #[must_use]
    pub fn alive_at(&self, step: usize) -> Vec<&Block> {
        let mut alive: Vec<&Block> = self.blocks.iter().filter(|block| block.steps.contains(&step)).collect();
        alive.sort_by_key(|block| Reverse(block.bytes.len()));
        alive
    }
}

/// What people call an occupant: `conv1_output`, `conv1 workspace`.
#[must_use]
pub fn occupant_name(graph: &Graph, occupant: Occupant) -> String {
    match occupant {
        Occupant::Entry(entry) => graph.nodes[entry.node].output_name(entry.output),
        Occupant::Workspace(node) => format!("{} workspace", graph.nodes[node].name),
    }
}
