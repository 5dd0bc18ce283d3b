//! Matrix products.

#![expect(unsafe_code, reason = "threads write disjoint blocks of one matrix; the kernels take raw pointers")]

use super::float::Float;
use super::mismatch::Mismatch;
use super::par::{Claims, Par, Shared, Split, each_part};
use crate::arch::tile::{Cut, dot};
use crate::arch::{Job, Lanes};
use std::ops::Range;

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

/// Lengths of rows that [`Dots`] takes. Below, summing lanes takes too much of the time; above, a tile of seven rows
/// does not fit the first-level cache.
const DOT_LENGTHS: std::ops::RangeInclusive<usize> = 192..=1024;

impl<T: Float> Block<'_, T> {
    /// # Safety
    /// `c` points to a row-major matrix of `a.rows` by `b.columns` with rows `c_row` apart, of which nobody else touches
    /// the block.
    unsafe fn run(self, c: *mut T, rows: Range<usize>, columns: Range<usize>) {
        let (m, n, k) = (rows.len(), columns.len(), self.a.columns);
        let Matrix { data: a, row_stride: a_row, column_stride: a_column, .. } = self.a;
        let Matrix { data: b, row_stride: b_row, column_stride: b_column, .. } = self.b;
        let c_row = self.c_row;
        // SAFETY: the block lies inside the three matrices, whose constructors checked their lengths.
        unsafe {
            let c = c.add(rows.start * c_row + columns.start);
            let (a, b) = if k == 0 {
                (a.as_ptr(), b.as_ptr())
            } else {
                (a.as_ptr().add(rows.start * a_row), b.as_ptr().add(columns.start * b_column))
            };
            if a_column == 1 && b_row == 1 && T::USES_DOTS && DOT_LENGTHS.contains(&k) {
                let Block { alpha, beta, .. } = self;
                T::dispatch(Dots { m, n, k, alpha, a, a_row, b, b_row: b_column, beta, c, c_row });
            } else {
                T::gemm(m, n, k, self.alpha, (a, a_row, a_column), (b, b_row, b_column), self.beta, (c, c_row));
            }
        }
    }
}

/// A product of rows of `a` with rows of `b`, both contiguous: no packing is needed.
struct Dots<T> {
    m: usize,
    n: usize,
    k: usize,
    alpha: T,
    a: *const T,
    a_row: usize,
    b: *const T,
    b_row: usize,
    beta: T,
    c: *mut T,
    c_row: usize,
}

impl<T: Float> Job<T> for Dots<T> {
    type Out = ();
    #[inline(always)]
    fn run<V: Lanes<T>>(self) {
        let (down, across) = (Cut::new(self.m, 3), Cut::new(self.n, 4));
        for j in 0..across.tiles() {
            for i in 0..down.tiles() {
                let (row, column) = (down.start(i), across.start(j));
                // SAFETY: the tiles lie inside the block.
                unsafe {
                    match across.height(j) {
                        1 => self.rows::<V, 1>(row, down.height(i), column),
                        2 => self.rows::<V, 2>(row, down.height(i), column),
                        3 => self.rows::<V, 3>(row, down.height(i), column),
                        _ => self.rows::<V, 4>(row, down.height(i), column),
                    }
                }
            }
        }
    }
}

impl<T: Float> Dots<T> {
    #[inline(always)]
    unsafe fn rows<V: Lanes<T>, const N: usize>(&self, row: usize, height: usize, column: usize) {
        match height {
            1 => V::apart(DotsTile::<T, 1, N> { dots: self, row, column }),
            2 => V::apart(DotsTile::<T, 2, N> { dots: self, row, column }),
            _ => V::apart(DotsTile::<T, 3, N> { dots: self, row, column }),
        }
    }
}

/// One tile of a [`Dots`].
struct DotsTile<'a, T, const M: usize, const N: usize> {
    dots: &'a Dots<T>,
    row: usize,
    column: usize,
}

impl<T: Float, const M: usize, const N: usize> Job<T> for DotsTile<'_, T, M, N> {
    type Out = ();
    #[inline(always)]
    fn run<V: Lanes<T>>(self) {
        let DotsTile { dots, row, column } = self;
        // SAFETY: the tile lies inside the block, so its rows of `a` and `b` and its numbers of `c` exist.
        unsafe {
            let (a, b) = (dots.a.add(row * dots.a_row), dots.b.add(column * dots.b_row));
            let sums = dot::<T, V, N, M>(T::ZERO, dots.k, b, dots.b_row, a, dots.a_row);
            for (j, sums) in sums.iter().enumerate() {
                for (i, &sum) in sums.iter().enumerate() {
                    let c = dots.c.add((row + i) * dots.c_row + column + j);
                    *c = if dots.beta == T::ZERO { dots.alpha * sum } else { dots.alpha * sum + dots.beta * *c };
                }
            }
        }
    }
}

/// The blocked product of the `gemm` crate for one number type.
pub(crate) trait GemmKernel: Sized {
    /// Whether rows of contiguous numbers are multiplied without packing them.
    const USES_DOTS: bool;

    /// `c = alpha · a · b + beta · c`; operands are `(start, row stride, column stride)`, `c` is `(start, row stride)`.
    ///
    /// # Safety
    /// `a`, `b` and `c` are valid for matrices of `(m, k)`, `(k, n)` and `(m, n)`, and nobody else touches `c`.
    #[expect(clippy::too_many_arguments, reason = "three sizes, two factors and three operands are what a product has")]
    unsafe fn gemm(
        m: usize,
        n: usize,
        k: usize,
        alpha: Self,
        a: (*const Self, usize, usize),
        b: (*const Self, usize, usize),
        beta: Self,
        c: (*mut Self, usize),
    );
}

macro_rules! gemm_kernel {
    ($t:ty, $dots:expr) => {
        impl GemmKernel for $t {
            const USES_DOTS: bool = $dots;

            unsafe fn gemm(
                m: usize,
                n: usize,
                k: usize,
                alpha: $t,
                (a, a_row, a_column): (*const $t, usize, usize),
                (b, b_row, b_column): (*const $t, usize, usize),
                beta: $t,
                (c, c_row): (*mut $t, usize),
            ) {
                // SAFETY: the caller vouches for the operands; strides of slices fit `isize`.
                unsafe {
                    gemm::gemm(
                        m,
                        n,
                        k,
                        c,
                        1,
                        c_row as isize,
                        beta != 0.0,
                        a,
                        a_column as isize,
                        a_row as isize,
                        b,
                        b_column as isize,
                        b_row as isize,
                        beta,
                        alpha,
                        false,
                        false,
                        false,
                        gemm::Parallelism::None,
                    );
                }
            }
        }
    };
}

gemm_kernel!(f32, true);
gemm_kernel!(f64, false);
