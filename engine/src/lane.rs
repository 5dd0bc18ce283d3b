//! A lane runs ready tasks: a pool of threads, a device queue, or an embedder's own executor.

use crate::error::Error;
use crate::fence::Fence;
use crate::task::ReadyTask;

/// Runs the tasks that are handed to it. The engine has done all ordering: a lane may run its tasks in any order and
/// side by side.
///
/// # Contract
/// [`conformance::check`](crate::conformance::check) tells whether a lane keeps it.
///
/// 1. **Nothing is lost.** Each task handed to [`submit`](Lane::submit) is run, or dropped; then it fails with
///    [`Cause::LaneGaveUp`](crate::Cause::LaneGaveUp). That it is run only once needs no care: running takes it. A panic in
///    `submit` goes nowhere: the task that it drops fails, and one that the lane had kept is still the lane's to run.
/// 2. **Submitting does not wait** for any task that has started, on whatever thread. It may run tasks on the calling thread.
///    It is called by many threads at once, and by threads that run or drop a task of this lane: a lane holds no lock
///    while it runs or drops one.
/// 3. **Priorities are honoured.** Of the tasks that are ready, one of the highest priority runs next.
/// 4. **The width is true.** As many tasks as [`width`](Lane::width) says run side by side if so many are ready, and never
///    more. Tasks that block in a wait do not count; those that go on after one may be too many, until they end.
/// 5. **Loops are complete.** [`parallel_for`](Lane::parallel_for) calls its body once for each index, and returns when no
///    call runs any more. If a call panics it does too, with the same payload; then indices may be left out. Loops are
///    nested, and run by several tasks at once.
/// 6. **Failing tasks do no harm.** A body that panics is caught by [`ReadyTask::run`], which does not panic; the lane goes on.
/// 7. **Waiting tasks do not starve the lane.** However many tasks of the lane block in waits, others run, also those
///    handed over later: [`begin_block`](Lane::begin_block) tells of each.
/// 8. **Nothing is kept back from those who wait.** While a wait lasts ([`begin_wait`](Lane::begin_wait)), or from the
///    start, ready tasks run without any further call.
/// 9. **Shutdown leaves nothing behind.** [`shutdown`](Lane::shutdown) returns, from a task of the lane too; tasks that the lane
///    still has, and tasks handed over later, are run or dropped as in rule 1. It may be called again.
///
/// # Example
/// A lane that counts what it is handed, and leaves the rest to a [`Pool`](crate::Pool). `docs/engine.md` in the repository has one with
/// threads of its own.
/// ```
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// use varflow_engine::{Engine, Error, Lane, Pool, ReadyTask, conformance};
///
/// struct Counted(Pool, AtomicUsize);
///
/// impl Lane for Counted {
///     fn name(&self) -> &str {
///         "counted"
///     }
///     fn submit(&self, task: ReadyTask) {
///         self.1.fetch_add(1, Ordering::Relaxed);
///         self.0.submit(task);
///     }
///     fn width(&self) -> usize {
///         self.0.width()
///     }
///     fn parallel_for(&self, n: usize, body: &(dyn Fn(usize) + Sync)) {
///         self.0.parallel_for(n, body);
///     }
///     fn begin_block(&self) -> Result<(), Error> {
///         self.0.begin_block()
///     }
///     fn end_block(&self) {
///         self.0.end_block();
///     }
///     fn shutdown(&self) {
///         self.0.shutdown();
///     }
/// }
///
/// let counted = || Counted(Pool::start("workers", 2).unwrap(), AtomicUsize::new(0));
/// conformance::check(counted).unwrap();
/// let engine = Engine::builder().lane(counted()).build()?;
/// assert_eq!(engine.task("answer").compute(|| 42).wait()?, 42);
/// # Ok::<(), Error>(())
/// ```
pub trait Lane: Send + Sync + 'static {
    /// The name told in errors and traces.
    fn name(&self) -> &str;

    /// Takes a ready task, to be run by [`ReadyTask::run`]. Rules 1 and 2.
    fn submit(&self, task: ReadyTask);

    /// Whether this lane orders its own work after the fence by itself, on the device. Then a task that comes after the
    /// fence is submitted before it has fired, and the lane has to see to the task's [`ReadyTask::fences`]. Bodies of such a lane
    /// issue work and end with a fence of their own; one that ends without says that it is done, on the device too, whatever
    /// becomes of the fences before it.
    fn understands(&self, fence: &dyn Fence) -> bool {
        let _ = fence;
        false
    }

    /// How many tasks can run at once. Rule 4.
    fn width(&self) -> usize {
        1
    }

    /// Calls `body(i)` for every `i < n`, on as many threads as are idle, and returns when all calls have returned. Rule 5.
    fn parallel_for(&self, n: usize, body: &(dyn Fn(usize) + Sync)) {
        (0..n).for_each(body);
    }

    /// Runs one ready task on the calling thread, which is inside a task of this lane and is about to wait.
    /// Returns whether there was one. For lanes whose threads would otherwise be the only ones to run it.
    fn help(&self) -> bool {
        false
    }

    /// The calling thread, which runs a task of this lane, is about to block. A lane with few threads puts another in
    /// its place. Rule 7.
    ///
    /// # Errors
    /// When no other thread can be had.
    fn begin_block(&self) -> Result<(), Error> {
        Ok(())
    }

    /// The thread goes on. Pairs with [`begin_block`](Lane::begin_block).
    fn end_block(&self) {}

    /// A thread or a future begins to wait for tasks, perhaps of this lane; `is_over` tells whether it still needs to.
    /// A lane that keeps ready tasks back while nobody waits runs them on the calling thread until the wait is over or none
    /// is left, and keeps none back before the matching [`end_wait`](Lane::end_wait). Rule 8.
    fn begin_wait(&self, is_over: &dyn Fn() -> bool) {
        let _ = is_over;
    }

    /// The wait has ended. Pairs with [`begin_wait`](Lane::begin_wait).
    fn end_wait(&self) {}

    /// Stops the lane's threads: the engine closes, or the lane is removed from it. Tasks that run may finish; those that
    /// have not started are best dropped. It may be called from one of the lane's threads, and more than once. Rule 9.
    fn shutdown(&self) {}
}
