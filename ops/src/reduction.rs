//! What a kvstore reduction is: how values that several devices pushed for one key become one, and one becomes several.

use crate::{KernelCtx, Result};

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
}
