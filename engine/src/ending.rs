//! Until when the accesses of an asynchronous task may be looked at.
//!
//! Such a task may end while its body still runs, and waits. Who looks into that wait must not follow the task's accesses
//! then: its vars may be gone. So looks are counted, in the word that counted the task's grants before: a token that is used
//! lets the looks at its task end before it ends the accesses, and there are no new ones afterwards.

use crate::node::{Call, TaskRef};
use crate::sync::{Ordering, spin_loop, yield_now};

/// The token is not used. Below lie the looks, and lowest the parts that keep the task's memory.
const OPEN: u32 = 1 << 31;
const LOOK: u32 = 1 << 8;
const LOOKS: u32 = OPEN - LOOK;

/// The body is about to be called. So many parts (at least one) are to be counted down by [`TaskRef::grant_one`].
pub(crate) fn begin(task: TaskRef, parts: u32) {
    // Relaxed: seen by whoever gets the token, and by looks, which find the task under a lock.
    task.ungranted().store(OPEN | parts, Ordering::Relaxed);
}

/// The token is used: waits for the looks at the task, which are short and wait for nothing.
pub(crate) fn end(task: TaskRef) {
    let state = task.ungranted();
    let mut spins = 0;
    loop {
        let now = state.load(Ordering::Relaxed);
        // Acquire: pairs with the Release in the drop of a look, so that the accesses end after it.
        let is_free = now & LOOKS == 0;
        if is_free && state.compare_exchange(now, now & !OPEN, Ordering::Acquire, Ordering::Relaxed).is_ok() {
            return;
        }
        spins += 1;
        if spins % 64 == 0 { yield_now() } else { spin_loop() }
    }
}

/// While it lives, the task's accesses do not end.
pub(crate) struct Look(Option<TaskRef>);

impl Look {
    /// At a task whose body runs and is blocked. `None` if its accesses end or have ended.
    pub(crate) fn at(task: TaskRef) -> Option<Look> {
        let state = task.ungranted();
        let mut now = state.load(Ordering::Relaxed);
        while now & OPEN != 0 {
            // Acquire: the look comes after it is counted.
            match state.compare_exchange_weak(now, now + LOOK, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Some(Look(Some(task))),
                Err(next) => now = next,
            }
        }
        // A synchronous task does not end before its body; it counts no looks, nor anything else if it is recorded.
        (now == 0 || matches!(task.call(), Call::Sync(_))).then_some(Look(None))
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        if let Some(task) = self.0 {
            // Release: pairs with the Acquire in `end`.
            task.ungranted().fetch_sub(LOOK, Ordering::Release);
        }
    }
}
