//! What keeps nodes from running at the same time: sharing memory between two that do not need each other's results.

use super::blocks::Blocks;
use super::data_order::DataOrder;
use super::edges::{UseSteps, users};
use super::{Occupant, PlanInput};

/// The most pairs of blocks, and users of these, that are looked at.
const MOST_PAIRS: usize = 4_000_000;
/// With how many later users of a block each is compared.
const MOST_LATER: usize = 64;

/// Which nodes may be made to wait for which.
pub(super) struct Concurrency {
    needs: DataOrder,
    users: UseSteps,
    /// Where the phase of each step starts.
    phase_start: Vec<usize>,
}

impl Concurrency {
    /// `None` if any node may be made to wait for any other.
    pub(super) fn new(input: &PlanInput<'_>, order: &[usize]) -> Option<Concurrency> {
        if input.reuse_distance == 0 {
            return None;
        }
        let mut phase_start = Vec::with_capacity(order.len());
        for phase in input.phases {
            phase_start.resize(phase_start.len() + phase.len(), phase_start.len());
        }
        let needs = DataOrder::new(input, order, input.reuse_distance);
        Some(Concurrency { needs, users: users(input, order), phase_start })
    }

    /// Whether a node may be made to wait for all others that use what it takes the place of.
    pub(super) fn may_replace(&self, step: usize, occupant: Occupant) -> bool {
        let start = self.phase_start[step];
        let others = self.users.of(occupant).iter().filter(|user| (start..step).contains(*user));
        !self.waits_needlessly(step, self.needs.window(), others.copied())
    }

    /// The pairs of blocks that may not share bytes although they are not needed at the same time.
    pub(super) fn apart(&self, blocks: &Blocks) -> Vec<(usize, usize)> {
        let last_users = self.last_users(blocks);
        let mut dying = vec![Vec::new(); self.phase_start.len()];
        for (block, span) in blocks.spans.iter().enumerate().filter(|(_, span)| span.bytes > 0) {
            dying[span.death].push(block);
        }
        let mut window = self.needs.window();
        while window > 0 {
            if let Some(pairs) = self.pairs(blocks, &last_users, &dying, window) {
                return pairs;
            }
            window /= 2;
        }
        Vec::new()
    }

    /// `None` if there are too many.
    fn pairs(
        &self,
        blocks: &Blocks,
        last_users: &[Vec<usize>],
        dying: &[Vec<usize>],
        window: usize,
    ) -> Option<Vec<(usize, usize)>> {
        let (mut pairs, mut looked_at) = (Vec::new(), 0);
        for (then, span) in blocks.spans.iter().enumerate().filter(|(_, span)| span.bytes > 0) {
            let start = self.phase_start[span.birth].max(span.birth.saturating_sub(window));
            for &first in dying[start..span.birth].iter().flatten() {
                looked_at += last_users[first].len();
                if looked_at > MOST_PAIRS {
                    return None;
                }
                let is_of_group = blocks.groups[first] == blocks.groups[then];
                if is_of_group && self.waits_needlessly(span.birth, window, last_users[first].iter().copied()) {
                    pairs.push((first, then));
                }
            }
        }
        Some(pairs)
    }

    /// For each block the steps that use it in the phase in which it dies, but for those whose results a later user is found to need:
    /// who needs the later one needs them too.
    fn last_users(&self, blocks: &Blocks) -> Vec<Vec<usize>> {
        let mut of = vec![Vec::new(); blocks.spans.len()];
        for (entry, block) in blocks.of_entry.iter() {
            if let Some(block) = *block {
                of[block].extend_from_slice(self.users.of(Occupant::Entry(entry)));
            }
        }
        for (node, block) in blocks.of_workspace.iter().enumerate() {
            if let Some(block) = *block {
                of[block].extend_from_slice(self.users.of(Occupant::Workspace(node)));
            }
        }
        for (users, span) in of.iter_mut().zip(&blocks.spans) {
            users.sort_unstable();
            users.dedup();
            let start = self.phase_start[span.death];
            let mut last: Vec<usize> = Vec::new();
            for &user in users.iter().rev().take_while(|user| **user >= start) {
                let is_needed = |later: &usize| later - user <= self.needs.window() && self.needs.has(*later, user);
                if !last.iter().take(MOST_LATER).any(is_needed) {
                    last.push(user);
                }
            }
            *users = last;
        }
        of
    }

    /// Whether `step` would wait for one of `users` that is near, and whose results it does not need.
    fn waits_needlessly(&self, step: usize, window: usize, mut users: impl Iterator<Item = usize>) -> bool {
        users.any(|user| step - user <= window && !self.needs.has(step, user))
    }
}
