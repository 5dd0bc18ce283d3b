//! The workers of a task, as the compute functions take them.

use crate::compute::Par;
use smallvec::SmallVec;
use std::sync::{Mutex, PoisonError};
use varflow_engine::TaskCtx;
use varflow_ops::KernelCtx;

/// The idle workers of the lane that a kernel runs on.
pub(super) struct Workers<'a>(Option<&'a TaskCtx<'a>>);

impl<'a> Workers<'a> {
    pub(super) fn of(ctx: &KernelCtx<'a>) -> Workers<'a> {
        Workers(ctx.task())
    }
}

impl Par for Workers<'_> {
    fn for_each(&self, n: usize, body: &(dyn Fn(usize) + Sync)) {
        match self.0 {
            Some(task) => task.parallel_for(n, body),
            None => (0..n).for_each(body),
        }
    }

    fn width(&self) -> usize {
        self.0.map_or(1, TaskCtx::width)
    }
}

/// The most chunks that [`chunks`] cuts a slice into.
const MOST_CHUNKS: usize = 64;

/// Calls `body(start, chunk)` for chunks of `out` that begin at `start`: whole items of `item` numbers, about `grain` numbers
/// or more. How `out` is cut depends on its length alone; a single chunk wakes nobody.
pub(super) fn chunks<T: Send>(
    par: &dyn Par,
    out: &mut [T],
    item: usize,
    grain: usize,
    body: impl Fn(usize, &mut [T]) + Sync,
) {
    let item = item.max(1);
    let len = out.len().div_ceil(MOST_CHUNKS).max(grain).max(1).next_multiple_of(item);
    if out.is_empty() {
        return;
    }
    if out.len() <= len {
        return body(0, out);
    }
    // Each chunk is locked once, by the thread that runs its iteration.
    let parts: SmallVec<[Mutex<&mut [T]>; MOST_CHUNKS]> = out.chunks_mut(len).map(Mutex::new).collect();
    par.for_each(parts.len(), &|i| body(i * len, &mut parts[i].lock().unwrap_or_else(PoisonError::into_inner)));
}
