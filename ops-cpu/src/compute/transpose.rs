//! Permutation of axes.

use super::mismatch::Mismatch;
use super::par::{Par, Parts, Split, each_part};
use smallvec::SmallVec;

#[derive(Clone, Copy, Debug)]
struct Axis {
    len: usize,
    /// Distance of neighbours in the input.
    stride: usize,
}

/// `out[i0, i1, …] = x[…]` with axis `d` of the result being axis `axes[d]` of `x`, which has `shape`.
///
/// Errors: `axes` is no permutation of the axes of `shape`, or slices of other lengths than the shape says.
pub fn transpose<T: Copy + Send + Sync>(
    par: &dyn Par,
    x: &[T],
    shape: &[usize],
    axes: &[usize],
    out: &mut [T],
) -> Result<(), Mismatch> {
    Mismatch::check("transpose", "number of axes", axes.len(), shape.len())?;
    for axis in 0..shape.len() {
        Mismatch::check("transpose", "mentions of an axis", axes.iter().filter(|&&a| a == axis).count(), 1)?;
    }
    Mismatch::check("transpose", "length of x", x.len(), shape.iter().product())?;
    Mismatch::check("transpose", "length of out", out.len(), x.len())?;
    if x.is_empty() {
        return Ok(());
    }
    let order = result_axes(shape, axes);
    // The two innermost axes of the result are walked by `plane`; a plane of the result is contiguous.
    let (outer, rows, columns) = match order[..] {
        [] => (&order[..0], Axis { len: 1, stride: 1 }, Axis { len: 1, stride: 1 }),
        [only] => (&order[..0], Axis { len: 1, stride: 1 }, only),
        [.., rows, columns] => (&order[..order.len() - 2], rows, columns),
    };
    let split = Split::new(out.len() / columns.len, 1, (16 * 1024 / columns.len).max(1), 64);
    let parts = Parts::new(out, split, columns.len);
    each_part(par, split.parts(), &|i| {
        let range = split.range(i);
        let out = parts.take(i);
        let mut row = range.start;
        while row < range.end {
            let (index, first) = (row / rows.len, row % rows.len);
            let count = (rows.len - first).min(range.end - row);
            let mut start = first * rows.stride;
            let mut rest = index;
            for axis in outer.iter().rev() {
                start += rest % axis.len * axis.stride;
                rest /= axis.len;
            }
            let at = (row - range.start) * columns.len;
            plane(&x[start..], Axis { len: count, ..rows }, columns, &mut out[at..at + count * columns.len]);
            row += count;
        }
    });
    Ok(())
}

/// The axes of the result, without those of length 1 and with neighbours merged that are neighbours in the input too.
fn result_axes(shape: &[usize], axes: &[usize]) -> SmallVec<[Axis; 8]> {
    let mut order: SmallVec<[Axis; 8]> = SmallVec::new();
    for &axis in axes {
        let len = shape[axis];
        let stride = shape[axis + 1..].iter().product();
        match order.last_mut() {
            _ if len == 1 => {}
            Some(outer) if outer.stride == len * stride => *outer = Axis { len: outer.len * len, stride },
            _ => order.push(Axis { len, stride }),
        }
    }
    order
}

/// Side of the squares in which a plane is walked, so that lines of both sides stay in the first-level cache.
const TILE: usize = 16;

/// `out[r][c] = x[r · rows.stride + c · columns.stride]`.
fn plane<T: Copy>(x: &[T], rows: Axis, columns: Axis, out: &mut [T]) {
    if columns.stride == 1 {
        for (r, out) in out.chunks_mut(columns.len).enumerate() {
            out.copy_from_slice(&x[r * rows.stride..][..columns.len]);
        }
        return;
    }
    for r0 in (0..rows.len).step_by(TILE) {
        let r1 = (r0 + TILE).min(rows.len);
        for c0 in (0..columns.len).step_by(TILE) {
            let c1 = (c0 + TILE).min(columns.len);
            for r in r0..r1 {
                let out = &mut out[r * columns.len + c0..r * columns.len + c1];
                let x = &x[r * rows.stride + c0 * columns.stride..];
                for (out, x) in out.iter_mut().zip(x.iter().step_by(columns.stride)) {
                    *out = *x;
                }
            }
        }
    }
}
