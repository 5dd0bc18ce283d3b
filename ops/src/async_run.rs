//! One run of an asynchronous kernel or reduction.

use crate::{KernelCtx, Result};
use std::any::Any;
use std::sync::Arc;
use varflow_engine::Completion;

/// Work that is started and not yet done: it keeps the tensors, and the promise to the engine that somebody will
/// [complete](Self::complete) it. Dropped before, it fails its task.
pub struct AsyncRun {
    /// `'static` for want of a name: it is valid until `done` is used.
    ctx: KernelCtx<'static>,
    done: Completion,
    _keep: Arc<dyn Any + Send + Sync>,
}

impl AsyncRun {
    /// Of views that are valid until `done` is used, in memory that `keep` keeps.
    pub(crate) fn new(ctx: KernelCtx<'static>, keep: Arc<dyn Any + Send + Sync>, done: Completion) -> Self {
        AsyncRun { ctx, done, _keep: keep }
    }

    /// Inputs, outputs, workspace and random numbers. It has no workers to spread loops over.
    pub fn ctx(&mut self) -> KernelCtx<'_> {
        self.ctx.reborrow()
    }

    /// Ends the run: lets go what waits for it, on this thread. An error fails its task.
    pub fn complete(self, result: Result<()>) {
        let AsyncRun { ctx, done, _keep } = self;
        drop(ctx);
        done.complete(result.map_err(Into::into));
    }
}
