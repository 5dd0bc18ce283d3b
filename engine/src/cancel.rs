//! Cancelling tasks that have not started.

use crate::sync::{Arc, AtomicBool, Ordering};
use std::fmt;

/// Cancels the tasks that were given it. Clones stand for the same token.
///
/// A task that has not started when its token is cancelled fails with [`Cause::Cancelled`](crate::Cause::Cancelled) as
/// soon as its turn comes, and poisons what it writes like any other failure. It keeps its turn until then: tasks
/// pushed after it see what they would see if it had failed by itself. Bodies that run may look at the token now and
/// then, and give up by themselves.
///
/// ```
/// use varflow_engine::{CancelToken, Cancelled, Cause, Engine};
/// # fn main() -> Result<(), varflow_engine::Error> {
/// let engine = Engine::builder().cpu_workers(1).build()?;
/// let (x, y) = (engine.data(0), engine.data(0));
/// let token = CancelToken::new();
/// let (seen, (started, wait)) = (token.clone(), std::sync::mpsc::channel());
/// engine.task("search").write(&x).cancel_with(&token).run(move |x| {
///     let _ = started.send(());
///     loop {
///         seen.check()?;
///         *x += 1;
///     }
///     # #[allow(unreachable_code)]
///     Ok::<(), Cancelled>(())
/// });
/// engine.task("report").write(&y).cancel_with(&token).run(|y| *y = 1);
/// let _ = wait.recv();
/// token.cancel();
/// for var in [x.var(), y.var()] {
///     let error = var.wait().err();
///     let cause = error.as_ref().and_then(|e| e.failure()).map(|f| f.cause());
///     assert!(matches!(cause, Some(Cause::Cancelled)));
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct CancelToken {
    /// The token's own flag, then those of the tokens that it comes from.
    flags: Arc<[Arc<AtomicBool>]>,
}

impl CancelToken {
    /// A token that nobody has cancelled.
    #[must_use]
    pub fn new() -> Self {
        CancelToken { flags: Arc::new([Arc::new(AtomicBool::new(false))]) }
    }

    /// A token that is cancelled with this one, or by itself.
    #[must_use]
    pub fn child(&self) -> Self {
        let own = Arc::new(AtomicBool::new(false));
        CancelToken { flags: std::iter::once(own).chain(self.flags.iter().cloned()).collect() }
    }

    /// Cancels the token and its children, for good.
    pub fn cancel(&self) {
        // Release: pairs with the Acquire in `is_cancelled`: who sees it sees what was done before.
        self.flags[0].store(true, Ordering::Release);
    }

    /// Whether the token is cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        // Acquire: pairs with the Release in `cancel`.
        self.flags.iter().any(|flag| flag.load(Ordering::Acquire))
    }

    /// For bodies that look at the token as they run.
    ///
    /// # Errors
    /// [`Cancelled`] if the token is cancelled.
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.is_cancelled() { Err(Cancelled) } else { Ok(()) }
    }
}

impl Default for CancelToken {
    fn default() -> Self {
        CancelToken::new()
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelToken").field("is_cancelled", &self.is_cancelled()).finish()
    }
}

/// The error of a body that gave up because it was cancelled: the task fails with
/// [`Cause::Cancelled`](crate::Cause::Cancelled).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cancelled")]
pub struct Cancelled;
