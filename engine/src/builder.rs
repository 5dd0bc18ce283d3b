//! How tasks are described: raw, over vars, and typed, over [`Data`].
#![expect(unsafe_code, reason = "turns granted accesses into references")]

use crate::access::{AccessSet, Mode};
use crate::data::{Data, Fetch, Put, Read, Write};
use crate::engine::{Engine, LaneHandle};
use crate::error::{BoxError, Cause};
use crate::name::Name;
use crate::recorded::RecordedBody;
use crate::recorder::{Recorder, Task};
use crate::node::{AsyncBody, Body, Header, SyncBody, TaskRef};
use crate::sync::Arc;
use crate::task::{Completion, Outcome, TaskCtx, push};
use crate::var::Var;
use std::panic::Location;

/// Closures up to this many bytes lie in the task; larger ones are boxed.
const INLINE_BYTES: usize = 128;

/// A task over bare vars. The engine orders it; what the body touches is the caller's promise.
///
/// A task that cannot be accepted (a var of another engine, an engine that has shut down) fails like any other: it
/// poisons what it writes.
#[must_use = "a task does nothing until run"]
pub struct RawTask<'a> {
    engine: &'a Engine,
    name: Name,
    site: &'static Location<'static>,
    priority: i32,
    lane: u16,
    accesses: AccessSet<'a>,
    misuse: Option<Cause>,
    /// Whether a var is inside a recorded schedule: then only that can have the task.
    inside: bool,
}

impl<'a> RawTask<'a> {
    #[inline]
    pub(crate) fn new(engine: &'a Engine, name: Name, site: &'static Location<'static>) -> Self {
        RawTask { engine, name, site, priority: 0, lane: 0, accesses: AccessSet::default(), misuse: None, inside: false }
    }

    /// Names a var that the task touches.
    #[inline]
    pub fn access(mut self, var: &'a Var, mode: Mode) -> Self {
        if Arc::ptr_eq(var.core(), self.engine.core()) {
            self.accesses.add(var, mode);
            self.inside |= var.state().is_inside();
        } else {
            self.misuse = Some(Cause::ForeignVar(format!("{var:?}")));
        }
        self
    }

    /// Names a var that the task reads.
    #[inline]
    pub fn read(self, var: &'a Var) -> Self {
        self.access(var, Mode::Read)
    }

    /// Names a var that the task changes.
    #[inline]
    pub fn write(self, var: &'a Var) -> Self {
        self.access(var, Mode::Write)
    }

    /// Names a var whose whole state the task replaces.
    #[inline]
    pub fn overwrite(self, var: &'a Var) -> Self {
        self.access(var, Mode::Overwrite)
    }

    /// As [`access`](Self::access), for bodies that hold a reference to what the var stands for: naming it twice, at
    /// least once exclusively, is refused.
    fn access_once(mut self, var: &'a Var, mode: Mode) -> Self {
        if self.accesses.has_conflict(var, mode) {
            self.misuse = Some(Cause::NamedTwice(format!("{var:?}")));
        }
        self.access(var, mode)
    }

    /// Among ready tasks of a lane, the higher priority runs first; 0 unless set.
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// Chooses the lane; the engine's default one unless set.
    pub fn lane(mut self, lane: &LaneHandle) -> Self {
        if Arc::ptr_eq(&lane.core, self.engine.core()) {
            self.lane = lane.index;
        } else {
            self.misuse = Some(Cause::ForeignVar(format!("lane \"{}\"", lane.name())));
        }
        self
    }

    /// Pushes the task.
    #[inline]
    pub fn run<R: Outcome>(self, body: impl FnOnce(&TaskCtx<'_>) -> R + Send + 'static) {
        if fits(&body) {
            self.push(SyncBody(body));
        } else {
            let body = Box::new(body);
            self.push(SyncBody(move |ctx: &TaskCtx<'_>| body(ctx)));
        }
    }

    /// Pushes a task that is done when its token is used.
    pub fn run_async(self, body: impl FnOnce(&TaskCtx<'_>, Completion) + Send + 'static) {
        if fits(&body) {
            self.push(AsyncBody(body));
        } else {
            let body = Box::new(body);
            self.push(AsyncBody(move |ctx: &TaskCtx<'_>, token: Completion| body(ctx, token)));
        }
    }

    #[inline]
    pub(crate) fn push<B: Body>(self, body: B) {
        let core = &**self.engine.core();
        if core.is_closed() || self.misuse.is_some() || self.inside {
            return self.refuse();
        }
        self.enter(body);
    }

    #[cold]
    fn refuse(mut self) {
        // A schedule's vars are its own: what is refused does not even poison them.
        let inside = self.accesses.drop_inside().map(|id| Cause::InsideVar(format!("var {id}")));
        let cause = self.misuse.take().or(inside).unwrap_or(Cause::ShutDown);
        self.enter(cause);
    }

    /// Records the task: see [`Recorder`].
    pub fn record<R: Outcome>(self, recorder: &mut Recorder, body: impl Fn(&TaskCtx<'_>) -> R + Send + Sync + 'static) {
        self.record_body(recorder, RecordedBody::Sync(Box::new(move |ctx| body(ctx).into_result())));
    }

    /// Records a task that is done when its token is used: see [`Recorder`].
    pub fn record_async(
        self,
        recorder: &mut Recorder,
        body: impl Fn(&TaskCtx<'_>, Completion) + Send + Sync + 'static,
    ) {
        self.record_body(recorder, RecordedBody::Async(Box::new(body)));
    }

    fn record_body(mut self, recorder: &mut Recorder, body: RecordedBody) {
        let header = Header { name: self.name, site: self.site, priority: self.priority, lane: self.lane };
        self.accesses.normalise();
        recorder.add(self.engine, Task { header, accesses: self.accesses.pins().collect(), misuse: self.misuse, body });
    }

    #[inline]
    fn enter<B: Body>(mut self, body: B) {
        let core = &**self.engine.core();
        let header = Header { name: self.name, site: self.site, priority: self.priority, lane: self.lane };
        self.accesses.normalise();
        push(core, TaskRef::new(core, header, self.accesses.vars(), body));
    }
}

fn fits<F>(_: &F) -> bool {
    size_of::<F>() <= INLINE_BYTES && align_of::<F>() <= 16
}

/// A task over typed values. `A` is the tuple of its accesses so far.
#[must_use = "a task does nothing until run"]
pub struct TaskBuilder<'e, A> {
    raw: RawTask<'e>,
    accesses: A,
}

impl<'e> TaskBuilder<'e, ()> {
    pub(crate) fn new(engine: &'e Engine, name: Name, site: &'static Location<'static>) -> Self {
        TaskBuilder { raw: RawTask::new(engine, name, site), accesses: () }
    }
}

impl<A> TaskBuilder<'_, A> {
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

fn unwritten(position: usize) -> BoxError {
    format!("its access number {} has no value: it was never written", position + 1).into()
}

macro_rules! arity {
    ($($name:ident $index:tt),*) => {
        #[allow(non_snake_case, unused_mut, unused_variables, clippy::unused_unit)]
        impl<$($name: Fetch),*> TaskBuilder<'_, ($($name,)*)> {
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
                let names = ($(accesses.$index.data_var(),)*);
                let raw: RawTask<'_> = self.raw; // the names live less long than the task's engine
                let raw = raw$(.access_once(&names.$index, $name::MODE))*;
                raw.run(move |ctx| {
                    $(
                        // SAFETY: this is the task that holds the access.
                        if !unsafe { accesses.$index.is_written() } {
                            return Err(unwritten($index));
                        }
                    )*
                    // SAFETY: the task holds the accesses, the body is generic over the lifetime so that no reference
                    // leaves it, `access_once` refused double naming, and every value was seen to be there.
                    let result = body(ctx, $(unsafe { accesses.$index.fetch_out() }),*);
                    result.into_result()
                });
            }

            /// Records the task: see [`Recorder`].
            pub fn record<R: Outcome>(
                self,
                recorder: &mut Recorder,
                body: impl for<'a> Fn($($name::Out<'a>),*) -> R + Send + Sync + 'static,
            ) where $($name: Sync),* {
                let accesses = self.accesses;
                let names = ($(accesses.$index.data_var(),)*);
                let raw: RawTask<'_> = self.raw; // the names live less long than the task's engine
                let raw = raw$(.access_once(&names.$index, $name::MODE))*;
                raw.record(recorder, move |_ctx| {
                    $(
                        // SAFETY: this is the task that holds the access.
                        if !unsafe { accesses.$index.is_written() } {
                            return Err(unwritten($index));
                        }
                    )*
                    // SAFETY: as in `run_with`; runs of a schedule do not overlap.
                    let result = body($(unsafe { accesses.$index.fetch_out() }),*);
                    result.into_result()
                });
            }

            /// Pushes the task, whose result is a new value.
            pub fn compute<R: Send + Sync + 'static>(
                self,
                body: impl for<'a> FnOnce($($name::Out<'a>),*) -> R + Send + 'static,
            ) -> Data<R> {
                let out = Data::new(self.raw.engine, None);
                let (accesses, put) = (self.accesses, Put(out.clone()));
                let names = ($(accesses.$index.data_var(),)*);
                let raw: RawTask<'_> = self.raw; // the names live less long than the task's engine
                let raw = raw$(.access_once(&names.$index, $name::MODE))*.overwrite(out.var());
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
        impl<'e, $($name: Fetch),*> TaskBuilder<'e, ($($name,)*)> {
            /// Names a value that the task reads.
            pub fn read<T: Send + Sync + 'static>(self, data: &Data<T>) -> TaskBuilder<'e, ($($name,)* Read<T>,)> {
                TaskBuilder { raw: self.raw, accesses: ($(self.accesses.$index,)* Read(data.clone()),) }
            }

            /// Names a value that the task changes.
            pub fn write<T: Send + Sync + 'static>(self, data: &Data<T>) -> TaskBuilder<'e, ($($name,)* Write<T>,)> {
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
