//! How tasks are described: raw, over vars, and typed, over [`Data`].
#![expect(unsafe_code, reason = "turns granted accesses into references")]

use crate::access::{AccessSet, Mode};
use crate::data::{Data, Fetch, Put, Read, Write};
use crate::engine::{Engine, LaneHandle};
use crate::error::{BoxError, Cause, Failure, Name};
use crate::lane::Lane;
use crate::lanes::Inline;
use crate::sync::{Arc, AtomicUsize, Mutex};
use crate::task::{Body, Completion, Outcome, Task, TaskCtx, task_id};
use crate::var::Var;
use std::panic::Location;

/// A task over bare vars. The engine orders it; what the body touches is the caller's promise.
///
/// A task that cannot be accepted (a var of another engine, an engine that has shut down) fails like any other: it
/// poisons what it writes.
#[must_use = "a task does nothing until run"]
pub struct RawTask {
    engine: Engine,
    name: Name,
    site: &'static Location<'static>,
    priority: i32,
    lane: Option<Arc<dyn Lane>>,
    accesses: AccessSet,
    misuse: Option<Cause>,
}

impl RawTask {
    pub(crate) fn new(engine: &Engine, name: Name, site: &'static Location<'static>) -> Self {
        RawTask {
            engine: engine.clone(),
            name,
            site,
            priority: 0,
            lane: None,
            accesses: AccessSet::default(),
            misuse: None,
        }
    }

    /// Names a var that the task touches.
    pub fn access(mut self, var: &Var, mode: Mode) -> Self {
        if Arc::ptr_eq(&var.0.core, self.engine.core()) {
            self.accesses.add(var.clone(), mode);
        } else {
            self.misuse = Some(Cause::ForeignVar(format!("{var:?}")));
        }
        self
    }

    /// Names a var that the task reads.
    pub fn read(self, var: &Var) -> Self {
        self.access(var, Mode::Read)
    }

    /// Names a var that the task changes.
    pub fn write(self, var: &Var) -> Self {
        self.access(var, Mode::Write)
    }

    /// Names a var whose whole state the task replaces.
    pub fn overwrite(self, var: &Var) -> Self {
        self.access(var, Mode::Overwrite)
    }

    /// Among ready tasks of a lane, the higher priority runs first; 0 unless set.
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// Chooses the lane; the engine's default one unless set.
    pub fn lane(mut self, lane: &LaneHandle) -> Self {
        if Arc::ptr_eq(&lane.core, self.engine.core()) {
            self.lane = Some(lane.lane.clone());
        } else {
            self.misuse = Some(Cause::ForeignVar(format!("lane \"{}\"", lane.name())));
        }
        self
    }

    /// Runs the task on whichever thread makes it ready. For bodies of a few instructions that never wait.
    pub(crate) fn inline(mut self) -> Self {
        self.lane = Some(Arc::new(Inline));
        self
    }

    /// Pushes the task.
    pub fn run<R: Outcome>(self, body: impl FnOnce(&TaskCtx<'_>) -> R + Send + 'static) {
        self.push(Body::Sync(Box::new(move |ctx| body(ctx).into_result())));
    }

    /// Pushes a task that is done when its token is used.
    pub fn run_async(self, body: impl FnOnce(&TaskCtx<'_>, Completion) + Send + 'static) {
        self.push(Body::Async(Box::new(body)));
    }

    fn push(mut self, body: Body) {
        self.accesses.normalise();
        let core = self.engine.core().clone();
        if core.is_closed() {
            self.misuse = Some(Cause::ShutDown);
        }
        let id = task_id(self.name, self.site);
        if let Some(cause) = self.misuse {
            let failure = Failure::new(id, cause);
            core.note_failure(&failure);
            for access in self.accesses.iter().filter(|a| a.mode.is_exclusive()) {
                access.var.lock().poison = Some(failure.clone());
            }
            return;
        }
        let lane = self.lane.unwrap_or_else(|| core.default_lane());
        let ungranted = AtomicUsize::new(self.accesses.len() + 1);
        let body = Mutex::new(Some(body));
        core.task_begun();
        let task = Task { id, priority: self.priority, core, lane, accesses: self.accesses, ungranted, body };
        Arc::new(task).push();
    }
}

/// A task over typed values. `A` is the tuple of its accesses so far.
#[must_use = "a task does nothing until run"]
pub struct TaskBuilder<A> {
    raw: RawTask,
    accesses: A,
}

impl TaskBuilder<()> {
    pub(crate) fn new(engine: &Engine, name: Name, site: &'static Location<'static>) -> Self {
        TaskBuilder { raw: RawTask::new(engine, name, site), accesses: () }
    }
}

impl<A> TaskBuilder<A> {
    /// Among ready tasks of a lane, the higher priority runs first; 0 unless set.
    pub fn priority(mut self, priority: i32) -> Self {
        self.raw = self.raw.priority(priority);
        self
    }

    /// Chooses the lane; the engine's default one unless set.
    pub fn lane(mut self, lane: &LaneHandle) -> Self {
        self.raw = self.raw.lane(lane);
        self
    }
}

/// Refuses a task that names one value twice and writes it: its body would hold two references to it.
fn check_once(mut raw: RawTask, accesses: &[(&Var, Mode)]) -> RawTask {
    for (i, (var, mode)) in accesses.iter().enumerate() {
        if accesses[..i].iter().any(|(v, m)| v.same(var) && (m.is_exclusive() || mode.is_exclusive())) {
            raw.misuse = Some(Cause::NamedTwice(format!("{var:?}")));
        }
        raw = raw.access(var, *mode);
    }
    raw
}

fn unwritten(position: usize) -> BoxError {
    format!("its access number {} has no value: it was never written", position + 1).into()
}

macro_rules! arity {
    ($($name:ident $index:tt),*) => {
        #[allow(non_snake_case, unused_mut, unused_variables, clippy::unused_unit)]
        impl<$($name: Fetch),*> TaskBuilder<($($name,)*)> {
            /// Pushes the task. The body gets the values in the order in which they were named.
            pub fn run<R: Outcome>(self, body: impl for<'a> FnOnce($($name::Out<'a>),*) -> R + Send + 'static) {
                self.run_with(move |_ctx, $($name),*| body($($name),*));
            }

            /// As `run`, with the task's context first.
            pub fn run_with<R: Outcome>(
                self,
                body: impl for<'a> FnOnce(&TaskCtx<'_>, $($name::Out<'a>),*) -> R + Send + 'static,
            ) {
                let accesses = self.accesses;
                let raw = check_once(self.raw, &[$(accesses.$index.access()),*]);
                raw.run(move |ctx| {
                    $(
                        // SAFETY: this is the task that holds the access.
                        if !unsafe { accesses.$index.is_written() } {
                            return Err(unwritten($index));
                        }
                    )*
                    // SAFETY: the task holds the accesses, the body is generic over the lifetime so that no reference
                    // leaves it, `check_once` refused double naming, and every value was seen to be there.
                    let result = body(ctx, $(unsafe { accesses.$index.fetch_out() }),*);
                    result.into_result()
                });
            }

            /// Pushes the task, whose result is a new value.
            pub fn compute<R: Send + Sync + 'static>(
                self,
                body: impl for<'a> FnOnce($($name::Out<'a>),*) -> R + Send + 'static,
            ) -> Data<R> {
                let out = Data::new(&self.raw.engine, None);
                let (accesses, put) = (self.accesses, Put(out.clone()));
                let raw = check_once(self.raw, &[$(accesses.$index.access()),*]).overwrite(out.var());
                raw.run(move |_ctx| {
                    $(
                        // SAFETY: this is the task that holds the access.
                        if !unsafe { accesses.$index.is_written() } {
                            return Err(unwritten($index));
                        }
                    )*
                    // SAFETY: as in `run_with`.
                    let value = body($(unsafe { accesses.$index.fetch_out() }),*);
                    // SAFETY: the task overwrites this var.
                    unsafe { put.put(value) };
                    Ok::<(), BoxError>(())
                });
                out
            }
        }
    };
}

macro_rules! grow {
    ($($name:ident $index:tt),*) => {
        impl<$($name: Fetch),*> TaskBuilder<($($name,)*)> {
            /// Names a value that the task reads.
            pub fn read<T: Send + Sync + 'static>(self, data: &Data<T>) -> TaskBuilder<($($name,)* Read<T>,)> {
                TaskBuilder { raw: self.raw, accesses: ($(self.accesses.$index,)* Read(data.clone()),) }
            }

            /// Names a value that the task changes.
            pub fn write<T: Send + Sync + 'static>(self, data: &Data<T>) -> TaskBuilder<($($name,)* Write<T>,)> {
                TaskBuilder { raw: self.raw, accesses: ($(self.accesses.$index,)* Write(data.clone()),) }
            }
        }
    };
}

arity!();
arity!(A1 0);
arity!(A1 0, A2 1);
arity!(A1 0, A2 1, A3 2);
arity!(A1 0, A2 1, A3 2, A4 3);
arity!(A1 0, A2 1, A3 2, A4 3, A5 4);
arity!(A1 0, A2 1, A3 2, A4 3, A5 4, A6 5);
arity!(A1 0, A2 1, A3 2, A4 3, A5 4, A6 5, A7 6);
arity!(A1 0, A2 1, A3 2, A4 3, A5 4, A6 5, A7 6, A8 7);
grow!();
grow!(A1 0);
grow!(A1 0, A2 1);
grow!(A1 0, A2 1, A3 2);
grow!(A1 0, A2 1, A3 2, A4 3);
grow!(A1 0, A2 1, A3 2, A4 3, A5 4);
grow!(A1 0, A2 1, A3 2, A4 3, A5 4, A6 5);
grow!(A1 0, A2 1, A3 2, A4 3, A5 4, A6 5, A7 6);
