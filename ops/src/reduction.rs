//! What a kvstore reduction is: how values that several devices pushed for one key become one, and one becomes several.

use crate::async_run::AsyncRun;
use crate::{Error, KernelCtx, Result};

/// Which way values go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Many become one.
    Reduce,
    /// One becomes many.
    Broadcast,
}

/// A reduction: a value that a kvstore finds by name.
pub trait Reduction: Send + Sync {
    /// The name, such as `local`.
    fn name(&self) -> &str;

    /// What it does, and what it needs.
    fn doc(&self) -> &str;

    /// Calls whose keys have the same ordering key run one after another, in push order: for transports that match
    /// messages by their order. `None`: only calls for one key do.
    fn ordering_key(&self, _key: &str) -> Option<u64> {
        None
    }

    /// Computes output 0 from all inputs, of which there is one at least. All have one shape and dtype.
    ///
    /// # Errors
    /// A dtype that it does not serve, a transport that failed.
    fn reduce(&self, key: &str, ctx: &mut KernelCtx<'_>) -> Result<()>;

    /// Computes all outputs, of which there is one at least, from input 0.
    ///
    /// # Errors
    /// As [`reduce`](Self::reduce).
    fn broadcast(&self, key: &str, ctx: &mut KernelCtx<'_>) -> Result<()>;

    /// Whether calls of this direction are made by [`start`](Self::start), and not by [`reduce`](Self::reduce) or
    /// [`broadcast`](Self::broadcast).
    fn is_async(&self, _direction: Direction) -> bool {
        false
    }

    /// Starts a call, which is done when `run` is [completed](AsyncRun::complete).
    fn start(&self, _direction: Direction, key: &str, run: AsyncRun) {
        let text = format!("reduction {} is synchronous, and is started for key \"{key}\"", self.name());
        run.complete(Err(Error::Contract(text)));
    }
}
