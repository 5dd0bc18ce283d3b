//! Lists of tasks and of their accesses, linked through the tasks themselves.
#![expect(unsafe_code, reason = "passes tasks between threads")]

use super::{Node, SlotRef, TaskRef};
use crate::queue::WaitList;
use crate::slab::prefetch;
use crate::sync::{AtomicPtr, Ordering};
use std::ptr::{self, NonNull};

/// The accesses that wait for a var, linked through the tasks.
#[derive(Default)]
pub(crate) struct SlotList {
    ends: Option<(SlotRef, SlotRef)>,
}

impl WaitList for SlotList {
    type Item = SlotRef;

    fn push_back(&mut self, item: SlotRef, _exclusive: bool) {
        item.slot().next.set(None);
        self.ends = Some(match self.ends {
            None => (item, item),
            Some((first, last)) => {
                last.slot().next.set(Some(item));
                (first, item)
            }
        });
    }

    #[inline]
    fn front_is_exclusive(&self) -> Option<bool> {
        self.ends.map(|(first, _)| first.mode().is_exclusive())
    }

    fn pop_front(&mut self) -> Option<SlotRef> {
        let (first, last) = self.ends?;
        self.ends = first.slot().next.take().map(|second| (second, last));
        if let Some((second, _)) = self.ends {
            second.prefetch();
        }
        Some(first)
    }
}

impl SlotList {
    pub(crate) fn iter(&self) -> impl Iterator<Item = SlotRef> {
        std::iter::successors(self.ends.map(|(first, _)| first), |s| s.slot().next.get())
    }
}

/// A list to which any thread adds, and from which a thread takes all at once.
#[derive(Default)]
pub(crate) struct Inbox {
    last: AtomicPtr<Node>,
}

impl Inbox {
    /// Adds a task.
    #[inline]
    pub(crate) fn push(&self, task: TaskRef) {
        let mut last = self.last.load(Ordering::Relaxed);
        loop {
            task.next().set(NonNull::new(last).map(TaskRef));
            // Release: pairs with the Acquire in `take`: the task is seen by who takes it. SeqCst: with the look of a worker
            // that falls asleep, see `Sleep::submitted_seq_cst`.
            match self.last.compare_exchange_weak(last, task.0.as_ptr(), Ordering::SeqCst, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => last = now,
            }
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        // SeqCst: with the push.
        self.last.load(Ordering::SeqCst).is_null()
    }

    /// Takes all tasks, oldest first.
    pub(crate) fn take(&self) -> impl Iterator<Item = TaskRef> {
        // Acquire: pairs with the Release in `push`.
        let mut at = NonNull::new(self.last.swap(ptr::null_mut(), Ordering::Acquire)).map(TaskRef);
        let mut oldest = None;
        while let Some(task) = at {
            at = task.next().replace(oldest);
            oldest = Some(task);
            // The var will be needed when the task ends.
            task.slots().next().into_iter().for_each(|slot| prefetch(slot.var_ptr().as_ptr()));
        }
        std::iter::from_fn(move || {
            let task = oldest?;
            oldest = task.next().take();
            Some(task)
        })
    }
}

/// A first-in first-out list of tasks, linked through them.
#[derive(Default)]
pub(crate) struct TaskList {
    ends: Option<(TaskRef, TaskRef)>,
}

impl TaskList {
    #[inline]
    pub(crate) fn push(&mut self, task: TaskRef) {
        task.next().set(None);
        self.ends = Some(match self.ends {
            None => (task, task),
            Some((first, last)) => {
                last.next().set(Some(task));
                (first, task)
            }
        });
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<TaskRef> {
        let (first, last) = self.ends?;
        self.ends = first.next().take().map(|second| (second, last));
        Some(first)
    }
}

// SAFETY: tasks are Send.
unsafe impl Send for TaskList {}
