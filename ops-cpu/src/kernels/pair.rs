//! In-place pairs of any element type.

use varflow_ops::{Element, Error, KernelCtx, Pair, Result};

/// Output `o`, holding what input `i` holds, whether they share memory or not.
///
/// # Errors
/// As [`KernelCtx::pair`], and when they are of different length.
pub(super) fn copied<'a, T: Element>(ctx: &KernelCtx<'a>, i: usize, o: usize) -> Result<&'a mut [T]> {
    match ctx.pair(i, o)? {
        Pair::Same(both) => Ok(both),
        Pair::Apart(from, to) if from.len() == to.len() => {
            to.copy_from_slice(from);
            Ok(to)
        }
        Pair::Apart(from, to) => {
            Err(Error::Shape(format!("output {o} has {} elements, wanted {} as input {i}", to.len(), from.len())))
        }
    }
}
