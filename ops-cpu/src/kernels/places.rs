//! Places along an axis, read from tensors of indices.

use super::labels::Labels;
use crate::compute::Places;
use varflow_ops::{Error, KernelCtx, Params, Result};

/// What becomes of an index that names no place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum OutOfRange {
    /// The nearest place.
    Clip,
    /// Counted on from the other end.
    Wrap,
    /// An error.
    Refuse,
}

impl OutOfRange {
    /// As the parameter `mode` says, if there is one.
    pub(super) fn of(params: &Params) -> OutOfRange {
        let Some((_, mode)) = params.iter().find(|(name, _)| *name == "mode") else { return OutOfRange::Clip };
        match mode.to_string().as_str() {
            "wrap" => OutOfRange::Wrap,
            "raise" => OutOfRange::Refuse,
            _ => OutOfRange::Clip,
        }
    }

    /// The place, below `bound`, that an index without its fraction names. A NaN is no index, and is clipped to 0.
    fn place(self, index: f64, bound: usize) -> Option<u64> {
        let last = bound.checked_sub(1)? as u64;
        let index = index.trunc();
        match self {
            OutOfRange::Clip => Some((index as u64).min(last)),
            // The remainder of a NaN or an infinity is a NaN, which becomes 0; rounding may reach the bound.
            OutOfRange::Wrap => Some((index.rem_euclid(bound as f64) as u64).min(last)),
            OutOfRange::Refuse => (index >= 0.0 && index < bound as f64).then_some(index as u64),
        }
    }
}

/// Bytes of workspace for so many places.
pub(super) fn places_bytes(len: usize) -> usize {
    len.saturating_mul(size_of::<u64>())
}

/// The places, among `bound`, that input `i` names, in the workspace.
///
/// # Errors
/// The first index that names no place.
pub(super) fn places<'a>(ctx: &mut KernelCtx<'a>, i: usize, bound: usize, mode: OutOfRange) -> Result<Places<'a>> {
    let labels = Labels::of(ctx, i)?;
    if labels.len() == 0 {
        return Ok(Places::new(&[], bound)?);
    }
    let buffer = &mut ctx.workspace::<u64>()?[..labels.len()];
    let (mut at, mut refused) = (0, None);
    labels.each(0..labels.len(), |index| {
        let place = mode.place(index, bound);
        if place.is_none() && refused.is_none() {
            refused = Some((at, index));
        }
        buffer[at] = place.unwrap_or(0);
        at += 1;
    });
    match refused {
        Some((at, index)) => Err(refuse(at, index, bound)),
        None => Ok(Places::new(buffer, bound)?),
    }
}

/// The error of an index that names none of `bound` places.
pub(super) fn refuse(at: usize, index: f64, bound: usize) -> Error {
    let wanted = match bound.checked_sub(1) {
        Some(last) => format!("wanted 0 to {last}"),
        None => "and there is nothing to choose from".to_string(),
    };
    Error::Data(format!("index {at} is {index}, {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::OutOfRange::{Clip, Refuse, Wrap};

    #[test]
    fn indices_out_of_range() {
        for (index, clip, wrap, refuse) in [
            (0.0, 0, 0, Some(0)),
            (2.9, 2, 2, Some(2)),
            (-0.5, 0, 0, Some(0)),
            (3.0, 2, 0, None),
            (7.0, 2, 1, None),
            (-1.0, 0, 2, None),
            (-4.0, 0, 2, None),
            (1e300, 2, 1e300_f64.rem_euclid(3.0) as u64, None),
            (f64::NAN, 0, 0, None),
            (f64::INFINITY, 2, 0, None),
            (f64::NEG_INFINITY, 0, 0, None),
        ] {
            assert_eq!(Clip.place(index, 3), Some(clip), "{index}");
            assert_eq!(Wrap.place(index, 3), Some(wrap), "{index}");
            assert_eq!(Refuse.place(index, 3), refuse, "{index}");
            assert_eq!(Clip.place(index, 0), None);
        }
    }
}
