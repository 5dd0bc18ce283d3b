//! The life of a task: pushed, ready, running, done.
#![expect(unsafe_code, reason = "keeps the promises that the task's memory layout asks for")]

use crate::access::Mode;
use crate::engine::{Core, Engine};
use crate::error::{BoxError, Cause, Failure, TaskId};
use crate::name::Name;
use crate::node::{Call, TaskList, TaskRef};
use crate::slab::Freed;
use crate::sync::{Arc, Ordering, SpinGuard, thread_local};
use crate::var::{Ordered, Poison, VarState};
use smallvec::SmallVec;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

/// How deep the handing on of tasks may nest: see `hand_on_all`.
const MAX_DEPTH: u32 = 64;

/// A task that this thread runs, on its stack; the one beneath is further down the same stack.
#[derive(Clone, Copy)]
struct Frame {
    task: TaskRef,
    beneath: Option<NonNull<Frame>>,
}

thread_local! {
    /// The innermost task that this thread runs.
    #[allow(clippy::missing_const_for_thread_local)] // loom's threads know no constants
    static RUNNING: Cell<Option<NonNull<Frame>>> = Cell::new(None);

    /// How many calls of `hand_on_all` are nested on this thread, and the tasks that were left because it were too many.
    #[allow(clippy::missing_const_for_thread_local)]
    static DEPTH: Cell<u32> = Cell::new(0);
    static LEFT: Cell<TaskList> = Cell::new(TaskList::default());
}

/// The tasks that this thread runs, innermost first. They live: this thread is inside them.
pub(crate) fn running() -> Vec<TaskRef> {
    let mut out = Vec::new();
    let mut at = RUNNING.with(Cell::get);
    while let Some(frame) = at {
        // SAFETY: frames lie on this thread's stack and are taken out of `RUNNING` before they go.
        let frame = unsafe { *frame.as_ref() };
        out.push(frame.task);
        at = frame.beneath;
    }
    out
}

/// Whether this thread runs a task.
pub(crate) fn is_running() -> bool {
    RUNNING.with(Cell::get).is_some()
}

/// Runs `body` with `task` marked as the one that this thread runs. `body` does not unwind.
#[inline]
fn as_running<R>(task: TaskRef, body: impl FnOnce() -> R) -> R {
    let frame = Frame { task, beneath: RUNNING.with(Cell::get) };
    RUNNING.with(|r| r.set(Some(NonNull::from(&frame))));
    let result = body();
    RUNNING.with(|r| r.set(frame.beneath));
    result
}

/// What a thread that runs tasks keeps for itself between them.
pub(crate) struct Scratch {
    /// Where this thread counts finished tasks.
    pub(crate) counter: usize,
    /// Tasks that became ready and are not handed on yet.
    pub(crate) ready: TaskList,
    freed: Freed,
}

impl Scratch {
    pub(crate) fn new(counter: usize) -> Self {
        Scratch { counter, ready: TaskList::default(), freed: Freed::default() }
    }

    /// Gives back the memory of finished tasks.
    pub(crate) fn flush(&mut self, core: &Core) {
        self.freed.flush(&core.slab);
    }
}

/// Enters all var queues at once, so that two tasks pushed from two threads stand in the same order everywhere. Runs or
/// hands on the task if nothing holds it up.
pub(crate) fn push(core: &Core, task: TaskRef) {
    core.task_begun();
    let waits = enter(task);
    if waits == 0 {
        hand_on(core, task);
    }
}

/// Returns how many accesses were not granted. If any, the task may be gone when this returns.
#[inline]
fn enter(task: TaskRef) -> u32 {
    let mut slots = task.slots();
    match (slots.next(), slots.len()) {
        (None, _) => 0,
        (Some(slot), 0) => {
            // Relaxed: published by the lock.
            task.ungranted().store(1, Ordering::Relaxed);
            let granted = slot.var().lock().queue.push(slot, slot.mode().is_exclusive());
            u32::from(!granted)
        }
        _ => {
            let mut waits = 0;
            let mut guards: SmallVec<[SpinGuard<'static, Ordered>; 4]> = SmallVec::new();
            for slot in task.slots() {
                let mut guard = slot.var().lock();
                waits += u32::from(!guard.queue.push(slot, slot.mode().is_exclusive()));
                // SAFETY: the var lives while the task, which holds or awaits it, does: the task cannot finish before
                // the guards are dropped, or, if it is granted everything, before it is handed on below.
                guards.push(unsafe { std::mem::transmute::<SpinGuard<'_, _>, SpinGuard<'static, _>>(guard) });
            }
            // Relaxed: nobody can grant before the locks are released.
            task.ungranted().store(waits, Ordering::Relaxed);
            waits
        }
    }
}

/// Gives a ready task to its lane, or runs it here.
fn hand_on(core: &Core, task: TaskRef) {
    if !task.call().is_inline() && !core.is_removed(task.lane()) {
        return core.submit(task);
    }
    let mut scratch = Scratch::new(0);
    scratch.ready.push(task);
    hand_on_all(core, &mut scratch);
}

/// Hands on what became ready on a thread that is no worker, and gives back what it freed.
///
/// A lane may run or drop a task while it is handed over, which ends here again, so a long chain of such tasks would
/// nest as deep. Beyond a limit what becomes ready is therefore left to the deepest caller that may still hand on.
fn hand_on_all(core: &Core, scratch: &mut Scratch) {
    let depth = DEPTH.with(Cell::get);
    if depth == MAX_DEPTH {
        LEFT.with(|left| {
            let mut list = left.take();
            std::iter::from_fn(|| scratch.ready.pop()).for_each(|task| list.push(task));
            left.set(list);
        });
        return scratch.flush(core);
    }
    DEPTH.with(|d| d.set(depth + 1));
    hand_on_each(core, scratch);
    if depth + 1 == MAX_DEPTH {
        while let Some((core, mut scratch)) = take_left() {
            hand_on_each(&core, &mut scratch);
        }
    }
    DEPTH.with(|d| d.set(depth));
}

/// Hands on what was left by callers nested too deep. For threads that are about to wait, perhaps for just that.
pub(crate) fn hand_on_left() {
    let depth = DEPTH.with(|d| d.replace(0));
    while let Some((core, mut scratch)) = take_left() {
        hand_on_all(&core, &mut scratch);
    }
    DEPTH.with(|d| d.set(depth));
}

/// One of the tasks left, in a scratch of its own: they may be different engines'.
fn take_left() -> Option<(Arc<Core>, Scratch)> {
    let mut list = LEFT.with(Cell::take);
    let task = list.pop();
    LEFT.with(|left| left.set(list));
    let task = task?;
    let mut scratch = Scratch::new(0);
    scratch.ready.push(task);
    Some((ReadyTask::core_of(task), scratch))
}

fn hand_on_each(core: &Core, scratch: &mut Scratch) {
    while let Some(task) = scratch.ready.pop() {
        if task.call().is_inline() {
            run(task, scratch);
        } else {
            hand_over(core, task, scratch);
        }
    }
    scratch.flush(core);
}

/// Gives a ready task to its lane, or fails it if that was removed.
#[inline]
pub(crate) fn hand_over(core: &Core, task: TaskRef, scratch: &mut Scratch) {
    if core.is_removed(task.lane()) { give_up(core, task, scratch) } else { core.submit(task) }
}

/// The poison that a task inherits: of the var with the lowest number, so that it does not depend on addresses.
fn inherited(task: TaskRef) -> Option<Failure> {
    let mut found: Option<(usize, Failure)> = None;
    for slot in task.slots().filter(|s| s.mode().sees_old()) {
        // SAFETY: the task holds the var.
        let poison = unsafe { slot.var().poison() };
        if let Some(failure) = poison.filter(|_| found.as_ref().is_none_or(|(id, _)| *id > slot.var().id())) {
            found = Some((slot.var().id(), failure.clone()));
        }
    }
    found.map(|(_, failure)| failure)
}

/// Runs a ready task; what becomes ready by it is left in `scratch`.
#[inline]
pub(crate) fn run(task: TaskRef, scratch: &mut Scratch) {
    let poison = inherited(task);
    if !task.call().is_inline() {
        if let Some(failure) = poison {
            let failure = failure.through(task.id());
            return finish(task, Err(&failure), scratch);
        }
        // SAFETY: the core outlives its tasks.
        if unsafe { task.core().as_ref() }.is_cancelling() {
            return fail(task, Cause::Cancelled, scratch);
        }
        let Some(body) = task.take_body() else { return };
        return call(task, body, scratch);
    }
    let Some(body) = task.take_body() else { return };
    match task.call() {
        Call::Probe(f) => {
            // SAFETY: the closure was just taken, and is of this type.
            unsafe { f(body, poison) };
            finish(task, Ok(()), scratch);
        }
        Call::Refused(f) => {
            // SAFETY: as above.
            let cause = unsafe { f(body) };
            fail(task, cause, scratch);
        }
        Call::Sync(_) | Call::Async(_) => {}
    }
}

#[inline]
fn call(task: TaskRef, body: NonNull<u8>, scratch: &mut Scratch) {
    match task.call() {
        Call::Sync(f) => {
            // SAFETY: the closure was just taken, and is of this type.
            let body = || unsafe { f(body, &TaskCtx { task, _running: std::marker::PhantomData }) };
            match as_running(task, || catch_unwind(AssertUnwindSafe(body))) {
                Ok(Ok(())) => finish(task, Ok(()), scratch),
                Ok(Err(e)) => fail(task, Cause::of_body(e), scratch),
                Err(panic) => fail(task, Cause::Panicked(panic_message(&*panic)), scratch),
            }
        }
        Call::Async(f) => {
            // SAFETY: the core outlives its tasks.
            let core = unsafe { task.core().as_ref() }.this();
            // The task's memory goes when both the body has returned and the token is used. Relaxed: seen by whoever
            // gets the token.
            task.ungranted().store(2, Ordering::Relaxed);
            let token = Completion { task, core };
            // SAFETY: as above.
            let body = || unsafe { f(body, &TaskCtx { task, _running: std::marker::PhantomData }, token) };
            // A panic drops the token, unless the body has passed it on: then its holder still completes the task.
            let _ = as_running(task, || catch_unwind(AssertUnwindSafe(body)));
            if task.grant_one() {
                // SAFETY: the token was used, so all accesses are finished; the body has returned.
                unsafe { task.free(&mut scratch.freed) };
            }
        }
        Call::Probe(_) | Call::Refused(_) => {}
    }
}

#[cold]
fn fail(task: TaskRef, cause: Cause, scratch: &mut Scratch) {
    let failure = Failure::new(task.id(), cause);
    // SAFETY: the core outlives its tasks.
    unsafe { task.core().as_ref() }.note_failure(&failure);
    finish(task, Err(&failure), scratch);
}

/// Poisons or heals what the task writes, lets the next ones go, frees the task and counts it as done.
#[inline]
fn finish(task: TaskRef, result: Result<(), &Failure>, scratch: &mut Scratch) {
    let core = task.core();
    // SAFETY: the core outlives the count of this task.
    let counted = unsafe { core.as_ref() }.bounds().filter(|_| !matches!(task.call(), Call::Probe(_)));
    // The vars may go with their accesses, so this comes first.
    let counted = counted.map(|bounds| (bounds, bounds.sum(written_bytes(task))));
    for slot in task.slots() {
        let (var, mode) = (slot.var_ptr(), slot.mode());
        let poison = match (result, mode) {
            (Err(failure), Mode::Write | Mode::Overwrite) => Poison::Set(failure),
            (Ok(()), Mode::Overwrite) => Poison::Heal,
            _ => Poison::Keep,
        };
        // SAFETY: the task is granted all its accesses and ends each once.
        unsafe { VarState::finish(var, mode.is_exclusive(), poison, |t| scratch.ready.push(t)) };
    }
    // Relaxed: set by this thread, or before the token came to it.
    if task.ungranted().load(Ordering::Relaxed) == 0 || task.grant_one() {
        // SAFETY: all accesses are finished, and whoever ran the body has let go of it.
        unsafe { task.free(&mut scratch.freed) };
    }
    if let Some((bounds, bytes)) = counted {
        bounds.leave(bytes);
    }
    // SAFETY: the core outlives the count of this task.
    unsafe { core.as_ref() }.task_done(scratch.counter);
}

/// The sizes of the vars that the task writes.
fn written_bytes(task: TaskRef) -> impl Iterator<Item = u64> {
    task.slots().filter(|slot| slot.mode().is_exclusive()).map(|slot| slot.var().lock().size_bytes())
}

/// As `finish`, on a thread that is no worker.
fn finish_here(core: &Core, task: TaskRef, result: Result<(), Cause>) {
    let mut scratch = Scratch::new(0);
    match result {
        Ok(()) => finish(task, Ok(()), &mut scratch),
        Err(cause) => fail(task, cause, &mut scratch),
    }
    hand_on_all(core, &mut scratch);
}

/// Ends a ready task that its lane does not run.
#[cold]
fn give_up(core: &Core, task: TaskRef, scratch: &mut Scratch) {
    if let Some(failure) = inherited(task) {
        return finish(task, Err(&failure.through(task.id())), scratch);
    }
    let lane = core.lane_name(task.lane());
    let is_removed = core.is_removed(task.lane());
    fail(task, if is_removed { Cause::LaneRemoved(lane) } else { Cause::LaneGaveUp(lane) }, scratch);
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_string());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "(no message)".to_string())
}

/// A task whose turn has come. Dropping it without running it fails it.
pub struct ReadyTask(Option<TaskRef>);

impl ReadyTask {
    /// Runs the task's body on this thread, then lets the tasks that waited for it go.
    pub fn run(mut self) {
        if let Some(task) = self.0.take() {
            let core = Self::core_of(task);
            let mut scratch = Scratch::new(0);
            run(task, &mut scratch);
            hand_on_all(&core, &mut scratch);
        }
    }

    /// Takes the bare task out; the caller runs it.
    #[inline]
    pub(crate) fn into_task(mut self) -> Option<TaskRef> {
        self.0.take()
    }

    /// The engine of a pending task.
    pub(crate) fn core_of(task: TaskRef) -> Arc<Core> {
        // SAFETY: the core lives while a task is pending.
        unsafe { task.core().as_ref() }.this()
    }

    /// Makes a handle again of a bare task.
    pub(crate) fn from_task(task: TaskRef) -> Self {
        ReadyTask(Some(task))
    }

    /// The priority it was pushed with: higher runs first.
    #[must_use]
    pub fn priority(&self) -> i32 {
        self.0.map_or(0, TaskRef::priority)
    }

    /// The name and push site.
    #[must_use]
    pub fn id(&self) -> Option<TaskId> {
        self.0.map(TaskRef::id)
    }
}

impl Drop for ReadyTask {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            let core = Self::core_of(task);
            let mut scratch = Scratch::new(0);
            give_up(&core, task, &mut scratch);
            hand_on_all(&core, &mut scratch);
        }
    }
}

/// The promise that an asynchronous task will be finished. Dropping it unused fails the task.
pub struct Completion {
    task: TaskRef,
    core: Arc<Core>,
}

impl Completion {
    /// Finishes the task.
    pub fn complete(self, result: Result<(), BoxError>) {
        let this = std::mem::ManuallyDrop::new(self);
        // SAFETY: `this` is not dropped, so the count is moved out once.
        let core = unsafe { std::ptr::read(&raw const this.core) };
        finish_here(&core, this.task, result.map_err(Cause::of_body));
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        finish_here(&self.core, self.task, Err(Cause::TokenDropped));
    }
}

/// What a task body can ask of the engine that runs it.
pub struct TaskCtx<'a> {
    task: TaskRef,
    _running: std::marker::PhantomData<&'a ()>,
}

impl TaskCtx<'_> {
    fn core(&self) -> &Core {
        // SAFETY: the task runs, so the core lives.
        unsafe { self.task.core().as_ref() }
    }

    /// The task's name.
    #[must_use]
    pub fn name(&self) -> &Name {
        self.task.name()
    }

    /// Calls `body(i)` for every `i < n`, on this thread and on idle workers of the task's own lane, and returns when all
    /// calls have returned. A panic in `body` is passed on.
    pub fn parallel_for(&self, n: usize, body: &(dyn Fn(usize) + Sync)) {
        if n <= 1 {
            return (0..n).for_each(body);
        }
        let task = self.task;
        self.core().lane(task.lane()).parallel_for(n, &|i| {
            let result = as_running(task, || catch_unwind(AssertUnwindSafe(|| body(i))));
            if let Err(panic) = result {
                std::panic::resume_unwind(panic);
            }
        });
    }

    /// How many threads [`parallel_for`](Self::parallel_for) can use at most.
    #[must_use]
    pub fn width(&self) -> usize {
        self.core().lane(self.task.lane()).width()
    }

    /// The engine, to push further tasks. It does not keep the engine from shutting down.
    #[must_use]
    pub fn engine(&self) -> Engine {
        Engine::from_core(self.core().this())
    }
}

/// What a task body may return: nothing, or a result whose error fails the task.
pub trait Outcome {
    /// As a result.
    ///
    /// # Errors
    /// The body's own.
    fn into_result(self) -> Result<(), BoxError>;
}

impl Outcome for () {
    #[inline]
    fn into_result(self) -> Result<(), BoxError> {
        Ok(())
    }
}

impl<E: Into<BoxError>> Outcome for Result<(), E> {
    fn into_result(self) -> Result<(), BoxError> {
        self.map_err(Into::into)
    }
}
