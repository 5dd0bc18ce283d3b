//! Whose memory each node destroys: the happens-before edges that sharing memory needs.

use super::{Occupant, Touch};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// For each node the occupants that hold bytes of what it writes when it starts, and so must be done with: the node's
/// task names their vars as overwritten. `touches` gives what each node in execution order writes in the arena.
///
/// Only the last occupant of each byte is listed. Those before it are ordered through it: it destroyed them in turn.
/// Since a phase may be run again before the next one is, and steps follow each other, every sequence of phases
/// `0, 0..=1, 0..=2, …` in any order is covered: what the first phase may find in the arena is what any of the others
/// left behind.
pub(super) fn clobbers(
    num_nodes: usize,
    phases: &[Vec<usize>],
    touches: &BTreeMap<usize, Vec<Touch>>,
) -> Vec<Vec<Occupant>> {
    let mut found = vec![BTreeSet::new(); num_nodes];
    let mut arena = Occupied::default();
    // The first round fills the arena; after it, each way to go from one phase to the next has been seen full.
    for _ in 0..2 {
        for last in 0..phases.len() {
            for &node in phases[..=last].iter().flatten() {
                for touch in touches.get(&node).into_iter().flatten() {
                    arena.take(&touch.bytes, touch.by, |before| {
                        found[node].insert(before);
                    });
                }
            }
        }
    }
    for (node, touches) in touches {
        touches.iter().for_each(|t| {
            found[*node].remove(&t.by); // its own var it names anyway
        });
    }
    found.into_iter().map(|set| set.into_iter().collect()).collect()
}

/// Who was the last to take each byte.
#[derive(Default)]
struct Occupied(BTreeMap<usize, (usize, Occupant)>);

impl Occupied {
    /// Enters `by`, and hands those who were there to `lost`.
    fn take(&mut self, bytes: &Range<usize>, by: Occupant, mut lost: impl FnMut(Occupant)) {
        if bytes.is_empty() {
            return;
        }
        let first = self.0.range(..=bytes.start).next_back().map_or(bytes.start, |(start, _)| *start);
        let hit: Vec<(usize, (usize, Occupant))> = self
            .0
            .range(first..bytes.end)
            .filter(|(_, (end, _))| *end > bytes.start)
            .map(|(start, occupied)| (*start, *occupied))
            .collect();
        for (start, (end, occupant)) in hit {
            self.0.remove(&start);
            lost(occupant);
            if start < bytes.start {
                self.0.insert(start, (bytes.start, occupant));
            }
            if end > bytes.end {
                self.0.insert(bytes.end, (end, occupant));
            }
        }
        self.0.insert(bytes.start, (bytes.end, by));
    }
}
