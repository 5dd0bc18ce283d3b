//! Workspaces of so many elements, with or without doubles beside them. Where nothing is wanted there is none to ask for.

use super::dtype::Real;
use varflow_ops::{Element, Error, KernelCtx, Result};

/// A workspace of so many elements.
///
/// # Errors
/// As [`KernelCtx::workspace`].
pub(super) fn elements<'a, T: Element>(ctx: &mut KernelCtx<'a>, len: usize) -> Result<&'a mut [T]> {
    if len == 0 {
        return Ok(&mut []);
    }
    ctx.workspace()?.get_mut(..len).ok_or_else(too_short)
}

fn too_short() -> Error {
    Error::Contract("the workspace is shorter than was asked for".to_string())
}

/// The bytes of a workspace of so many doubles and elements.
pub(super) fn bytes<T: Real>(doubles: usize, elements: usize) -> usize {
    let elements = elements.saturating_mul(size_of::<T>()).div_ceil(size_of::<f64>());
    doubles.saturating_add(elements).saturating_mul(size_of::<f64>())
}

/// A workspace of [`bytes`] in its two parts.
///
/// # Errors
/// As [`KernelCtx::workspace`].
pub(super) fn take<'a, T: Real>(
    ctx: &mut KernelCtx<'a>,
    doubles: usize,
    len: usize,
) -> Result<(&'a mut [f64], &'a mut [T])> {
    let workspace = elements::<f64>(ctx, bytes::<T>(doubles, len) / size_of::<f64>())?;
    let (doubles, rest) = workspace.split_at_mut_checked(doubles).ok_or_else(too_short)?;
    let rest = bytemuck::try_cast_slice_mut(rest).map_err(|e| Error::Contract(format!("the workspace: {e}")))?;
    Ok((doubles, rest.get_mut(..len).ok_or_else(too_short)?))
}

/// A workspace of so many bytes as pairs of doubles; none where there are no bytes.
///
/// # Errors
/// As [`KernelCtx::workspace`].
pub(super) fn pairs<'a>(ctx: &mut KernelCtx<'a>, bytes: usize) -> Result<&'a mut [[f64; 2]]> {
    Ok(elements::<f64>(ctx, bytes / size_of::<f64>())?.as_chunks_mut().0)
}
