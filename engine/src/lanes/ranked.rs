//! Tasks with a priority.

use crate::node::TaskRef;
use crate::sync::{AtomicUsize, Mutex, Ordering, lock};
use std::cmp::Ordering as Cmp;
use std::collections::BinaryHeap;

/// Ready tasks whose priority is not 0, highest first, oldest first among equals.
#[derive(Default)]
pub(super) struct Ranked {
    heap: Mutex<(BinaryHeap<Entry>, usize)>,
    /// How many have a positive priority, and how many a negative one.
    positive: AtomicUsize,
    negative: AtomicUsize,
}

struct Entry {
    priority: i32,
    rank: usize,
    task: TaskRef,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Cmp::Equal
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Cmp> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Cmp {
        self.priority.cmp(&other.priority).then(other.rank.cmp(&self.rank))
    }
}

impl Ranked {
    fn len(&self, priority: i32) -> &AtomicUsize {
        if priority > 0 { &self.positive } else { &self.negative }
    }

    pub(super) fn push(&self, task: TaskRef) {
        let priority = task.priority();
        let mut guard = lock(&self.heap);
        let (heap, rank) = &mut *guard;
        *rank += 1;
        heap.push(Entry { priority, rank: *rank, task });
        self.len(priority).fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.positive.load(Ordering::Relaxed) == 0 && self.negative.load(Ordering::Relaxed) == 0
    }

    /// The first task; only one of positive priority, if so.
    #[inline]
    pub(super) fn take(&self, positive: bool) -> Option<TaskRef> {
        let len = if positive { &self.positive } else { &self.negative };
        if len.load(Ordering::Relaxed) == 0 { None } else { self.take_locked(positive) }
    }

    fn take_locked(&self, positive: bool) -> Option<TaskRef> {
        let (heap, _) = &mut *lock(&self.heap);
        if positive && heap.peek()?.priority <= 0 {
            return None;
        }
        let entry = heap.pop()?;
        self.len(entry.priority).fetch_sub(1, Ordering::Relaxed);
        Some(entry.task)
    }
}
