//! `Reshape`, `Flatten`, their gradient, and copies: the elements stay as they are.

use super::pair::copied;
use varflow_ops::{Element, Kernel, KernelCall, KernelCtx, Result};

/// `output = data`, which costs nothing in place.
pub(super) fn copy<T: Element>(_: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    Ok(Box::new(|ctx: &mut KernelCtx<'_>| copied::<T>(ctx, 0, 0).map(|_| ())))
}
