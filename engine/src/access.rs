//! How a task touches a var, and the set of all the vars that a task touches.

use crate::var::Var;
use smallvec::SmallVec;

/// How a task touches a var.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Looks at the state. Readers run beside each other.
    Read,
    /// Changes the state, and may look at it first. Runs alone. A poisoned var stays poisoned.
    Write,
    /// Replaces the whole state without looking at it. Runs alone. Success heals a poisoned var.
    Overwrite,
}

impl Mode {
    /// Whether the task must have the var to itself.
    #[must_use]
    pub fn is_exclusive(self) -> bool {
        self != Mode::Read
    }

    /// Whether the task can see what was there before, and so inherits its poison.
    #[must_use]
    pub fn sees_old(self) -> bool {
        self != Mode::Overwrite
    }

    /// The one mode that stands for both, when a task names the same var twice.
    #[must_use]
    pub fn join(self, other: Mode) -> Mode {
        if self == other { self } else { Mode::Write }
    }
}

/// One var of a task and how it is touched.
#[derive(Clone)]
pub(crate) struct Access {
    pub(crate) var: Var,
    pub(crate) mode: Mode,
}

/// All vars of a task: each once, in the global order in which they are locked.
#[derive(Clone, Default)]
pub(crate) struct AccessSet(SmallVec<[Access; 4]>);

impl AccessSet {
    pub(crate) fn add(&mut self, var: Var, mode: Mode) {
        self.0.push(Access { var, mode });
    }

    /// Sorts by var number and joins duplicates. The order makes taking several var locks at once free of deadlock.
    pub(crate) fn normalise(&mut self) {
        self.0.sort_unstable_by_key(|a| a.var.id());
        self.0.dedup_by(|b, a| {
            let same = a.var.id() == b.var.id();
            if same {
                a.mode = a.mode.join(b.mode);
            }
            same
        });
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Access> {
        self.0.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
