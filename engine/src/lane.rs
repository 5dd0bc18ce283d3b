//! A lane runs ready tasks: a pool of threads, a device queue, or an embedder's own executor.

use crate::error::Error;
use crate::task::ReadyTask;

/// Runs the tasks that are handed to it. The engine has done all ordering: a lane may run its tasks in any order and
/// side by side.
///
/// Contract: [`submit`](Lane::submit) never blocks for long and never runs engine code other than the task; each task is
/// run once, or dropped (then it fails with [`Cause::LaneGaveUp`](crate::Cause::LaneGaveUp)). A panic in `submit` goes
/// nowhere: the task that it drops fails, and one that it had kept is still the lane's to run.
pub trait Lane: Send + Sync + 'static {
    /// The name told in errors and traces.
    fn name(&self) -> &str;

    /// Takes a ready task, to be run by [`ReadyTask::run`].
    fn submit(&self, task: ReadyTask);

    /// How many tasks can run at once.
    fn width(&self) -> usize {
        1
    }

    /// Calls `body(i)` for every `i < n`, on as many threads as are idle, and returns when all calls have returned.
    fn parallel_for(&self, n: usize, body: &(dyn Fn(usize) + Sync)) {
        (0..n).for_each(body);
    }

    /// Runs one ready task on the calling thread, which is inside a task of this lane and is about to wait.
    /// Returns whether there was one. For lanes whose threads would otherwise be the only ones to run it.
    fn help(&self) -> bool {
        false
    }

    /// The calling thread, which runs a task of this lane, is about to block. A lane with few threads puts another in
    /// its place.
    ///
    /// # Errors
    /// When no other thread can be had.
    fn begin_block(&self) -> Result<(), Error> {
        Ok(())
    }

    /// The thread goes on. Pairs with [`begin_block`](Lane::begin_block).
    fn end_block(&self) {}

    /// Stops the lane's threads: the engine closes, or the lane is removed from it. Tasks that run may finish; those that
    /// have not started are dropped, and so is any that another thread hands over now or later. It may be called from
    /// one of its own threads.
    fn shutdown(&self) {}
}
