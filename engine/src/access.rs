//! How a task touches a var, and the set of all the vars that a task touches.

use crate::var::{Var, VarState};
use smallvec::SmallVec;
use std::marker::PhantomData;
use std::ptr::NonNull;

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

/// All vars of a task while it is described. The handles of the vars are borrowed for as long.
#[derive(Default)]
pub(crate) struct AccessSet<'a> {
    // Not references: SmallVec would make them invariant.
    vars: SmallVec<[(NonNull<VarState>, Mode); 4]>,
    handles: PhantomData<&'a Var>,
}

impl<'a> AccessSet<'a> {
    #[inline]
    pub(crate) fn add(&mut self, var: &'a Var, mode: Mode) {
        self.vars.push((var.state_ptr(), mode));
    }

    /// Joins what is said of the same var, and sorts by rank: taking several var locks in one order is free of
    /// deadlock.
    #[inline]
    pub(crate) fn normalise(&mut self) {
        if self.vars.len() > 1 {
            self.vars.sort_unstable_by_key(|(var, _)| VarState::rank(*var));
            self.vars.dedup_by(|(b, b_mode), (a, a_mode)| {
                if a == b {
                    *a_mode = a_mode.join(*b_mode);
                }
                a == b
            });
        }
    }

    pub(crate) fn vars(&self) -> &[(NonNull<VarState>, Mode)] {
        &self.vars
    }

    pub(crate) fn has_conflict(&self, var: &Var, mode: Mode) -> bool {
        let var = var.state_ptr();
        self.vars.iter().any(|(v, m)| *v == var && (m.is_exclusive() || mode.is_exclusive()))
    }
}
