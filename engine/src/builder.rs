//! How tasks are described: raw, over vars, and typed, over [`Data`].
#![expect(unsafe_code, reason = "turns granted accesses into references")]

use crate::access::{AccessSet, Mode};
use crate::bounds::Room;
use crate::cancel::{CancelToken, Cancelled};
use crate::data::{Data, Fetch, Overwrite, Put, Read, Write};
use crate::engine::{Engine, LaneHandle};
use crate::error::{BoxError, Cause};
use crate::name::Name;
use crate::node::{AsyncBody, Body, Header, MAX_ACCESSES, SyncBody, TaskRef};
use crate::recorded::RecordedBody;
use crate::recorder::{Recorder, Task};
use crate::sync::Arc;
use crate::task::{Completion, Outcome, TaskCtx, push};
use crate::var::Var;
use std::panic::Location;

/// Closures up to this many bytes lie in the task; larger ones are boxed.
const INLINE_BYTES: usize = 128;

/// A task over bare vars. The engine orders it; what the body touches is the caller's promise.
///
/// A task that cannot be accepted (a var of another engine, an engine that has shut down) fails like any other: it
/// poisons what it writes. A var that is named more than once counts once, and as written if it is both read and written.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use varflow_engine::Engine;
/// # fn main() -> Result<(), varflow_engine::Error> {
/// let engine = Engine::builder().cpu_workers(2).build()?;
/// let (cell, var) = (Arc::new(AtomicU64::new(0)), engine.var()); // the var stands for the cell
/// for i in 1..=4 {
///     let cell = cell.clone();
///     engine.raw("append").write(&var).run(move |_| cell.store(10 * cell.load(Ordering::Relaxed) + i, Ordering::Relaxed));
/// }
/// var.wait()?;
/// assert_eq!(cell.load(Ordering::Relaxed), 1234);
/// # Ok(()) }
/// ```
#[must_use = "a task does nothing until run"]
pub struct RawTask<'a> {
    engine: &'a Engine,
    name: Name,
    site: &'static Location<'static>,
    priority: i32,
    lane: u16,
    accesses: AccessSet<'a>,
    rare: Option<Box<Rare>>,
}

/// What few tasks have.
#[derive(Default)]
struct Rare {
    misuse: Option<Cause>,
    /// Whether a var is inside a recorded schedule: then only that can have the task.
    inside: bool,
    token: Option<CancelToken>,
    room: Option<Room>,
}

impl<'a> RawTask<'a> {
    #[inline(always)]
    pub(crate) fn new(engine: &'a Engine, name: Name, site: &'static Location<'static>) -> Self {
        let accesses = AccessSet::default();
        RawTask { engine, name, site, priority: 0, lane: 0, accesses, rare: None }
    }

    /// Names a var that the task touches.
    #[inline(always)]
    pub fn access(mut self, var: &'a Var, mode: Mode) -> Self {
        if Arc::ptr_eq(var.core(), self.engine.core()) && !var.state().is_inside() {
            self.accesses.add(var, mode);
        } else {
            self.access_special(var, mode);
        }
        self
    }

    #[cold]
    fn access_special(&mut self, var: &'a Var, mode: Mode) {
        if Arc::ptr_eq(var.core(), self.engine.core()) {
            self.accesses.add(var, mode);
            self.rare().inside = true;
        } else {
            self.misuse(Cause::ForeignVar(format!("{var:?}")));
        }
    }

    /// Names a var that the task reads.
    #[inline(always)]
    pub fn read(self, var: &'a Var) -> Self {
        self.access(var, Mode::Read)
    }

    /// Names a var that the task changes.
    #[inline(always)]
    pub fn write(self, var: &'a Var) -> Self {
        self.access(var, Mode::Write)
    }

    /// Names a var whose whole state the task replaces.
    #[inline(always)]
    pub fn overwrite(self, var: &'a Var) -> Self {
        self.access(var, Mode::Overwrite)
    }

    /// As [`access`](Self::access), for bodies that hold a reference to what the var stands for: naming it twice, at
    /// least once exclusively, is refused.
    fn access_once(mut self, var: &'a Var, mode: Mode) -> Self {
        if self.accesses.has_conflict(var, mode) {
            self.misuse(Cause::NamedTwice(format!("{var:?}")));
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
        if !Arc::ptr_eq(&lane.core, self.engine.core()) {
            self.misuse(Cause::ForeignVar(format!("lane \"{}\"", lane.core.lane_name(lane.index))));
        } else if lane.core.is_removed(lane.index) {
            self.misuse(Cause::LaneRemoved(lane.core.lane_name(lane.index)));
        } else {
            self.lane = lane.index;
        }
        self
    }

    /// Fails the task with [`Cause::Cancelled`] if the token is cancelled before the task starts. Of several tokens the
    /// last one counts; [`CancelToken::child`] joins two.
    pub fn cancel_with(mut self, token: &CancelToken) -> Self {
        self.rare().token = Some(token.clone());
        self
    }

    /// Gives the task room that was waited for, so that its push does not wait: see [`Engine::room`].
    pub fn room(mut self, room: Room) -> Self {
        if Arc::ptr_eq(&room.core, self.engine.core()) {
            self.rare().room = Some(room);
        } else {
            self.misuse(Cause::ForeignVar("room".to_string()));
        }
        self
    }

    /// Pushes the task, and returns. The body runs when all vars are granted; what it returns says whether the task succeeded.
    #[inline(always)]
    pub fn run<R: Outcome>(self, body: impl FnOnce(&TaskCtx<'_>) -> R + Send + 'static) {
        if self.has_token() {
            self.run_unless_cancelled(Box::new(|ctx| body(ctx).into_result()));
        } else if fits(&body) {
            self.push(SyncBody(body));
        } else {
            let body = Box::new(body);
            self.push(SyncBody(move |ctx: &TaskCtx<'_>| body(ctx)));
        }
    }

    /// Pushes a task that is done when its token is used: see [`Completion`]. The body only starts the work.
    pub fn run_async(self, body: impl FnOnce(&TaskCtx<'_>, Completion) + Send + 'static) {
        if self.has_token() {
            self.run_async_unless_cancelled(Box::new(body));
        } else if fits(&body) {
            self.push(AsyncBody(body));
        } else {
            let body = Box::new(body);
            self.push(AsyncBody(move |ctx: &TaskCtx<'_>, token: Completion| body(ctx, token)));
        }
    }

    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    #[cold]
    fn misuse(&mut self, cause: Cause) {
        self.rare().misuse = Some(cause);
    }

    #[inline]
    fn has_token(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.token.is_some())
    }

    #[cold]
    fn run_unless_cancelled(mut self, body: BoxedBody) {
        let token = self.rare().token.take().unwrap_or_default();
        self.push(SyncBody(move |ctx: &TaskCtx<'_>| {
            token.check()?;
            body(ctx)
        }));
    }

    #[cold]
    fn run_async_unless_cancelled(mut self, body: BoxedAsyncBody) {
        let token = self.rare().token.take().unwrap_or_default();
        self.push(AsyncBody(move |ctx: &TaskCtx<'_>, done: Completion| match token.check() {
            Ok(()) => body(ctx, done),
            Err(Cancelled) => done.complete(Err(Cancelled.into())),
        }));
    }

    #[inline(always)]
    pub(crate) fn push<B: Body>(self, body: B) {
        let core = &**self.engine.core();
        let misused = self.rare.as_ref().is_some_and(|rare| rare.misuse.is_some() || rare.inside);
        if core.is_closed() || misused || self.accesses.vars().len() > MAX_ACCESSES {
            return self.refuse();
        }
        self.enter(body);
    }

    #[cold]
    fn refuse(mut self) {
        // A schedule's vars are its own: what is refused does not even poison them.
        let inside = self.accesses.drop_inside().map(|id| Cause::InsideVar(format!("var {id}")));
        self.accesses.normalise();
        let too_many = self.accesses.truncate(MAX_ACCESSES).map(Cause::TooManyVars);
        let cause = self.rare().misuse.take().or(inside).or(too_many).unwrap_or(Cause::ShutDown);
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
        let rare = self.rare.map(|rare| *rare).unwrap_or_default();
        let body = match rare.token {
            Some(token) => body.unless_cancelled(token),
            None => body,
        };
        recorder.add(self.engine, Task { header, accesses: self.accesses.pins().collect(), misuse: rare.misuse, body });
    }

    #[inline(always)]
    fn enter<B: Body>(mut self, body: B) {
        let core = &**self.engine.core();
        let header = Header { name: self.name, site: self.site, priority: self.priority, lane: self.lane };
        self.accesses.normalise();
        if let Some(bounds) = core.bounds() {
            bounds.enter(core, bounds.sum(self.accesses.written_bytes()), self.rare.and_then(|rare| rare.room));
        }
        push(core, TaskRef::new(core, header, self.accesses.vars(), body));
    }
}

type BoxedBody = Box<dyn FnOnce(&TaskCtx<'_>) -> Result<(), BoxError> + Send>;
type BoxedAsyncBody = Box<dyn FnOnce(&TaskCtx<'_>, Completion) + Send>;

fn fits<F>(_: &F) -> bool {
    size_of::<F>() <= INLINE_BYTES && align_of::<F>() <= 16
}

/// A task over typed values, at most eight of them. `A` is the tuple of its accesses so far.
///
/// The body gets `&T` for each value that is read and `&mut T` for each that is written, in the order in which they were named.
/// Naming a value twice, at least once to write it, fails the task with [`Cause::NamedTwice`].
///
/// ```
/// use varflow_engine::Engine;
/// # fn main() -> Result<(), varflow_engine::Error> {
/// let engine = Engine::builder().cpu_workers(2).build()?;
/// let (price, stock) = (engine.data(3), engine.data(10));
/// engine.task("sell").write(&stock).run(|stock| {
///     *stock -= 1;
///     if *stock < 0 { Err("sold out") } else { Ok(()) } // an error fails the task
/// });
/// let worth = engine.task("worth").read(&price).read(&stock).compute(|price, stock| price * stock);
/// assert_eq!(worth.wait()?, 27);
/// # Ok(()) }
/// ```
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

    /// Fails the task if the token is cancelled before it starts: see [`RawTask::cancel_with`].
    pub fn cancel_with(mut self, token: &CancelToken) -> Self {
        self.raw = self.raw.cancel_with(token);
        self
    }

    /// Gives the task room that was waited for: see [`Engine::room`].
    pub fn room(mut self, room: Room) -> Self {
        self.raw = self.raw.room(room);
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

            /// As `run`, with the task's context first: for [parallel loops](TaskCtx::parallel_for), and to push tasks.
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

            /// Pushes the task, whose result is a new value. It fails by a panic only: a `Result` that the body returns
            /// is the value.
            pub fn compute<R: Send + Sync + 'static>(
                self,
                body: impl for<'a> FnOnce($($name::Out<'a>),*) -> R + Send + 'static,
            ) -> Data<R> {
                let out = Data::new(self.raw.engine.var(), None);
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

            /// Names a value that the task replaces. The body is handed an empty place and fills it; a place left empty is a
            /// value that was never written. Success heals a poisoned value.
            pub fn overwrite<T: Send + Sync + 'static>(
                self,
                data: &Data<T>,
            ) -> TaskBuilder<'e, ($($name,)* Overwrite<T>,)> {
                TaskBuilder { raw: self.raw, accesses: ($(self.accesses.$index,)* Overwrite(data.clone()),) }
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
