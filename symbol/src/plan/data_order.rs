//! Which nodes need what others compute, directly or through others.

use super::PlanInput;

/// How much memory it may take.
const MOST_BYTES: usize = 1 << 26;

/// For each step of the execution order a bit for each of the steps before it, up to some distance: whether it needs what that
/// step computes, directly or through others.
pub(super) struct DataOrder {
    window: usize,
    words: usize,
    /// Of step `s`, bit `d` stands for step `s - 1 - d`.
    bits: Vec<u64>,
}

impl DataOrder {
    /// `order` is the execution order. Steps further apart than `distance`, or than there is memory for, are not looked at: see
    /// [`window`](Self::window).
    pub(super) fn new(input: &PlanInput<'_>, order: &[usize], distance: usize) -> DataOrder {
        let affordable = MOST_BYTES / 8 / order.len().max(1) * 64;
        let window = distance.min(order.len()).min(affordable);
        let words = window.div_ceil(64);
        let mut position = vec![None; input.graph.nodes.len()];
        let mut found = DataOrder { window, words, bits: vec![0; words * order.len()] };
        for (step, node) in order.iter().enumerate() {
            for entry in &input.graph.nodes[*node].inputs {
                if let Some(from) = position[entry.node] {
                    found.add(step, from);
                }
            }
            position[*node] = Some(step);
        }
        found
    }

    /// How far apart steps may be of which it is known.
    pub(super) fn window(&self) -> usize {
        self.window
    }

    /// Whether `step` needs what `first`, an earlier step within the window, computes.
    pub(super) fn has(&self, step: usize, first: usize) -> bool {
        let back = step - 1 - first;
        self.bits[step * self.words + back / 64] >> (back % 64) & 1 == 1
    }

    /// `step` reads what `from` computes, and so needs all that `from` needs. A path between two steps of the window leads through
    /// steps of the window.
    fn add(&mut self, step: usize, from: usize) {
        let back = step - 1 - from;
        if back >= self.window {
            return;
        }
        let (known, row) = self.bits.split_at_mut(step * self.words);
        let theirs = &known[from * self.words..][..self.words];
        // Seen from `step`, all that `from` needs is so much further back.
        let (whole, part) = ((back + 1) / 64, (back + 1) % 64);
        for to in whole..self.words {
            let mut moved = theirs[to - whole] << part;
            if part > 0 && to > whole {
                moved |= theirs[to - whole - 1] >> (64 - part);
            }
            row[to] |= moved;
        }
        row[back / 64] |= 1 << (back % 64);
    }
}
