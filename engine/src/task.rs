//! The life of a task: pushed, ready, running, done.

use crate::access::{Access, AccessSet, Mode};
use crate::engine::{Core, Engine};
use crate::error::{BoxError, Cause, Failure, Name, TaskId};
use crate::lane::Lane;
use crate::sync::{Arc, AtomicUsize, Mutex, Ordering, lock, thread_local};
use smallvec::SmallVec;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a task does.
pub(crate) enum Body {
    /// Done when it returns.
    Sync(Box<dyn FnOnce(&TaskCtx<'_>) -> Result<(), BoxError> + Send>),
    /// Done when its token is used.
    Async(Box<dyn FnOnce(&TaskCtx<'_>, Completion) + Send>),
    /// Runs where it is released, with the failure it read if any: for waits.
    Probe(Box<dyn FnOnce(Option<Failure>) + Send>),
}

/// A pushed task. Shared by the var queues in which it waits, the lane that runs it and its completion token.
///
/// `ungranted` counts the accesses that wait, plus one while it is being pushed; whoever brings it to zero makes the
/// task ready. `body` is taken by the one who runs it.
pub(crate) struct Task {
    pub(crate) id: TaskId,
    pub(crate) priority: i32,
    pub(crate) core: Arc<Core>,
    pub(crate) lane: Arc<dyn Lane>,
    pub(crate) accesses: AccessSet,
    pub(crate) ungranted: AtomicUsize,
    pub(crate) body: Mutex<Option<Body>>,
}

thread_local! {
    /// The tasks that this thread is running, outermost first.
    static RUNNING: RefCell<Vec<Arc<Task>>> = RefCell::new(Vec::new());
}

pub(crate) fn running() -> Option<Arc<Task>> {
    RUNNING.with(|r| r.borrow().last().cloned())
}

/// The tasks that this thread is running, outermost first.
pub(crate) fn running_stack() -> Vec<Arc<Task>> {
    RUNNING.with(|r| r.borrow().clone())
}

/// Marks `task` as the one that this thread runs, until dropped.
pub(crate) struct RunningMark;

impl RunningMark {
    pub(crate) fn new(task: Arc<Task>) -> Self {
        RUNNING.with(|r| r.borrow_mut().push(task));
        RunningMark
    }
}

impl Drop for RunningMark {
    fn drop(&mut self) {
        RUNNING.with(|r| r.borrow_mut().pop());
    }
}

impl Task {
    /// Enters all var queues at once, so that two tasks pushed from two threads stand in the same order everywhere.
    pub(crate) fn push(self: Arc<Self>) {
        let mut granted = 0;
        {
            let mut locks: SmallVec<[_; 4]> = self.accesses.iter().map(|a| (a.var.lock(), a.mode)).collect();
            for (var, mode) in &mut locks {
                granted += usize::from(var.queue.push(self.clone(), mode.is_exclusive()).is_some());
            }
        }
        self.release(granted + 1);
    }

    /// Grants `n` of what the task waits for.
    fn release(self: Arc<Self>, n: usize) {
        // AcqRel: pairs with the other releasers of this task, so that the last one sees what all tasks before wrote.
        if n > 0 && self.ungranted.fetch_sub(n, Ordering::AcqRel) == n {
            if matches!(&*lock(&self.body), Some(Body::Probe(_))) {
                ReadyTask(Some(self)).run();
            } else {
                let lane = self.lane.clone();
                lane.submit(ReadyTask(Some(self)));
            }
        }
    }

    fn inherited(&self) -> Option<Failure> {
        self.accesses.iter().filter(|a| a.mode.sees_old()).find_map(|a| a.var.lock().poison.clone())
    }

    fn run(self: Arc<Self>) {
        let Some(body) = lock(&self.body).take() else { return };
        let inherited = self.inherited();
        let body = match (body, inherited) {
            (Body::Probe(f), poison) => {
                f(poison);
                return self.finish(Ok(()));
            }
            (_, Some(failure)) => {
                let id = self.id.clone();
                return self.finish(Err(failure.through(id)));
            }
            (body, None) => body,
        };
        if self.core.is_cancelling() {
            let failure = Failure::new(self.id.clone(), Cause::Cancelled);
            return self.finish(Err(failure));
        }
        let mark = RunningMark::new(self.clone());
        let ctx = TaskCtx { task: &self };
        match body {
            Body::Sync(f) => {
                let outcome = catch_unwind(AssertUnwindSafe(|| f(&ctx)));
                drop(mark);
                let result = match outcome {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(e)) => Err(Cause::Failed(e)),
                    Err(panic) => Err(Cause::Panicked(panic_message(&*panic))),
                };
                let result = result.map_err(|c| Failure::new(self.id.clone(), c));
                self.finish(result);
            }
            Body::Async(f) => {
                let token = Completion { task: Some(self.clone()) };
                // A panic drops the token, unless the body has passed it on: then its holder still completes the task.
                let _ = catch_unwind(AssertUnwindSafe(|| f(&ctx, token)));
                drop(mark);
            }
            Body::Probe(_) => {}
        }
    }

    /// Poisons or heals what the task writes, lets the next ones go, and counts the task as done.
    fn finish(self: Arc<Self>, result: Result<(), Failure>) {
        if let Err(failure) = &result {
            self.core.note_failure(failure);
        }
        let mut released: SmallVec<[Arc<Task>; 8]> = SmallVec::new();
        for Access { var, mode } in self.accesses.iter() {
            let mut var = var.lock();
            match (&result, mode) {
                (Err(failure), Mode::Write | Mode::Overwrite) => var.poison = Some(failure.clone()),
                (Ok(()), Mode::Overwrite) => var.poison = None,
                _ => {}
            }
            var.queue.finish(mode.is_exclusive(), |t| released.push(t));
        }
        for task in released {
            task.release(1);
        }
        self.core.task_done();
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_string());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "(no message)".to_string())
}

/// A task whose turn has come. Dropping it without running it fails it.
pub struct ReadyTask(pub(crate) Option<Arc<Task>>);

impl ReadyTask {
    /// Runs the task's body on this thread, then lets the tasks that waited for it go.
    pub fn run(mut self) {
        if let Some(task) = self.0.take() {
            task.run();
        }
    }

    /// The priority it was pushed with: higher runs first.
    #[must_use]
    pub fn priority(&self) -> i32 {
        self.0.as_ref().map_or(0, |t| t.priority)
    }

    /// The name and push site.
    #[must_use]
    pub fn id(&self) -> Option<&TaskId> {
        self.0.as_ref().map(|t| &t.id)
    }
}

impl Drop for ReadyTask {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            drop(lock(&task.body).take());
            let failure = Failure::new(task.id.clone(), Cause::LaneGaveUp(task.lane.name().to_string()));
            task.finish(Err(failure));
        }
    }
}

/// The promise that an asynchronous task will be finished. Dropping it unused fails the task.
pub struct Completion {
    task: Option<Arc<Task>>,
}

impl Completion {
    /// Finishes the task.
    pub fn complete(mut self, result: Result<(), BoxError>) {
        if let Some(task) = self.task.take() {
            let result = result.map_err(|e| Failure::new(task.id.clone(), Cause::Failed(e)));
            task.finish(result);
        }
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            let failure = Failure::new(task.id.clone(), Cause::TokenDropped);
            task.finish(Err(failure));
        }
    }
}

/// What a task body can ask of the engine that runs it.
pub struct TaskCtx<'a> {
    task: &'a Arc<Task>,
}

impl TaskCtx<'_> {
    /// The task's name.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.task.id.name
    }

    /// Calls `body(i)` for every `i < n`, on this thread and on idle workers of the task's own lane, and returns when all
    /// calls have returned. A panic in `body` is passed on.
    pub fn parallel_for(&self, n: usize, body: &(dyn Fn(usize) + Sync)) {
        if n <= 1 {
            return (0..n).for_each(body);
        }
        let task = self.task;
        self.task.lane.parallel_for(n, &|i| {
            let _mark = RunningMark::new(task.clone());
            body(i);
        });
    }

    /// How many threads [`parallel_for`](Self::parallel_for) can use at most.
    #[must_use]
    pub fn width(&self) -> usize {
        self.task.lane.width()
    }

    /// The engine, to push further tasks. It does not keep the engine from shutting down.
    #[must_use]
    pub fn engine(&self) -> Engine {
        Engine::from_core(self.task.core.clone())
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
    fn into_result(self) -> Result<(), BoxError> {
        Ok(())
    }
}

impl<E: Into<BoxError>> Outcome for Result<(), E> {
    fn into_result(self) -> Result<(), BoxError> {
        self.map_err(Into::into)
    }
}

pub(crate) fn task_id(name: Name, site: &'static std::panic::Location<'static>) -> TaskId {
    TaskId { name, site }
}
