//! How a task touches a var, and the set of all the vars that a task touches.
#![expect(unsafe_code, reason = "looks at vars whose handles are borrowed")]

use crate::var::{Var, VarPin, VarState};
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

    /// Joins what is said of the same var, and sorts by number: taking several var locks in one order is free of
    /// deadlock. Addresses would do too, but numbers make the order in which tasks are released the same in each run.
    #[inline]
    pub(crate) fn normalise(&mut self) {
        if self.vars.len() > 1 {
            // SAFETY: the handles, which keep the vars alive, are borrowed for as long as this set lives.
            sort_by_key(&mut self.vars, |(var, _)| unsafe { var.as_ref() }.id());
            self.vars.dedup_by(|(b, b_mode), (a, a_mode)| {
                if a == b {
                    *a_mode = a_mode.join(*b_mode);
                }
                a == b
            });
        }
    }

    /// Each var, kept alive.
    pub(crate) fn pins(&self) -> impl Iterator<Item = (VarPin, Mode)> {
        // SAFETY: the handles are borrowed, so the vars live.
        self.vars.iter().map(|&(var, mode)| (unsafe { VarPin::new(var) }, mode))
    }

    /// Leaves out the vars that are inside recorded schedules, and tells the first.
    pub(crate) fn drop_inside(&mut self) -> Option<usize> {
        let mut found = None;
        self.vars.retain(|(var, _)| {
            // SAFETY: as above.
            let var = unsafe { var.as_ref() };
            if var.is_inside() {
                found.get_or_insert(var.id());
            }
            !var.is_inside()
        });
        found
    }

    /// Leaves out what is beyond so many; tells how many there were if any was.
    pub(crate) fn truncate(&mut self, most: usize) -> Option<usize> {
        let n = self.vars.len();
        self.vars.truncate(most);
        (n > most).then_some(n)
    }

    #[inline]
    pub(crate) fn vars(&self) -> &[(NonNull<VarState>, Mode)] {
        &self.vars
    }

    /// The sizes of the vars that are written.
    pub(crate) fn written_bytes(&self) -> impl Iterator<Item = u64> {
        let written = self.vars.iter().filter(|(_, mode)| mode.is_exclusive());
        // SAFETY: the handles that are borrowed keep the vars alive.
        written.map(|(var, _)| unsafe { var.as_ref() }.size_bytes())
    }

    pub(crate) fn has_conflict(&self, var: &Var, mode: Mode) -> bool {
        let var = var.state_ptr();
        self.vars.iter().any(|(v, m)| *v == var && (m.is_exclusive() || mode.is_exclusive()))
    }
}

/// Sorts short lists, as most are, without the general case's preparations.
#[inline]
fn sort_by_key<T>(list: &mut [T], key: impl Fn(&T) -> usize) {
    const SHORT: usize = 8;
    if list.len() > SHORT {
        return list.sort_unstable_by_key(key);
    }
    for end in 1..list.len() {
        let mut at = end;
        while at > 0 && key(&list[at - 1]) > key(&list[at]) {
            list.swap(at - 1, at);
            at -= 1;
        }
    }
}
