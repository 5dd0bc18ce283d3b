//! Loops over idle workers.
#![expect(unsafe_code, reason = "crosses to the host's workers and back")]

use crate::boundary::lock;
use crate::place;
use std::any::Any;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use varflow_abi::Run;

/// What the host's workers are handed.
struct Job<'a> {
    body: &'a (dyn Fn(usize) + Sync),
    /// The first panic; it goes on in the thread that began the loop.
    panic: Mutex<Option<Panic>>,
}

struct Panic {
    payload: Box<dyn Any + Send>,
    place: Option<String>,
}

/// Calls `body(i)` for every `i < n`, and returns when all are done.
///
/// # Safety
/// `run` is the host's, and may be used.
pub(crate) unsafe fn parallel_for(run: &Run, n: usize, body: &(dyn Fn(usize) + Sync)) {
    let Some(spread) = run.parallel_for.filter(|_| n > 1 && run.width > 1) else {
        return (0..n).for_each(body);
    };
    let job = Job { body, panic: Mutex::new(None) };
    // SAFETY: the host calls `piece` with this job only, and is done with it when this returns.
    unsafe { spread(run.host, n, Some(piece), (&raw const job).cast_mut().cast()) };
    let panic = lock(&job.panic).take();
    if let Some(Panic { payload, place }) = panic {
        place::set(place);
        resume_unwind(payload);
    }
}

/// # Safety
/// `closure` is the [`Job`] of a loop that runs.
unsafe extern "C" fn piece(closure: *mut c_void, i: usize) {
    // SAFETY: by the contract.
    let job = unsafe { &*closure.cast::<Job<'_>>() };
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (job.body)(i))) {
        let mut first = lock(&job.panic);
        if first.is_none() {
            *first = Some(Panic { payload: panic, place: place::take() });
        } else {
            // Dropping a value that somebody panicked with may panic again.
            std::mem::forget(panic);
        }
    }
}
