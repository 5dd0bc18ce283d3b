//! Softmax over the rows of a matrix, and its losses.

use super::float::Float;
use super::map::Compiled;
use super::mismatch::Mismatch;
use super::par::{Par, Parts, Split, each_part};
use crate::arch::{Job, LANES, Lanes};

/// Rows a part.
fn split_rows(rows: usize, columns: usize) -> Split {
    Split::new(rows, 1, (4096 / columns.max(1)).max(1), 64)
}
