//! Asynchronous work: the run of a kernel or reduction that is done later.
#![expect(unsafe_code, reason = "tells the host that work is done")]

use crate::boundary::{c_text, catch, lock, panic_text};
use crate::{Context, Error, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use varflow_abi::{Completion, Status, status};

/// A run that is done when it is [completed](Self::complete), by whatever thread. Dropped unused it has failed, and the host is
/// told so.
///
/// ```
/// # use varflow_sdk::{Pending, Result};
/// fn start(run: Pending) {
///     std::thread::spawn(move || run.finish_with(|ctx| ctx.output::<f32>(0)?.map(&ctx.input::<f32>(0)?, |x| 2.0 * x)));
/// }
/// ```
pub struct Pending {
    context: Context<'static>,
    done: Completion,
    /// `None` once completed.
    stage: Option<Arc<Mutex<Stage>>>,
}

// SAFETY: it owns the only way to its run, whose tensors and functions the host lets any thread use until it is completed.
unsafe impl Send for Pending {}

/// Where the function that was handed the run is.
enum Stage {
    /// It is at work in this thread.
    Starting(ThreadId),
    /// It panicked and the run was dropped on the way out: it is for the function's caller to say so.
    Unwound,
    /// It returned, or panicked when the run was already elsewhere, with this message.
    Left(Option<String>),
}

impl Pending {
    /// Its inputs and outputs.
    #[must_use]
    pub fn context(&self) -> &Context<'_> {
        &self.context
    }

    /// Tells the host that the outputs are computed, or why not.
    pub fn complete(mut self, result: Result<()>) {
        self.tell(result);
    }

    /// Computes the outputs here and now and completes; a panic completes with an error.
    pub fn finish_with(mut self, body: impl FnOnce(&Context<'_>) -> Result<()>) {
        let result = catch(|| body(&self.context));
        self.tell(result);
    }

    fn tell(&mut self, mut result: Result<()>) {
        let Some(stage) = self.stage.take() else { return };
        if let Stage::Left(Some(message)) = &*lock(&stage) {
            result = Err(Error::panicked(message));
        }
        let Some(complete) = self.done.complete else { return };
        match result {
            // SAFETY: the host's token, used once: the stage is taken.
            Ok(()) => unsafe { complete(self.done.token, status::OK, std::ptr::null()) },
            Err(error) => {
                let message = c_text(&error.to_string());
                // SAFETY: as above; the message stays until the call returns.
                unsafe { complete(self.done.token, error.status(), message.as_ptr()) };
            }
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let Some(stage) = &self.stage else { return };
        if thread::panicking() {
            let mut stage = lock(stage);
            if matches!(&*stage, Stage::Starting(thread) if *thread == thread::current().id()) {
                *stage = Stage::Unwound;
                drop(stage);
                self.stage = None;
                return;
            }
        }
        let why = if thread::panicking() {
            Error::panicked("the thread that was to complete this run panicked")
        } else {
            Error::new("the plug-in dropped this run without completing it")
        };
        self.tell(Err(why));
    }
}

/// Hands a run to the function that starts it.
///
/// # Safety
/// The context's run and `done` are those of the host's call, and stay until `done` is completed.
pub(crate) unsafe fn start(context: Context<'static>, done: Completion, begin: impl FnOnce(Pending)) -> Result<Status> {
    let stage = Arc::new(Mutex::new(Stage::Starting(thread::current().id())));
    let pending = Pending { context, done, stage: Some(Arc::clone(&stage)) };
    let panic = catch_unwind(AssertUnwindSafe(|| begin(pending))).err().map(panic_text);
    let mut stage = lock(&stage);
    match (panic, &*stage) {
        // The run is not completed and never will be: so says the status.
        (message, Stage::Unwound) => Err(Error::panicked(
            message.unwrap_or_else(|| "a panic that the plug-in caught dropped this run".to_string()),
        )),
        (message, _) => {
            *stage = Stage::Left(message);
            Ok(status::OK)
        }
    }
}
