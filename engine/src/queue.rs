//! The rule that orders tasks, as a state machine without threads: one queue a var.
//!
//! Tasks enter in push order. A reader is granted when no writer is running or waiting before it; a writer when nothing is
//! running or waiting before it. So each var sees its accesses as if they ran one by one in push order, which is all
//! that serial equivalence needs.
//!
//! ```
//! use varflow_engine::VarQueue;
//! let mut q = VarQueue::new();
//! assert_eq!(q.push("r1", false), Some("r1")); // granted at once
//! assert_eq!(q.push("r2", false), Some("r2")); // beside the first reader
//! assert_eq!(q.push("w", true), None);         // waits for both
//! assert_eq!(q.push("r3", false), None);       // waits for the writer before it
//! let mut out = vec![];
//! q.finish(false, |t| out.push(t));
//! assert!(out.is_empty());
//! q.finish(false, |t| out.push(t));
//! assert_eq!(out, ["w"]);
//! q.finish(true, |t| out.push(t));
//! assert_eq!(out, ["w", "r3"]);
//! ```

use std::collections::VecDeque;

/// The accesses of one var: how many are running, and who waits, in push order.
#[derive(Debug)]
pub struct VarQueue<T> {
    readers: usize,
    writing: bool,
    waiting: VecDeque<(T, bool)>,
}

impl<T> Default for VarQueue<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> VarQueue<T> {
    /// An idle var.
    #[must_use]
    pub fn new() -> Self {
        VarQueue { readers: 0, writing: false, waiting: VecDeque::new() }
    }

    /// Enters an access. Gives the task back when it is granted at once, else keeps it until [`finish`](Self::finish)
    /// releases it.
    pub fn push(&mut self, task: T, exclusive: bool) -> Option<T> {
        let free = self.waiting.is_empty() && !self.writing && (!exclusive || self.readers == 0);
        if !free {
            self.waiting.push_back((task, exclusive));
            return None;
        }
        self.grant(exclusive);
        Some(task)
    }

    /// Ends a granted access and hands every access that this grants to `release`, in push order.
    pub fn finish(&mut self, exclusive: bool, mut release: impl FnMut(T)) {
        if exclusive {
            debug_assert!(self.writing && self.readers == 0, "a writer finished that was not running");
            self.writing = false;
        } else {
            debug_assert!(self.readers > 0, "a reader finished that was not running");
            self.readers -= 1;
        }
        while let Some(&(_, exclusive)) = self.waiting.front() {
            if self.writing || (exclusive && self.readers > 0) {
                break;
            }
            self.grant(exclusive);
            if let Some((task, _)) = self.waiting.pop_front() {
                release(task);
            }
        }
    }

    /// The accesses not yet granted, oldest first, with whether each is exclusive.
    pub fn waiting(&self) -> impl Iterator<Item = (&T, bool)> {
        self.waiting.iter().map(|(t, e)| (t, *e))
    }

    /// Whether nothing is running or waiting.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.readers == 0 && !self.writing && self.waiting.is_empty()
    }

    fn grant(&mut self, exclusive: bool) {
        if exclusive {
            self.writing = true;
        } else {
            self.readers += 1;
        }
    }
}
