//! Loops down the columns of a row-major table, a few columns at a time.

use super::dtype::Real;
use std::ops::Range;

/// The most columns that are taken at a time: their running results fit into registers.
pub(super) const MOST: usize = 16;

/// Up to [`MOST`] neighbouring columns of a table of `all` columns.
pub(super) struct Columns {
    pub(super) range: Range<usize>,
    all: usize,
}

impl Columns {
    /// The columns of a table, block by block.
    pub(super) fn blocks(all: usize) -> impl Iterator<Item = Columns> {
        (0..all).step_by(MOST).map(move |start| Columns { range: start..(start + MOST).min(all), all })
    }

    /// One result a column: `f(… f(start, first) …, last)` from the first row to the last.
    pub(super) fn fold<T: Real>(&self, table: &[T], start: T, f: impl Fn(T, T) -> T) -> [T; MOST] {
        self.fold_with(table, table, start, |result, x, _| f(result, x))
    }

    /// As [`fold`](Self::fold), with the number in the same place of another table.
    pub(super) fn fold_with<T: Real>(&self, table: &[T], other: &[T], start: T, f: impl Fn(T, T, T) -> T) -> [T; MOST] {
        let mut results = [start; MOST];
        for (row, other) in table.chunks(self.all).zip(other.chunks(self.all)) {
            let numbers = row[self.range.clone()].iter().zip(&other[self.range.clone()]);
            for (result, (x, y)) in results.iter_mut().zip(numbers) {
                *result = f(*result, *x, *y);
            }
        }
        results
    }

    /// `x = f(x, the column's result)`.
    pub(super) fn update<T: Real>(&self, table: &mut [T], results: &[T; MOST], f: impl Fn(T, T) -> T) {
        for row in table.chunks_mut(self.all) {
            for (x, result) in row[self.range.clone()].iter_mut().zip(results) {
                *x = f(*x, *result);
            }
        }
    }

    /// As [`update`](Self::update), with the number in the same place of another table.
    pub(super) fn update_with<T: Real>(
        &self,
        table: &mut [T],
        other: &[T],
        results: &[T; MOST],
        f: impl Fn(T, T, T) -> T,
    ) {
        for (row, other) in table.chunks_mut(self.all).zip(other.chunks(self.all)) {
            let numbers = row[self.range.clone()].iter_mut().zip(&other[self.range.clone()]);
            for ((x, y), result) in numbers.zip(results) {
                *x = f(*x, *y, *result);
            }
        }
    }
}
