//! Recomputes until the peak is low enough, greedily, as XLA's rematerialisation does: where the peak is, some value only
//! waits; it is computed again right before it is read next, together with what it is made from and is not there any more.

use super::facts::{Facts, Value};
use super::lifetimes::Lifetimes;
use super::script::Script;

/// The most steps put in at once.
const MAX_STEPS: usize = 64;
/// So that what costs nothing is not divided by nothing.
const LEAST_SECONDS: f64 = 1e-9;

/// Lowers the peak of the script to `aim` bytes, or as far as it goes. Returns the peak. Each try takes from `work` the steps
/// that it walks over; with none left the search ends.
pub(super) fn shrink(script: &mut Script, facts: &Facts, aim: usize, work: &mut usize) -> usize {
    let mut life = Lifetimes::new(script, facts);
    while life.peak().bytes > aim {
        let Some(better) = improve(script, &life, facts, work) else { return life.peak().bytes };
        (*script, life) = better;
    }
    life.peak().bytes
}

/// Takes out, dearest first, what can be computed once without more than `bytes` being alive at a time: a reader then reads
/// what was computed before. A script that takes more than that stays as it is.
pub(super) fn prune(script: &mut Script, facts: &Facts, bytes: usize, work: &mut usize) {
    if Lifetimes::new(script, facts).peak().bytes > bytes {
        return;
    }
    let is_again = |node: &usize| facts.nodes[*node].is_again;
    let mut again: Vec<usize> = (0..script.steps().len()).filter(|at| is_again(&script.steps()[*at])).collect();
    again.sort_by(|a, b| {
        let seconds = |at: &usize| facts.nodes[script.steps()[*at]].seconds;
        seconds(b).total_cmp(&seconds(a)).then(a.cmp(b))
    });
    for i in 0..again.len() {
        let Some(left) = work.checked_sub(script.steps().len()) else { return };
        *work = left;
        let mut without = script.clone();
        without.remove(again[i]);
        if Lifetimes::new(&without, facts).peak().bytes <= bytes {
            *script = without;
            let removed = again[i];
            again[i + 1..].iter_mut().filter(|at| **at > removed).for_each(|at| *at -= 1);
        }
    }
}

/// The script with one more recomputation and a lower peak, if there is one: the one that gives the most bytes for its time
/// is tried first.
fn improve(script: &Script, life: &Lifetimes, facts: &Facts, work: &mut usize) -> Option<(Script, Lifetimes)> {
    let peak = life.peak();
    let mut moves: Vec<Move> = Vec::new();
    for (instance, reader) in waiting(script, life, facts, peak.position) {
        let value = life.instances[instance].value;
        let is_again = facts.nodes[script.steps()[life.instances[instance].birth]].is_again;
        let mut found = [(true, true), (false, true), (false, false)].map(|(extends, hoists)| {
            let mut found =
                Move { is_again, position: reader, nodes: Vec::new(), removed: Vec::new(), bytes: 0, seconds: 0.0 };
            let mut search = Search { life, facts, peak: peak.position, extends, hoists, to: &mut found };
            search.compute(value).then_some(found).filter(|m| m.bytes < facts.bytes[value])
        });
        for i in 0..found.len() {
            let Some(mut candidate) = found[i].take() else { continue };
            let is_new = found[i + 1..].iter().flatten().all(|m| !m.is_same(&candidate));
            if is_new {
                candidate.bytes = facts.bytes[value] - candidate.bytes;
                moves.push(candidate);
            }
        }
    }
    // What has been recomputed once is recomputed again only where nothing else helps: a long chain would otherwise be gone over
    // more and more often.
    moves.sort_by(|a, b| a.is_again.cmp(&b.is_again).then(b.score().total_cmp(&a.score())));
    for found in moves {
        *work = work.checked_sub(script.steps().len())?;
        let better = found.applied(script);
        let life = Lifetimes::new(&better, facts);
        if life.peak().is_below(&peak) {
            return Some((better, life));
        }
    }
    None
}

/// The instances that are alive at a step and not touched there, which can be computed again, and where they are read next.
fn waiting(script: &Script, life: &Lifetimes, facts: &Facts, position: usize) -> Vec<(usize, usize)> {
    let mut waits: Vec<bool> = (life.instances.iter())
        .map(|i| i.birth < position && position < i.last && facts.bytes[i.value] > 0 && facts.recipe[i.value].is_some())
        .collect();
    life.reads(position).for_each(|i| waits[i] = false);
    let mut found = Vec::new();
    for reader in position + 1..script.steps().len() {
        for instance in life.reads(reader) {
            if std::mem::take(&mut waits[instance]) {
                found.push((instance, reader));
            }
        }
    }
    found
}

/// Nodes to be run before a step, and steps to be left out in return.
struct Move {
    /// Whether what is computed later was computed twice already.
    is_again: bool,
    position: usize,
    nodes: Vec<usize>,
    /// Positions, all behind `position`.
    removed: Vec<usize>,
    /// At the peak; while the move is being made, what it takes there, then what it gives.
    bytes: usize,
    seconds: f64,
}

impl Move {
    fn is_same(&self, other: &Move) -> bool {
        (self.position, &self.nodes, &self.removed) == (other.position, &other.nodes, &other.removed)
    }

    fn score(&self) -> f64 {
        self.bytes as f64 / self.seconds.max(LEAST_SECONDS)
    }

    fn applied(&self, script: &Script) -> Script {
        let mut script = script.clone();
        let mut removed = self.removed.clone();
        removed.sort_unstable();
        removed.iter().rev().for_each(|at| script.remove(*at));
        script.insert(self.position, &self.nodes);
        script
    }
}

/// Collects what must be run to have a value before a step.
struct Search<'a> {
    life: &'a Lifetimes,
    facts: &'a Facts,
    peak: usize,
    /// Whether what is alive at the peak but not at the step is kept until then.
    extends: bool,
    /// Whether what is computed again later anyway is computed earlier, not once more.
    hoists: bool,
    to: &'a mut Move,
}

impl Search<'_> {
    /// Computes a value that is not there. False if that takes too much.
    fn compute(&mut self, value: Value) -> bool {
        let Some(recipe) = self.facts.recipe[value].as_deref() else { return false };
        if recipe.iter().all(|node| self.to.nodes.contains(node)) {
            return true;
        }
        if !self.facts.inputs_of(recipe).into_iter().all(|input| self.have(input)) {
            return false;
        }
        self.to.nodes.extend(recipe);
        self.to.seconds += recipe.iter().map(|node| self.facts.nodes[*node].seconds).sum::<f64>();
        self.to.nodes.len() <= MAX_STEPS
    }

    fn have(&mut self, value: Value) -> bool {
        let (there, next) = self.life.around(value, self.to.position);
        let Some(last) = there.map(|i| self.life.instances[i].last) else { return false };
        if last >= self.to.position || self.extends && last >= self.peak {
            return true;
        }
        if self.facts.recipe[value].is_none() {
            self.to.bytes += if last < self.peak { self.facts.bytes[value] } else { 0 };
            return true;
        }
        if !self.compute(value) {
            return false;
        }
        let again = next.map(|i| self.life.instances[i].birth).filter(|_| self.hoists);
        if let (Some(again), Some([node])) = (again, self.facts.recipe[value].as_deref())
            && !self.to.removed.contains(&again)
        {
            self.to.removed.push(again);
            self.to.seconds -= self.facts.nodes[*node].seconds;
        }
        true
    }
}
