//! What is told of a task, and when.

use crate::access::Mode;
use crate::error::{Failure, TaskId};
use crate::name::Name;
use std::num::NonZeroUsize;
use std::time::Instant;

/// A task's number: no other task of the same engine has it. Only tasks pushed while somebody observes get one.
pub type TaskNumber = NonZeroUsize;

/// Something that happened to a task.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event {
    /// Nanoseconds from [`Trace::began`] to the event.
    pub nanos: u64,
    /// Where it happened: an index into [`Trace::threads`].
    pub thread: usize,
    /// To whom; `None` for a task that was pushed before the watch began.
    pub task: Option<TaskNumber>,
    /// What happened.
    pub kind: EventKind,
}

impl Event {
    /// Sorts by time, and where the clock tells no difference by the order of a task's life.
    pub(super) fn key(&self) -> (u64, u8) {
        let rank = match self.kind {
            EventKind::Pushed { .. } => 0,
            EventKind::Ready { .. } => 1,
            EventKind::Started { .. } => 2,
            EventKind::Issued => 3,
            EventKind::Finished(_) => 4,
        };
        (self.nanos, rank)
    }
}

/// What happened to a task.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum EventKind {
    /// It is about to enter the queues of its vars.
    Pushed {
        /// Its name, and the place in the source that pushed it.
        id: TaskId,
        /// Its lane: an index into [`Trace::lanes`].
        lane: usize,
        /// Its priority.
        priority: i32,
        /// What it is there for.
        role: Role,
        /// The [numbers](crate::Var::number) of the vars that it touches, each once, and how.
        accesses: Box<[(usize, Mode)]>,
    },
    /// All its accesses are granted.
    Ready {
        /// The task whose end granted the last of them; `None` if nothing held the task up when it was pushed.
        released_by: Option<Release>,
    },
    /// Its body is about to be called. Does not happen to tasks that are skipped, cancelled or refused.
    Started {
        /// Its name, as in `Pushed`: for tasks that were pushed before the watch began.
        name: Name,
        /// Its lane, as in `Pushed`.
        lane: usize,
    },
    /// It was issued on a device, and is about to let go those that wait for it. It finishes when its fence fires.
    Issued,
    /// It is done, and is about to let go those that wait for it, unless it has when it was issued.
    Finished(Ending),
}

/// What a task is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// It was pushed, or recorded, to be run on its lane.
    Task,
    /// It tells who waits for the var that it reads. It runs on the thread on which it becomes ready.
    Wait,
    /// It holds a var for a run of a recorded schedule: an outside var from its first use to its last, or the var by which
    /// runs of the schedule follow each other. It has no body and does not start.
    Hold,
}

/// Who let a task go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    /// The task that finished; `None` if it was pushed before the watch began.
    pub task: Option<TaskNumber>,
    /// The number of the var that both touch, at least one of them exclusively.
    pub var: usize,
}

/// How a task ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Ending {
    /// It succeeded.
    Ok,
    /// It failed, or was refused or given up before it started.
    Failed(Failure),
    /// It did not start since a task before it failed: [`Failure::task`] and [`Failure::task_number`] tell which.
    Skipped(Failure),
    /// It did not start since the engine was told to cancel.
    Cancelled,
}

/// What was recorded in some span of time.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Trace {
    /// When the watch began.
    pub began: Instant,
    /// What happened, in the order of time. The events of one task are in the order pushed, ready, started, finished;
    /// an asynchronous task may be finished by another thread than started it.
    ///
    /// Of a task that was in flight when the watch began, only what happened later is here.
    pub events: Vec<Event>,
    /// The names of the threads that recorded anything since the watch began.
    pub threads: Vec<String>,
    /// The names of the engine's lanes.
    pub lanes: Vec<String>,
    /// How many events are missing since there was no room for them, or since their thread was already ending.
    pub lost: usize,
}
