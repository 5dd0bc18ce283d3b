//! Tensors one after the other along an axis, and the way back.

use super::mismatch::Mismatch;
use super::par::{Par, Parts, Split, each_part};

/// Rows worth a part of their own, for rows of this length.
fn split(rows: usize, row: usize) -> Split {
    Split::new(rows, 1, (32 * 1024 / row.max(1)).max(1), 64)
}

/// `out` in `rows` rows, each made of a row of every part in turn. A row of `parts[i]` has `widths[i]` elements.
///
/// Errors: slices of other lengths than rows and widths say.
pub fn join<T: Copy + Send + Sync>(
    par: &dyn Par,
    rows: usize,
    widths: &[usize],
    parts: &[&[T]],
    out: &mut [T],
) -> Result<(), Mismatch> {
    Mismatch::check("join", "number of parts", parts.len(), widths.len())?;
    for (part, width) in parts.iter().zip(widths) {
        Mismatch::check("join", "length of a part", part.len(), rows * width)?;
    }
    let row: usize = widths.iter().sum();
    Mismatch::check("join", "length of out", out.len(), rows * row)?;
    if out.is_empty() {
        return Ok(());
    }
    let split = split(rows, row);
    let slices = Parts::new(out, split, row);
    each_part(par, split.parts(), &|i| {
        for (r, mut out) in split.range(i).zip(slices.take(i).chunks_exact_mut(row)) {
            for (part, width) in parts.iter().zip(widths) {
                let (here, rest) = out.split_at_mut(*width);
                here.copy_from_slice(&part[r * width..][..*width]);
                out = rest;
            }
        }
    });
    Ok(())
}

/// `part` = `width` elements from `start` on of each of `rows` rows of `x`.
///
/// Errors: slices of other lengths than the rows say, or a part that is not within a row.
pub fn take_columns<T: Copy + Send + Sync>(
    par: &dyn Par,
    x: &[T],
    rows: usize,
    start: usize,
    width: usize,
    part: &mut [T],
) -> Result<(), Mismatch> {
    let row = x.len().checked_div(rows).unwrap_or(0);
    Mismatch::check("take_columns", "length of x", x.len(), rows * row)?;
    Mismatch::check("take_columns", "length of the part", part.len(), rows * width)?;
    if part.is_empty() {
        return Ok(());
    }
    Mismatch::check_at_least("take_columns", "length of a row", row, start.saturating_add(width))?;
    let split = split(rows, width);
    let slices = Parts::new(part, split, width);
    each_part(par, split.parts(), &|i| {
        for (r, part) in split.range(i).zip(slices.take(i).chunks_exact_mut(width)) {
            part.copy_from_slice(&x[r * row + start..][..width]);
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compute::Serial;

    #[test]
    fn parts_come_back() {
        let (a, b) = ([1, 2, 3, 4], [5, 6]);
        let mut out = [0; 6];
        join(&Serial, 2, &[2, 1], &[&a, &b], &mut out).unwrap();
        assert_eq!(out, [1, 2, 5, 3, 4, 6]);
        let (mut first, mut second) = ([0; 4], [0; 2]);
        take_columns(&Serial, &out, 2, 0, 2, &mut first).unwrap();
        take_columns(&Serial, &out, 2, 2, 1, &mut second).unwrap();
        assert_eq!((first, second), (a, b));
        assert!(take_columns(&Serial, &out, 2, 2, 2, &mut [0; 4]).is_err());
    }
}
