//! What can go wrong, and how it is told: the root cause, and the tasks through which it came.

use crate::cancel::Cancelled;
use crate::foreign::contained;
use crate::name::Name;
use crate::node::MAX_ACCESSES;
use crate::observe::TaskNumber;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// The error type that task bodies return.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A task by name and by the place in the source that pushed it.
#[derive(Clone, Debug)]
pub struct TaskId {
    /// The name given to the task.
    pub name: Name,
    /// Where it was pushed.
    pub site: &'static Location<'static>,
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task \"{}\" (pushed at {}:{})", self.name, self.site.file(), self.site.line())
    }
}

/// Why a task did not succeed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Cause {
    /// The body returned an error.
    Failed(BoxError),
    /// The body panicked with this message.
    Panicked(String),
    /// The body dropped its completion token without using it.
    TokenDropped,
    /// The fence that the task was finished with was lost before it fired.
    FenceDropped,
    /// The task's token was cancelled, or the engine was told to cancel what had not started.
    Cancelled,
    /// The task was pushed after the engine had shut down.
    ShutDown,
    /// The lane gave the task up without running it.
    LaneGaveUp(String),
    /// The lane was removed from the engine before the task started.
    LaneRemoved(String),
    /// The task names a var, a lane or room of another engine.
    ForeignVar(String),
    /// The task names this many vars, more than a task can.
    TooManyVars(usize),
    /// The task names a var that only a recorded schedule may touch.
    InsideVar(String),
    /// The task names the same typed value twice, at least once for writing.
    NamedTwice(String),
}

impl Cause {
    /// Why a body that returned this error did not succeed.
    pub(crate) fn of_body(error: BoxError) -> Cause {
        if error.is::<Cancelled>() { Cause::Cancelled } else { Cause::Failed(error) }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Failed(e) => write!(f, "failed: {e}"),
            Cause::Panicked(m) => write!(f, "panicked: {m}"),
            Cause::TokenDropped => write!(f, "dropped its completion token without using it"),
            Cause::FenceDropped => write!(f, "was issued, but its fence was dropped before it fired"),
            Cause::Cancelled => write!(f, "was cancelled"),
            Cause::ShutDown => write!(f, "was pushed after the engine had shut down"),
            Cause::LaneGaveUp(lane) => write!(f, "was given up by lane \"{lane}\" without being run"),
            Cause::LaneRemoved(lane) => write!(f, "needs lane \"{lane}\", which was removed"),
            Cause::ForeignVar(v) => write!(f, "names {v}, which belongs to another engine"),
            Cause::TooManyVars(n) => write!(f, "names {n} vars, and a task can name at most {MAX_ACCESSES}"),
            Cause::InsideVar(v) => write!(f, "names {v}, which is inside a recorded schedule: only its tasks may"),
            Cause::NamedTwice(v) => write!(f, "names {v} twice and writes it: name a value once"),
        }
    }
}

/// A failed task and the tasks that were skipped because of it. Cheap to clone: it is shared by all that it poisons.
///
/// As text it tells the task, its push site, the cause, and the last eight of those that were skipped.
#[derive(Clone, Debug)]
pub struct Failure {
    root: Arc<Root>,
    chain: Option<Arc<Link>>,
}

#[derive(Debug)]
struct Root {
    task: TaskId,
    number: Option<TaskNumber>,
    cause: Cause,
}

impl Drop for Root {
    // The last of it may go between any two steps of the engine.
    fn drop(&mut self) {
        if let Cause::Failed(error) = std::mem::replace(&mut self.cause, Cause::Cancelled) {
            contained(|| drop(error));
        }
    }
}

#[derive(Debug)]
struct Link {
    task: TaskId,
    before: Option<Arc<Link>>,
    depth: usize,
}

impl Drop for Link {
    // A chain can be as long as the program: unlink it in a loop, not by recursion.
    fn drop(&mut self) {
        let mut next = self.before.take();
        while let Some(link) = next {
            next = Arc::into_inner(link).and_then(|mut l| l.before.take());
        }
    }
}

impl Failure {
    pub(crate) fn new(task: TaskId, number: Option<TaskNumber>, cause: Cause) -> Self {
        Failure { root: Arc::new(Root { task, number, cause }), chain: None }
    }

    /// The same failure, seen through one more skipped task.
    pub(crate) fn through(&self, task: TaskId) -> Self {
        let depth = self.chain.as_ref().map_or(0, |l| l.depth) + 1;
        Failure { root: self.root.clone(), chain: Some(Arc::new(Link { task, before: self.chain.clone(), depth })) }
    }

    /// The task that failed first.
    #[must_use]
    pub fn task(&self) -> &TaskId {
        &self.root.task
    }

    /// The number of that task in traces, if it was pushed while the engine was [observed](crate::Engine::observe).
    #[must_use]
    pub fn task_number(&self) -> Option<TaskNumber> {
        self.root.number
    }

    /// Why it failed.
    #[must_use]
    pub fn cause(&self) -> &Cause {
        &self.root.cause
    }

    /// How many tasks were skipped between the failed one and here.
    #[must_use]
    pub fn skipped_len(&self) -> usize {
        self.chain.as_ref().map_or(0, |l| l.depth)
    }

    /// The tasks that were skipped between the failed one and here, the last one first.
    pub fn skipped(&self) -> impl Iterator<Item = &TaskId> {
        std::iter::successors(self.chain.as_deref(), |l| l.before.as_deref()).map(|l| &l.task)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 8;
        write!(f, "{} {}", self.task(), self.cause())?;
        let n = self.skipped_len();
        if n > 0 {
            write!(f, "; skipped because of it, last first: ")?;
            for (i, task) in self.skipped().take(SHOWN).enumerate() {
                write!(f, "{}{task}", if i == 0 { "" } else { ", " })?;
            }
            if n > SHOWN {
                write!(f, " and {} more", n - SHOWN)?;
            }
        }
        Ok(())
    }
}

/// What a wait or an engine call can report.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A task failed and left the var poisoned.
    #[error("{0}")]
    Task(Failure),
    /// Going on with this wait could never end: the tasks wait for each other.
    #[error("waiting here would never end: {0}")]
    WaitCycle(String),
    /// More tasks block in waits than the lane has spare threads for.
    #[error(
        "{waiting} tasks of lane \"{lane}\" wait at once, at most {limit} can: wait outside tasks, or declare a read"
    )]
    TooManyWaits {
        /// The lane.
        lane: String,
        /// Tasks blocked now.
        waiting: usize,
        /// The most that can be.
        limit: usize,
    },
    /// A lane could not be set up or removed.
    #[error("lane \"{lane}\": {reason}")]
    Lane {
        /// The lane.
        lane: String,
        /// Why.
        reason: String,
    },
    /// A schedule cannot be recorded.
    #[error("schedule \"{schedule}\" cannot be recorded: {reason}")]
    Schedule {
        /// The schedule.
        schedule: Name,
        /// Why.
        reason: String,
    },
    /// A wait for a var that only a recorded schedule may touch.
    #[error("{0} is inside a recorded schedule: wait for the schedule, or for a var outside that it writes")]
    InsideVar(String),
    /// The engine is observed, and one watch at a time can.
    #[error("the engine is observed already: one watch at a time, stop or drop the other first")]
    AlreadyObserved,
    /// A value that is asked for was never written.
    #[error("the value of {0} was never written")]
    Unwritten(String),
}

impl Error {
    /// The failure behind this error, where there is one.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Error::Task(f) => Some(f),
            _ => None,
        }
    }
}
