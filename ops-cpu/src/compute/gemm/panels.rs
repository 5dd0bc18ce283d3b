//! Products by panels of columns: a run of rows of `b` is copied to the stack, column by column group, and tile after tile of
//! `a` is multiplied with it from there. (Goto and van de Geijn, "Anatomy of high-performance matrix multiplication",
//! 2008, with panels small enough for the stack.)

use super::{Product, Strided};
use crate::arch::tile::{Cut, Rows, outer, with_height};
use crate::arch::{Job, LANES, Lanes};
use crate::compute::float::Float;
use std::mem::MaybeUninit;

/// Rows of the tallest tile.
const TALLEST: usize = 6;
/// Vectors of a panel.
const VECTORS: usize = 4;
/// Columns of a panel, which is how far apart its rows begin.
const WIDTH: usize = VECTORS * LANES;
/// Bytes of a column of a panel.
const COLUMN_BYTES: usize = 512;

/// Memory of a panel.
#[repr(align(64))]
struct Panel(MaybeUninit<[u8; WIDTH * COLUMN_BYTES]>);

/// The rows of a panel.
const fn most_rows<T>() -> usize {
    COLUMN_BYTES / size_of::<T>()
}

/// A [`Product`] that is taken so.
pub(super) struct Panels<T>(Product<T>);

impl<T: Float> Panels<T> {
    /// # Safety
    /// The operands are valid for their sizes until it has run, and nobody else touches `c`.
    pub(super) unsafe fn new(product: Product<T>) -> Panels<T> {
        Panels(product)
    }
}

impl<T: Float> Job<T> for Panels<T> {
    type Out = ();
    #[inline(always)]
    fn run<V: Lanes<T>>(self) {
        let product = self.0;
        let mut panel = Panel(MaybeUninit::uninit());
        let panel = panel.0.as_mut_ptr().cast::<T>();
        let depth = Cut::new(product.k, most_rows::<T>());
        for i in 0..depth.tiles() {
            let (start, k) = (depth.start(i), depth.height(i));
            let beta = if i == 0 { product.beta } else { T::ONE };
            let a = product.a.from(0, start);
            for column in (0..product.n).step_by(WIDTH) {
                let n = (product.n - column).min(WIDTH);
                let b = product.b.from(start, column);
                let whole = b.column_stride == 1 && n.is_multiple_of(LANES);
                // SAFETY: the columns lie inside `b` and `c`; a panel has room for `k` rows and `WIDTH` columns.
                unsafe {
                    let b = if whole && product.m <= TALLEST {
                        // Each number is used once: a copy would not be.
                        b
                    } else {
                        copy::<T, V>(b, k, n, panel);
                        Strided { start: panel, row_stride: WIDTH, column_stride: 1 }
                    };
                    multiply::<T, V>(&Product { n, k, a, b, beta, c: product.c.add(column), ..product });
                }
            }
        }
    }
}

/// Copies `n` columns of `k` rows into a panel, with zeros behind them up to whole vectors.
///
/// # Safety
/// `from` is valid for `k` rows of `n` columns; `to` is a panel, of which `k` and `n` are at most the rows and columns.
#[inline(always)]
unsafe fn copy<T: Float, V: Lanes<T>>(from: Strided<T>, k: usize, n: usize, to: *mut T) {
    // SAFETY: as the caller says.
    unsafe {
        if from.column_stride == 1 {
            copy_rows::<T, V>(from, k, n, to);
        } else {
            copy_columns(from, k, n, to);
        }
    }
}

/// [`copy`] of contiguous rows.
///
/// # Safety
/// As of [`copy`].
#[inline(always)]
unsafe fn copy_rows<T: Float, V: Lanes<T>>(from: Strided<T>, k: usize, n: usize, to: *mut T) {
    for step in 0..k {
        // SAFETY: the row exists in both, and whole vectors of it in the panel.
        unsafe {
            let (from, to) = (from.at(step, 0), to.add(step * WIDTH));
            if n == WIDTH {
                for j in 0..VECTORS {
                    V::load(from.add(j * LANES)).store(to.add(j * LANES));
                }
            } else {
                for j in (0..n).step_by(LANES) {
                    V::load_first(from.add(j), (n - j).min(LANES)).store(to.add(j));
                }
            }
        }
    }
}

/// [`copy`] of rows that lie anyhow, best of contiguous columns.
///
/// # Safety
/// As of [`copy`].
#[inline(always)]
unsafe fn copy_columns<T: Float>(from: Strided<T>, k: usize, n: usize, to: *mut T) {
    for first in (0..n).step_by(LANES) {
        let count = (n - first).min(LANES);
        for step in 0..k {
            for j in 0..LANES {
                let value = from.at(step, first + j);
                // SAFETY: the vector from `first` on exists in the panel, and its first `count` numbers in `from`.
                unsafe { *to.add(step * WIDTH + first + j) = if j < count { *value } else { T::ZERO } };
            }
        }
    }
}

/// A product with at most a panel of columns, whole vectors of which can be read.
///
/// # Safety
/// As of [`Panels::new`]; `b` has contiguous rows, of `n` numbers rounded up to whole vectors.
#[inline(always)]
unsafe fn multiply<T: Float, V: Lanes<T>>(product: &Product<T>) {
    // Of `f64` a vector takes two registers.
    let wide = if size_of::<T>() == size_of::<f32>() { 2 } else { 1 };
    let down = Cut::new(product.m, TALLEST);
    // SAFETY: the tiles lie inside the product.
    unsafe {
        if product.m == 1 && product.n == WIDTH && wide == 2 {
            return tile::<T, V, VECTORS, 1>(product, 0, 0);
        }
        for i in 0..down.tiles() {
            let (row, height) = (down.start(i), down.height(i));
            for column in (0..product.n).step_by(wide * LANES) {
                if wide == 2 && product.n - column > LANES {
                    with_height!(height, tile::<T, V, 2; _>(product, row, column));
                } else {
                    with_height!(height, tile::<T, V, 1; _>(product, row, column));
                }
            }
        }
    }
}

/// # Safety
/// As of [`multiply`]; the tile lies inside the product.
#[inline(always)]
unsafe fn tile<T: Float, V: Lanes<T>, const N: usize, const M: usize>(product: &Product<T>, row: usize, column: usize) {
    V::apart(Tile::<T, M, N> { product, row, column });
}

/// `M` rows and up to `N` vectors of a product.
struct Tile<'a, T, const M: usize, const N: usize> {
    product: &'a Product<T>,
    row: usize,
    column: usize,
}

impl<T: Float, const M: usize, const N: usize> Job<T> for Tile<'_, T, M, N> {
    type Out = ();
    #[inline(always)]
    fn run<V: Lanes<T>>(self) {
        let Tile { product: &Product { n, k, alpha, a, b, beta, c, c_row, .. }, row, column } = self;
        let rows = Rows { start: a.at(row, 0), row_stride: a.row_stride, step_stride: a.column_stride };
        let columns = b.at(0, column);
        // SAFETY: the tile lies inside the product, so its rows of `a`, whole vectors of its columns of `b` and its numbers
        // of `c` exist.
        unsafe {
            let sums = outer::<T, V, M, N>([[V::splat(T::ZERO); N]; M], k, rows, |step, j| {
                V::load(columns.add(step * b.row_stride + j * LANES))
            });
            for (i, sums) in sums.into_iter().enumerate() {
                for (j, sum) in sums.into_iter().enumerate() {
                    let at = column + j * LANES;
                    let (c, count) = (c.add((row + i) * c_row + at), n.saturating_sub(at).min(LANES));
                    let sum = sum.mul(V::splat(alpha));
                    match (beta == T::ZERO, count == LANES) {
                        (true, true) => sum.store(c),
                        (true, false) => sum.store_first(c, count),
                        (false, true) => V::load(c).mul_add(V::splat(beta), sum).store(c),
                        (false, false) => {
                            V::load_first(c, count).mul_add(V::splat(beta), sum).store_first(c, count);
                        }
                    }
                }
            }
        }
    }
}
