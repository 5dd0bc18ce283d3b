//! Matrix products.
//!
//! The result is cut into blocks, which threads share out. Within one, [`dots`] multiplies long rows of `a` with long
//! columns of `b` that both lie in one piece; [`panels`] does everything else. Neither allocates: a product takes no memory
//! but the stack.

#![expect(unsafe_code, reason = "threads write disjoint blocks of one matrix; the kernels take raw pointers")]

use super::float::Float;
use super::mismatch::Mismatch;
use super::par::{Claims, Par, Shared, Split, each_part};
use dots::Dots;
use panels::Panels;
use std::ops::Range;

mod dots;
mod panels;

/// A matrix inside a slice: element `(row, column)` is `data[row * row_stride + column * column_stride]`.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a, T> {
    data: &'a [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// A row-major matrix that fills `data`.
    pub fn new(data: &'a [T], rows: usize, columns: usize) -> Result<Matrix<'a, T>, Mismatch> {
        Mismatch::check("Matrix", "length of data", data.len(), rows * columns)?;
        Ok(Matrix { data, rows, columns, row_stride: columns, column_stride: 1 })
    }

    /// A row-major matrix whose rows begin `row_stride` apart.
    pub fn strided(data: &'a [T], rows: usize, columns: usize, row_stride: usize) -> Result<Matrix<'a, T>, Mismatch> {
        let end = if rows == 0 || columns == 0 { 0 } else { (rows - 1) * row_stride + columns };
        Mismatch::check_at_least("Matrix", "length of data", data.len(), end)?;
        Ok(Matrix { data, rows, columns, row_stride, column_stride: 1 })
    }

    /// The transposed matrix, of the same numbers.
    #[must_use]
    pub fn t(self) -> Matrix<'a, T> {
        Matrix {
            data: self.data,
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }
}

/// `c = alpha · a · b + beta · c` for an `a` of `(m, k)`, a `b` of `(k, n)` and a row-major `c` of `(m, n)`. With
/// `beta` zero `c` is not read, so it may hold anything.
///
/// Errors: `a.columns != b.rows`, or a `c` of another length than `m · n`.
pub fn gemm<T: Float>(
    par: &dyn Par,
    alpha: T,
    a: Matrix<'_, T>,
    b: Matrix<'_, T>,
    beta: T,
    c: &mut [T],
) -> Result<(), Mismatch> {
    Mismatch::check("gemm", "length of c", c.len(), a.rows * b.columns)?;
    gemm_rows(par, alpha, a, b, beta, c, b.columns)
}

/// [`gemm`] into a `c` whose rows begin `c_row` apart.
pub(super) fn gemm_rows<T: Float>(
    par: &dyn Par,
    alpha: T,
    a: Matrix<'_, T>,
    b: Matrix<'_, T>,
    beta: T,
    c: &mut [T],
    c_row: usize,
) -> Result<(), Mismatch> {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    Mismatch::check("gemm", "rows of b", b.rows, k)?;
    if m * n == 0 {
        return Ok(());
    }
    Mismatch::check_at_least("gemm", "row stride of c", c_row, n)?;
    Mismatch::check_at_least("gemm", "length of c", c.len(), (m - 1) * c_row + n)?;
    let block = Block { alpha, a, b, beta, c_row };
    let (down, across) = blocks(m, n, k);
    let claims = Claims::default();
    let c = Shared(c.as_mut_ptr());
    each_part(par, down.parts() * across.parts(), &|i| {
        claims.claim(i);
        let (rows, columns) = (down.range(i / across.parts()), across.range(i % across.parts()));
        // SAFETY: `c` has m rows of n numbers at this stride, and each block is claimed by one thread.
        unsafe { block.run(c.ptr(), rows, columns) };
    });
    Ok(())
}

/// Multiply-adds that are worth a part of their own.
const PART: usize = 1 << 20;

/// The grid of blocks of an `(m, n)` result.
fn blocks(m: usize, n: usize, k: usize) -> (Split, Split) {
    let parts = (m.saturating_mul(n).saturating_mul(k) / PART).clamp(1, 64);
    if n >= m {
        let across = Split::new(n, 16, 48, parts);
        (Split::new(m, 16, 48, parts / across.parts()), across)
    } else {
        let down = Split::new(m, 16, 48, parts);
        let across = Split::new(n, 16, 48, parts / down.parts());
        (down, across)
    }
}

#[derive(Clone, Copy)]
struct Block<'a, T> {
    alpha: T,
    a: Matrix<'a, T>,
    b: Matrix<'a, T>,
    beta: T,
    c_row: usize,
}

/// A matrix whose element `(row, column)` lies at `start + row * row_stride + column * column_stride`.
#[derive(Clone, Copy)]
struct Strided<T> {
    start: *const T,
    row_stride: usize,
    column_stride: usize,
}

impl<T: Copy> Strided<T> {
    /// Where an element lies. The address of one past the matrix may be asked for too.
    #[inline(always)]
    fn at(self, row: usize, column: usize) -> *const T {
        self.start.wrapping_add(row * self.row_stride + column * self.column_stride)
    }

    /// The matrix from an element on.
    #[inline(always)]
    fn from(self, row: usize, column: usize) -> Strided<T> {
        Strided { start: self.at(row, column), ..self }
    }
}

/// `c = alpha · a · b + beta · c` for an `a` of `(m, k)`, a `b` of `(k, n)` and a row-major `c` of `(m, n)`.
#[derive(Clone, Copy)]
struct Product<T> {
    m: usize,
    n: usize,
    k: usize,
    alpha: T,
    a: Strided<T>,
    b: Strided<T>,
    beta: T,
    c: *mut T,
    c_row: usize,
}

impl<T: Float> Block<'_, T> {
    /// # Safety
    /// `c` points to a row-major matrix of `a.rows` by `b.columns` with rows `c_row` apart, of which nobody else touches
    /// the block.
    unsafe fn run(self, c: *mut T, rows: Range<usize>, columns: Range<usize>) {
        let Block { alpha, a, b, beta, c_row } = self;
        let strided = |matrix: Matrix<'_, T>| Strided {
            start: matrix.data.as_ptr(),
            row_stride: matrix.row_stride,
            column_stride: matrix.column_stride,
        };
        let product = Product {
            m: rows.len(),
            n: columns.len(),
            k: a.columns,
            alpha,
            a: strided(a).from(rows.start, 0),
            b: strided(b).from(0, columns.start),
            beta,
            // SAFETY: the block lies inside the matrix.
            c: unsafe { c.add(rows.start * c_row + columns.start) },
            c_row,
        };
        // SAFETY: the block lies inside the three matrices, whose constructors checked their lengths; nobody else touches
        // its part of `c`.
        unsafe {
            match Dots::new(product) {
                Some(dots) => T::dispatch(dots),
                None => T::dispatch(Panels::new(product)),
            }
        }
    }
}
