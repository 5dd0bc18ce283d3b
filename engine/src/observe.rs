//! Observation: what happens to the tasks of an engine, told to one watch at a time.
//!
//! Each thread records into a buffer of its own. While nobody observes, all that a task meets of this is one relaxed load
//! as it is pushed and one as it runs.

mod buffer;
mod event;
mod watch;

pub use event::{Ending, Event, EventKind, Release, Role, TaskNumber, Trace};
pub use watch::{Watch, WatchOptions};

use crate::access::Mode;
use crate::error::{Cause, Error, Failure};
use crate::node::{Call, TaskRef};
use crate::sync::{Arc, AtomicPtr, AtomicUsize, Mutex, Ordering, lock, thread_local};
use std::cell::RefCell;
use std::ptr;
use watch::{Pen, Recorder};

/// The engine's side of observation.
#[derive(Default)]
pub(crate) struct Observer {
    /// The recorder of the watch, null when there is none. Only compared, never followed, so Relaxed loads will do: who
    /// finds a pen for this address holds its recorder alive, which therefore is the one that was meant.
    current: AtomicPtr<Recorder>,
    /// The same recorder, for threads that have no pen yet. `current` changes under this lock.
    recorder: Mutex<Option<Arc<Recorder>>>,
    /// Tasks numbered so far.
    numbered: AtomicUsize,
}

thread_local! {
    /// What this thread records with, for each watch.
    #[allow(clippy::missing_const_for_thread_local)] // loom's threads know no constants
    static PENS: RefCell<Vec<Pen>> = RefCell::new(Vec::new());
}

impl Observer {
    fn begin(&self, recorder: &Arc<Recorder>) -> Result<(), Error> {
        let mut held = lock(&self.recorder);
        if held.is_some() {
            return Err(Error::AlreadyObserved);
        }
        *held = Some(recorder.clone());
        self.current.store(Arc::as_ptr(recorder).cast_mut(), Ordering::Relaxed);
        Ok(())
    }

    fn end(&self, recorder: &Arc<Recorder>) {
        let mut held = lock(&self.recorder);
        if held.as_ref().is_some_and(|h| Arc::ptr_eq(h, recorder)) {
            self.current.store(ptr::null_mut(), Ordering::Relaxed);
            *held = None;
        }
    }

    /// Whether there is a watch.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        !self.current.load(Ordering::Relaxed).is_null()
    }

    /// Numbers the task. To be called before it enters any queue: from then on others may run it.
    #[cold]
    pub(crate) fn pushed(&self, task: TaskRef) {
        self.numbers(1).into_iter().for_each(|number| task.set_number(number));
        let role = match task.call() {
            Call::Probe(_) => Role::Wait,
            Call::Port(_) => Role::Hold,
            Call::Sync(_) | Call::Async(_) | Call::Refused(_) | Call::Recorded => Role::Task,
        };
        let accesses = task.slots().map(|slot| (slot.var().id(), slot.mode())).collect();
        self.pushed_as(task.number(), task, role, accesses);
    }

    /// So many numbers in a row; gives the first.
    pub(crate) fn numbers(&self, n: usize) -> Option<TaskNumber> {
        // Counting is all that is asked of it: Relaxed. A count that has wrapped to nothing leaves one task unknown.
        TaskNumber::new(self.numbered.fetch_add(n, Ordering::Relaxed).wrapping_add(1))
    }

    /// As `pushed`, for a task that has this number already.
    pub(crate) fn pushed_as(
        &self,
        number: Option<TaskNumber>,
        task: TaskRef,
        role: Role,
        accesses: Box<[(usize, Mode)]>,
    ) {
        let (lane, priority) = (usize::from(task.lane()), task.priority());
        self.record(number, EventKind::Pushed { id: task.id(), lane, priority, role, accesses });
    }

    /// To be called before the task is handed to anyone.
    #[cold]
    pub(crate) fn ready(&self, task: TaskRef, released_by: Option<Release>) {
        self.record(task.number(), EventKind::Ready { released_by });
    }

    /// To be called before the task's body is.
    #[cold]
    pub(crate) fn started(&self, task: TaskRef) {
        let kind = EventKind::Started { name: task.name().clone(), lane: usize::from(task.lane()) };
        self.record(task.number(), kind);
    }

    /// As `finished`, for a task whose work goes on behind a fence.
    #[cold]
    pub(crate) fn issued(&self, task: TaskRef) {
        self.record(task.number(), EventKind::Issued);
    }

    /// To be called before any of the task's accesses ends, unless they have already.
    #[cold]
    pub(crate) fn finished(&self, number: Option<TaskNumber>, result: Result<(), &Failure>) {
        let ending = match result {
            Ok(()) => Ending::Ok,
            Err(failure) if failure.skipped_len() > 0 => Ending::Skipped(failure.clone()),
            Err(failure) if matches!(failure.cause(), Cause::Cancelled) => Ending::Cancelled,
            Err(failure) => Ending::Failed(failure.clone()),
        };
        self.record(number, EventKind::Finished(ending));
    }

    /// Does nothing if the watch has ended meanwhile.
    fn record(&self, task: Option<TaskNumber>, kind: EventKind) {
        let current = self.current.load(Ordering::Relaxed);
        if current.is_null() {
            return;
        }
        let written = PENS.try_with(|pens| {
            // Dropped last: it may hold the last of a failure, whose drop is foreign code and may come back here.
            let _stale: Vec<Pen>;
            let mut pens = pens.borrow_mut();
            let known = pens.iter().position(|pen| ptr::eq(Arc::as_ptr(pen.recorder()), current));
            let at = match known {
                Some(at) => at,
                None => {
                    let Some(pen) = lock(&self.recorder).as_ref().map(Pen::new) else { return };
                    _stale = pens.extract_if(.., |pen| pen.recorder().is_over()).collect();
                    pens.push(pen);
                    pens.len() - 1
                }
            };
            pens[at].write(task, kind);
        });
        if written.is_err() {
            // The thread is ending and has given up its pens.
            lock(&self.recorder).iter().for_each(|recorder| recorder.lose());
        }
    }
}
