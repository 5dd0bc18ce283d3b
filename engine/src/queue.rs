//! The rule that orders tasks, as a state machine without threads: one queue a var.
//!
//! Tasks enter in push order. A reader is granted when no writer is running or waiting before it; a writer when nothing is
//! running or waiting before it. So each var sees its accesses as if they ran one by one in push order, which is all
//! that serial equivalence needs. Where those wait that are not granted is the caller's choice: a [`WaitList`].

use std::collections::VecDeque;

/// A first-in first-out list of accesses that wait, each with whether it is exclusive.
pub trait WaitList {
    /// What waits.
    type Item;

    /// Adds an item at the end.
    fn push_back(&mut self, item: Self::Item, exclusive: bool);

    /// Whether the first item is exclusive; `None` if there is none.
    fn front_is_exclusive(&self) -> Option<bool>;

    /// Takes the first item out.
    fn pop_front(&mut self) -> Option<Self::Item>;
}

impl<T> WaitList for VecDeque<(T, bool)> {
    type Item = T;

    fn push_back(&mut self, item: T, exclusive: bool) {
        VecDeque::push_back(self, (item, exclusive));
    }

    fn front_is_exclusive(&self) -> Option<bool> {
        self.front().map(|(_, exclusive)| *exclusive)
    }

    fn pop_front(&mut self) -> Option<T> {
        VecDeque::pop_front(self).map(|(item, _)| item)
    }
}

/// The accesses of one var: how many are running, and who waits, in push order. The engine has one for each var; it is public for
/// those who check or teach the rule.
///
/// A reader is granted when no writer is running or waiting before it; a writer when nothing is running or waiting before it.
///
/// ```
/// use std::collections::VecDeque;
/// use varflow_engine::VarQueue;
/// let mut q = VarQueue::<VecDeque<_>>::default();
/// assert!(q.push("r1", false));  // granted at once
/// assert!(q.push("r2", false));  // beside the first reader
/// assert!(!q.push("w", true));   // waits for both
/// assert!(!q.push("r3", false)); // waits for the writer before it
/// let mut out = vec![];
/// q.finish(false, |t| out.push(t));
/// assert!(out.is_empty());
/// q.finish(false, |t| out.push(t));
/// assert_eq!(out, ["w"]);
/// q.finish(true, |t| out.push(t));
/// assert_eq!(out, ["w", "r3"]);
/// ```
#[derive(Debug, Default)]
pub struct VarQueue<L> {
    readers: u32,
    writing: bool,
    waiting: L,
}

impl<L: WaitList> VarQueue<L> {
    /// Enters an access. Returns whether it is granted at once; else it waits until [`finish`](Self::finish) releases it.
    #[inline]
    pub fn push(&mut self, item: L::Item, exclusive: bool) -> bool {
        let free = !self.writing && (!exclusive || self.readers == 0) && self.waiting.front_is_exclusive().is_none();
        if free {
            self.grant(exclusive);
        } else {
            self.waiting.push_back(item, exclusive);
        }
        free
    }

    /// Ends a granted access and hands every access that this grants to `release`, in push order.
    #[inline]
    pub fn finish(&mut self, exclusive: bool, mut release: impl FnMut(L::Item)) {
        if exclusive {
            debug_assert!(self.writing && self.readers == 0, "a writer finished that was not running");
            self.writing = false;
        } else {
            debug_assert!(self.readers > 0, "a reader finished that was not running");
            self.readers -= 1;
        }
        while let Some(exclusive) = self.waiting.front_is_exclusive() {
            if self.writing || (exclusive && self.readers > 0) {
                break;
            }
            self.grant(exclusive);
            self.waiting.pop_front().into_iter().for_each(&mut release);
        }
    }

    /// The accesses not yet granted, oldest first.
    pub fn waiting(&self) -> &L {
        &self.waiting
    }

    /// Whether nothing is running or waiting.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.readers == 0 && !self.writing && self.waiting.front_is_exclusive().is_none()
    }

    fn grant(&mut self, exclusive: bool) {
        if exclusive {
            self.writing = true;
        } else {
            self.readers += 1;
        }
    }
}
