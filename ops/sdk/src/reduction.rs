//! What a kvstore reduction is.

use crate::{Context, Float, Pending, Result};

/// How a kvstore brings the values that several devices pushed for one key to one, and from one to several. All tensors of a
/// call have one shape and dtype.
pub trait Reduction: Sized + Send + Sync + 'static {
    /// The name.
    const NAME: &'static str;

    /// What it does, and what it needs.
    const DOC: &'static str;

    /// Calls whose keys have the same ordering key run one after another, in push order, which is the same on all machines: for
    /// transports that match messages by their order. Without it only calls for one key do.
    const ORDERING_KEY: Option<fn(&Self, &str) -> u64> = None;

    /// Whether [`start_reduce`](Self::start_reduce) and [`start_broadcast`](Self::start_broadcast) are called, and not
    /// [`reduce`](Self::reduce) and [`broadcast`](Self::broadcast).
    const IS_ASYNC: bool = false;

    /// Computes output 0 from all inputs, of which there is one at least.
    ///
    /// # Errors
    /// A transport that failed.
    fn reduce<T: Float>(&self, key: &str, ctx: &Context<'_>) -> Result<()>;

    /// Computes all outputs, of which there is one at least, from input 0. By default they are copies of it.
    ///
    /// # Errors
    /// As [`reduce`](Self::reduce).
    fn broadcast<T: Float>(&self, _key: &str, ctx: &Context<'_>) -> Result<()> {
        let x = ctx.input::<T>(0)?;
        (0..ctx.num_outputs()).filter(|o| ctx.is_wanted(*o)).try_for_each(|o| ctx.output::<T>(o)?.copy_from(&x))
    }

    /// Starts what [`reduce`](Self::reduce) does.
    fn start_reduce<T: Float>(&self, key: &str, run: Pending) {
        run.finish_with(|ctx| self.reduce::<T>(key, ctx));
    }

    /// Starts what [`broadcast`](Self::broadcast) does.
    fn start_broadcast<T: Float>(&self, key: &str, run: Pending) {
        run.finish_with(|ctx| self.broadcast::<T>(key, ctx));
    }
}
