//! Tasks in the hands of others: lanes, bodies, and who completes what a body has begun.
#![expect(unsafe_code, reason = "a task lives until it is run, dropped or completed, and takes its engine with it")]

use super::{as_running, fences, finish_here, finish_issued, give_up, hand_on_all, run};
use crate::engine::{Core, Engine};
use crate::error::{BoxError, Cause, TaskId};
use crate::fence::Fence;
use crate::name::Name;
use crate::node::TaskRef;
use crate::sync::Arc;
use crate::task::Scratch;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A task whose turn has come, in the hands of its [`Lane`](crate::Lane). Dropping it without running it fails it with
/// [`Cause::LaneGaveUp`].
pub struct ReadyTask(Option<TaskRef>);

impl ReadyTask {
    /// Runs the task's body on this thread, then lets the tasks that waited for it go: that hands them to their lanes, this one
    /// perhaps among them. A task that reads poison, or is cancelled, ends without its body being called. Does not panic.
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

    /// The fences that the task comes after and that may not have fired. Only lanes that
    /// [understand](crate::Lane::understands) fences are handed tasks with any that count.
    #[must_use]
    pub fn fences(&self) -> Vec<Arc<dyn Fence>> {
        self.0.map(fences).unwrap_or_default()
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

/// The promise that an asynchronous task will be finished, by [`complete`](Completion::complete) or
/// [`fence`](Completion::fence), on any thread. Dropping it unused fails the task with [`Cause::TokenDropped`].
///
/// ```
/// use varflow_engine::Engine;
/// # fn main() -> Result<(), varflow_engine::Error> {
/// let engine = Engine::builder().cpu_workers(1).build()?;
/// let page = engine.var();
/// engine.raw("fetch").overwrite(&page).run_async(|_ctx, token| {
///     std::thread::spawn(move || token.complete(Err("no network".into())));
/// });
/// assert!(page.wait().is_err_and(|e| e.to_string().ends_with("failed: no network")));
/// # Ok(()) }
/// ```
pub struct Completion {
    task: TaskRef,
    core: Arc<Core>,
}

impl Completion {
    /// Finishes the task: lets go what waits for it, on this thread. An error fails it, as one that a body returns.
    pub fn complete(self, result: Result<(), BoxError>) {
        let this = std::mem::ManuallyDrop::new(self);
        // SAFETY: `this` is not dropped, so the count is moved out once.
        let core = unsafe { std::ptr::read(&raw const this.core) };
        finish_here(&core, this.task, result.map_err(Cause::of_body));
    }

    /// Says that the task's work is issued on a device, and is done when `fence` fires. What comes after it on lanes that
    /// understand the fence starts now; all else starts then.
    pub fn fence(self, fence: Arc<dyn Fence>) {
        let this = std::mem::ManuallyDrop::new(self);
        // SAFETY: `this` is not dropped, so the count is moved out once.
        let core = unsafe { std::ptr::read(&raw const this.core) };
        finish_issued(&core, this.task, fence);
    }

    pub(crate) fn new(task: TaskRef, core: Arc<Core>) -> Completion {
        Completion { task, core }
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        let cause = if std::thread::panicking() {
            Cause::Panicked("before it used its completion token".to_string())
        } else {
            Cause::TokenDropped
        };
        finish_here(&self.core, self.task, Err(cause));
    }
}

/// What a task body can ask of the engine that runs it.
pub struct TaskCtx<'a> {
    task: TaskRef,
    argument: u64,
    _running: std::marker::PhantomData<&'a ()>,
}

impl TaskCtx<'_> {
    /// The context of a task that this thread is about to run.
    pub(crate) fn new(task: TaskRef, argument: u64) -> Self {
        TaskCtx { task, argument, _running: std::marker::PhantomData }
    }

    fn core(&self) -> &Core {
        // SAFETY: the task runs, so the core lives.
        unsafe { self.task.core().as_ref() }
    }

    /// The task's name.
    #[must_use]
    pub fn name(&self) -> &Name {
        self.task.name()
    }

    /// What this run of the task's schedule was [submitted with](crate::Schedule::submit_with); 0 for all other tasks.
    #[must_use]
    pub fn argument(&self) -> u64 {
        self.argument
    }

    /// Calls `body(i)` for every `i < n`, on this thread and on idle workers of the task's own lane, and returns when all
    /// calls have returned. A panic in `body` is passed on. Locks over parts of a value (`Mutex<&mut [T]>`, one for each index) let
    /// the body write; they are never contended.
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
