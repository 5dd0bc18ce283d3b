//! How much memory a script takes at each of its steps.

use super::facts::{Facts, Value};
use super::script::Script;

/// A value as computed by one step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Instance {
    pub(super) value: Value,
    /// The step that computes it.
    pub(super) birth: usize,
    /// The last step that reads it; `birth` if nobody does, and then it takes no memory.
    pub(super) last: usize,
    /// The same value as computed before.
    pub(super) previous: Option<usize>,
}

/// The instances of all values, and the bytes that they take: at each step those that are alive and the step's workspace, as
/// the liveness lower bound of [`Plan`](crate::Plan) counts them.
pub(super) struct Lifetimes {
    pub(super) instances: Vec<Instance>,
    /// The latest instance of each value.
    pub(super) latest: Vec<Option<usize>>,
    pub(super) bytes_at: Vec<usize>,
    /// The instance that each input of each step reads, step by step.
    read: Vec<Option<usize>>,
    /// Where those of each step start.
    read_starts: Vec<usize>,
}

impl Lifetimes {
    pub(super) fn new(script: &Script, facts: &Facts) -> Lifetimes {
        let steps = script.steps();
        let mut life = Lifetimes {
            instances: Vec::with_capacity(steps.len()),
            latest: vec![None; facts.bytes.len()],
            bytes_at: vec![0; steps.len()],
            read: Vec::with_capacity(2 * steps.len()),
            read_starts: Vec::with_capacity(steps.len()),
        };
        for (position, node) in steps.iter().enumerate() {
            let node = &facts.nodes[*node];
            life.read_starts.push(life.read.len());
            for value in &node.reads {
                let instance = value.and_then(|v| life.latest[v]);
                life.read.push(instance);
                if let Some(instance) = instance {
                    life.instances[instance].last = position;
                }
            }
            for value in node.writes.iter().flatten().copied() {
                let previous = life.latest[value].replace(life.instances.len());
                life.instances.push(Instance { value, birth: position, last: position, previous });
            }
        }
        life.count_bytes(steps, facts);
        life
    }

    fn count_bytes(&mut self, steps: &[usize], facts: &Facts) {
        let (mut born, mut dead) = (vec![0; steps.len() + 1], vec![0; steps.len() + 1]);
        for instance in self.instances.iter().filter(|i| i.last > i.birth) {
            born[instance.birth] += facts.bytes[instance.value];
            dead[instance.last + 1] += facts.bytes[instance.value];
        }
        let mut now = 0;
        let mut first = 0;
        for (position, node) in steps.iter().enumerate() {
            let node = &facts.nodes[*node];
            now = now + born[position] - dead[position];
            let own = first..first + node.writes.iter().flatten().count();
            let shared = self.shared_bytes(position, node, own.start, facts);
            self.bytes_at[position] = now - shared + node.workspace_bytes;
            first = own.end;
        }
    }

    /// Bytes that a step's outputs have in common with its inputs. `first` is the instance of its first output.
    fn shared_bytes(&self, position: usize, node: &super::facts::NodeFacts, first: usize, facts: &Facts) -> usize {
        let mut bytes = 0;
        // Few pairs: a list is quicker than a set.
        let mut taken: Vec<(usize, usize)> = Vec::new();
        for &(input, output) in &node.inplace {
            let Some(source) = self.read[self.read_starts[position] + input].map(|i| self.instances[i]) else {
                continue;
            };
            let Some(value) = node.writes[output] else { continue };
            let target = first + node.writes[..output].iter().flatten().count();
            let is_wanted = self.instances[target].last > position;
            let is_free = source.last == position && taken.iter().all(|(i, o)| *i != input && *o != output);
            if is_wanted && is_free {
                taken.push((input, output));
                bytes += facts.bytes[value];
            }
        }
        bytes
    }

    /// The instances that a step reads.
    pub(super) fn reads(&self, position: usize) -> impl Iterator<Item = usize> + '_ {
        let end = self.read_starts.get(position + 1).copied().unwrap_or(self.read.len());
        self.read[self.read_starts[position]..end].iter().flatten().copied()
    }

    /// The most bytes at a step, at how many steps there are so many, and the first of these.
    pub(super) fn peak(&self) -> Peak {
        let bytes = self.bytes_at.iter().copied().max().unwrap_or(0);
        let mut at = self.bytes_at.iter().enumerate().filter(|(_, b)| **b == bytes).map(|(position, _)| position);
        let position = at.next().unwrap_or(0);
        Peak { bytes, times: 1 + at.count(), position }
    }

    /// The instance of a value that a reader at `position` would read, and the next one after it.
    pub(super) fn around(&self, value: Value, position: usize) -> (Option<usize>, Option<usize>) {
        let (mut found, mut next) = (self.latest[value], None);
        while let Some(instance) = found.filter(|i| self.instances[*i].birth >= position) {
            next = found;
            found = self.instances[instance].previous;
        }
        (found, next)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peak {
    pub(super) bytes: usize,
    pub(super) times: usize,
    pub(super) position: usize,
}

impl Peak {
    pub(super) fn is_below(&self, other: &Peak) -> bool {
        (self.bytes, self.times) < (other.bytes, other.times)
    }
}
