//! A tensor repeated along some of its axes.

use super::par::chunks;
use crate::compute::{Mismatch, Par};
use smallvec::SmallVec;

/// Elements that are worth a part of their own.
const PART: usize = 32 * 1024;

/// One axis of the larger shape, and how far the repeated tensor moves along it (0: it is repeated).
#[derive(Clone, Copy)]
struct Axis {
    len: usize,
    stride: usize,
}

/// Which element of a tensor stands at each place of a larger shape.
pub(super) struct Repeat {
    /// From the outermost on, without axes of length 1 and with neighbours merged through which the tensor moves evenly.
    axes: SmallVec<[Axis; 4]>,
    from_len: usize,
    to_len: usize,
}

impl Repeat {
    /// `from` is aligned with `to` at the last axis. Axes of length 1, and those that it lacks, are repeated; the others
    /// are as long as in `to`.
    pub(super) fn new(from: &[usize], to: &[usize]) -> Repeat {
        let mut axes: SmallVec<[Axis; 4]> = SmallVec::new();
        let mut stride = 1;
        for (back, &len) in to.iter().rev().enumerate() {
            let from_len = from.len().checked_sub(back + 1).map_or(1, |axis| from[axis]);
            let step = if from_len == 1 { 0 } else { stride };
            stride *= from_len;
            match axes.last_mut() {
                _ if len == 1 => {}
                Some(inner) if step == inner.stride * inner.len => inner.len *= len,
                _ => axes.push(Axis { len, stride: step }),
            }
        }
        axes.reverse();
        Repeat { axes, from_len: stride, to_len: to.iter().product() }
    }

    /// Calls `f(&mut out[i], x)` for every element of the larger shape, with the `x` that stands there.
    pub(super) fn each<T: Copy + Send + Sync, U: Send>(
        &self,
        par: &dyn Par,
        x: &[T],
        out: &mut [U],
        f: impl Fn(&mut U, T) + Sync,
    ) -> Result<(), Mismatch> {
        check("length of x", x.len(), self.from_len)?;
        check("length of out", out.len(), self.to_len)?;
        let one = Axis { len: 1, stride: 0 };
        let (inner, outer) = self.axes.split_last().map_or((one, &[][..]), |(inner, outer)| (*inner, outer));
        chunks(par, out, 1, PART, |start, part| {
            let mut at = start;
            let mut rest = part;
            while !rest.is_empty() {
                let (row, column) = (at / inner.len, at % inner.len);
                let (now, later) = rest.split_at_mut((inner.len - column).min(rest.len()));
                (at, rest) = (at + now.len(), later);
                let x = &x[offset(outer, row) + column * inner.stride..];
                // The innermost stride is 0 or 1: all axes inside it have length 1.
                if inner.stride == 0 {
                    now.iter_mut().for_each(|out| f(out, x[0]));
                } else {
                    now.iter_mut().zip(x).for_each(|(out, x)| f(out, *x));
                }
            }
        });
        Ok(())
    }
}

/// Where the tensor is for element `index` of row-major `axes`.
fn offset(axes: &[Axis], mut index: usize) -> usize {
    let mut offset = 0;
    for axis in axes.iter().rev() {
        offset += index % axis.len * axis.stride;
        index /= axis.len;
    }
    offset
}

fn check(argument: &'static str, got: usize, wanted: usize) -> Result<(), Mismatch> {
    if got == wanted { Ok(()) } else { Err(Mismatch { function: "repeat", argument, got, wanted }) }
}
