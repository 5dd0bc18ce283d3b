//! Workspaces that hold double precision beside the elements' own.

use super::dtype::Real;
use varflow_ops::{Error, KernelCtx, Result};

/// The bytes of a workspace of so many doubles and elements.
pub(super) fn bytes<T: Real>(doubles: usize, elements: usize) -> usize {
    let elements = elements.saturating_mul(size_of::<T>()).div_ceil(size_of::<f64>());
    doubles.saturating_add(elements).saturating_mul(size_of::<f64>())
}

/// A workspace of [`bytes`] in its two parts.
///
/// # Errors
/// As [`KernelCtx::workspace`].
pub(super) fn take<'a, T: Real>(ctx: &mut KernelCtx<'a>, doubles: usize) -> Result<(&'a mut [f64], &'a mut [T])> {
    let workspace = ctx.workspace::<f64>()?;
    let (doubles, rest) = workspace
        .split_at_mut_checked(doubles)
        .ok_or_else(|| Error::Contract("the workspace is shorter than was asked for".to_string()))?;
    let rest = bytemuck::try_cast_slice_mut(rest).map_err(|e| Error::Contract(format!("the workspace: {e}")))?;
    Ok((doubles, rest))
}

/// A workspace of so many bytes as pairs of doubles; none where there are no bytes.
///
/// # Errors
/// As [`KernelCtx::workspace`].
pub(super) fn pairs<'a>(ctx: &mut KernelCtx<'a>, bytes: usize) -> Result<&'a mut [[f64; 2]]> {
    if bytes == 0 {
        return Ok(&mut []);
    }
    Ok(ctx.workspace::<f64>()?.as_chunks_mut().0)
}
