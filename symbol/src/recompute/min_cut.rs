//! Minimum cuts by Dinic's maximum flow (Soviet Math. Doklady 11, 1970).

use std::collections::VecDeque;

/// More than any sum of capacities.
pub(super) const UNBOUNDED: u64 = u64::MAX / 4;
/// How many edges may be looked at: far more than layered networks of 10⁵ nodes take.
const WORK: usize = 300_000_000;

/// A network of directed edges with capacities.
pub(super) struct FlowNetwork {
    /// Head and what is left of the capacity. Each edge is followed by its reverse.
    edges: Vec<(usize, u64)>,
    /// The edges out of each vertex.
    out: Vec<Vec<usize>>,
}

impl FlowNetwork {
    pub(super) fn new(num_vertices: usize) -> FlowNetwork {
        FlowNetwork { edges: Vec::new(), out: vec![Vec::new(); num_vertices] }
    }

    /// Adds an edge; capacities of [`UNBOUNDED`] and more are never cut.
    pub(super) fn add(&mut self, from: usize, to: usize, capacity: u64) {
        for (from, to, capacity) in [(from, to, capacity.min(UNBOUNDED)), (to, from, 0)] {
            self.out[from].push(self.edges.len());
            self.edges.push((to, capacity));
        }
    }

    /// For each vertex whether it is on the sink's side of a minimum cut: of all minimum cuts the one nearest to the sink.
    /// `None` when the work would exceed a bound, or no finite cut exists.
    pub(super) fn sink_side(mut self, source: usize, sink: usize) -> Option<Vec<bool>> {
        let mut work = WORK;
        loop {
            let level = self.levels_to(sink, &mut work)?;
            if level[source] == usize::MAX {
                return Some(level.into_iter().map(|l| l != usize::MAX).collect());
            }
            if !self.block(source, sink, &level, &mut work)? {
                return None;
            }
        }
    }

    /// How many edges with capacity left it takes from each vertex to the sink; `usize::MAX` if there is no way.
    fn levels_to(&self, sink: usize, work: &mut usize) -> Option<Vec<usize>> {
        let mut level = vec![usize::MAX; self.out.len()];
        level[sink] = 0;
        let mut queue = VecDeque::from([sink]);
        while let Some(to) = queue.pop_front() {
            *work = work.checked_sub(self.out[to].len())?;
            for &edge in &self.out[to] {
                let from = self.edges[edge].0;
                if self.edges[edge ^ 1].1 > 0 && level[from] == usize::MAX {
                    level[from] = level[to] + 1;
                    queue.push_back(from);
                }
            }
        }
        Some(level)
    }

    /// Sends flow along shortest ways until each has a full edge. False if a way has no bound.
    fn block(&mut self, source: usize, sink: usize, level: &[usize], work: &mut usize) -> Option<bool> {
        let mut next = vec![0; self.out.len()];
        let mut path: Vec<usize> = Vec::new();
        loop {
            let at = path.last().map_or(source, |edge| self.edges[*edge].0);
            *work = work.checked_sub(1)?;
            if at == sink {
                *work = work.checked_sub(path.len())?;
                let flow = path.iter().map(|edge| self.edges[*edge].1).min().unwrap_or(0);
                if flow >= UNBOUNDED / 2 {
                    return Some(false);
                }
                for &edge in &path {
                    self.edges[edge].1 -= flow;
                    self.edges[edge ^ 1].1 += flow;
                }
                // Go on from the first edge that is full.
                let full = path.iter().position(|edge| self.edges[*edge].1 == 0).unwrap_or(0);
                path.truncate(full);
            } else if let Some(&edge) = self.out[at].get(next[at]) {
                let (to, left) = self.edges[edge];
                if left > 0 && level[to] < level[at] {
                    path.push(edge);
                } else {
                    next[at] += 1;
                }
            } else if let Some(edge) = path.pop() {
                let from = self.edges[edge ^ 1].0;
                next[from] += 1;
            } else {
                return Some(true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The capacity of the cut that has these vertices on the sink's side.
    fn capacity(edges: &[(usize, usize, u64)], is_sink_side: impl Fn(usize) -> bool) -> u64 {
        edges.iter().filter(|(a, b, _)| !is_sink_side(*a) && is_sink_side(*b)).map(|e| e.2).sum()
    }

    proptest! {
        #[test]
        fn cuts_are_minimal(edges in prop::collection::vec((0..8_usize, 0..8_usize, 0..20_u64), 0..30)) {
            let mut network = FlowNetwork::new(8);
            edges.iter().for_each(|(a, b, c)| network.add(*a, *b, *c));
            let side = network.sink_side(0, 7).ok_or(TestCaseError::fail("no cut"))?;
            prop_assert!(!side[0] && side[7]);
            let found = capacity(&edges, |v| side[v]);
            let all = (0..1_usize << 8).filter(|bits| bits & 1 == 0 && bits >> 7 == 1);
            let cuts: Vec<(u64, usize)> = all.map(|bits| (capacity(&edges, |v| bits >> v & 1 == 1), bits)).collect();
            let least = cuts.iter().map(|c| c.0).min().unwrap_or(0);
            prop_assert_eq!(found, least);
            // The nearest to the sink: no minimum cut has fewer vertices there.
            let size = side.iter().filter(|s| **s).count();
            let smallest = cuts.iter().filter(|c| c.0 == least).map(|c| c.1.count_ones() as usize).min();
            prop_assert_eq!(Some(size), smallest);
        }
    }

    #[test]
    fn what_has_no_bound_has_no_cut() {
        let mut network = FlowNetwork::new(3);
        network.add(0, 1, UNBOUNDED);
        network.add(1, 2, UNBOUNDED);
        assert_eq!(network.sink_side(0, 2), None);
    }
}
