//! Foreign code where the engine cannot do without what comes after it.
//!
//! What a program hands to the engine (bodies, errors, what a panic carries, wakers) is dropped where tasks end, on any
//! thread, between steps that must all be taken. Such a drop may panic, push tasks, or let go of the last handle on an engine.

use crate::task::as_inside;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls what may panic; a panic goes nowhere. While it runs this thread counts as the engine's own: a push does not wait
/// for room, and an engine whose last handle goes closes on another thread, since this one has yet to end its task.
pub(crate) fn contained(foreign: impl FnOnce()) {
    if let Err(panic) = as_inside(|| catch_unwind(AssertUnwindSafe(foreign))) {
        forget(panic);
    }
}

/// Drops what a panic carries. If that panics too, what it carries stays for good: nothing more can be tried.
fn forget(panic: Box<dyn Any + Send>) {
    if let Err(next) = as_inside(|| catch_unwind(AssertUnwindSafe(|| drop(panic)))) {
        std::mem::forget(next);
    }
}

/// The message of a panic, whose payload goes here.
pub(crate) fn message_of(panic: Box<dyn Any + Send>) -> String {
    let text = panic_message(&*panic);
    forget(panic);
    text
}

/// What a panic says.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_string());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "(no message)".to_string())
}
