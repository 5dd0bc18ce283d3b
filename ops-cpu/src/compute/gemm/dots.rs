//! Products of rows of `a` with columns of `b` that both lie in one piece: no panel is needed.

use super::Product;
use crate::arch::tile::{Cut, dot};
use crate::arch::{Job, Lanes};
use crate::compute::float::Float;

/// Rows and columns of the largest tile.
const TILE: (usize, usize) = (3, 4);
/// Shorter ones are left to panels: to sum lanes takes too much of the time.
const LEAST: usize = 192;
/// Longer ones are cut: a tile of seven should fit the first-level cache.
const MOST: usize = 1024;

/// A [`Product`] that is taken so.
pub(super) struct Dots<T>(Product<T>);

impl<T: Float> Dots<T> {
    /// A product of long rows and columns in one piece, of `f32`.
    ///
    /// # Safety
    /// The operands are valid for their sizes until it has run, and nobody else touches `c`.
    pub(super) unsafe fn new(product: Product<T>) -> Option<Dots<T>> {
        let Product { k, a, b, .. } = product;
        let lies_so = a.column_stride == 1 && b.row_stride == 1 && k >= LEAST;
        // Lanes of `f64` are plain arrays, of which so many do not fit the registers.
        (lies_so && size_of::<T>() == size_of::<f32>()).then_some(Dots(product))
    }
}

impl<T: Float> Job<T> for Dots<T> {
    type Out = ();
    #[inline(always)]
    fn run<V: Lanes<T>>(self) {
        let product = self.0;
        let depth = Cut::new(product.k, MOST);
        for i in 0..depth.tiles() {
            let (start, k) = (depth.start(i), depth.height(i));
            let beta = if i == 0 { product.beta } else { T::ONE };
            let part = Product { k, a: product.a.from(0, start), b: product.b.from(start, 0), beta, ..product };
            // SAFETY: a part of the product.
            unsafe { tiles::<T, V>(&part) };
        }
    }
}

/// # Safety
/// As of [`Dots::new`].
#[inline(always)]
unsafe fn tiles<T: Float, V: Lanes<T>>(product: &Product<T>) {
    let (down, across) = (Cut::new(product.m, TILE.0), Cut::new(product.n, TILE.1));
    for j in 0..across.tiles() {
        for i in 0..down.tiles() {
            let (row, column) = (down.start(i), across.start(j));
            // SAFETY: the tiles lie inside the product.
            unsafe {
                match across.height(j) {
                    1 => rows::<T, V, 1>(product, row, down.height(i), column),
                    2 => rows::<T, V, 2>(product, row, down.height(i), column),
                    3 => rows::<T, V, 3>(product, row, down.height(i), column),
                    _ => rows::<T, V, 4>(product, row, down.height(i), column),
                }
            }
        }
    }
}

/// # Safety
/// As of [`Dots::new`]; the tile lies inside the product.
#[inline(always)]
unsafe fn rows<T: Float, V: Lanes<T>, const N: usize>(product: &Product<T>, row: usize, height: usize, column: usize) {
    match height {
        1 => V::apart(Tile::<T, 1, N> { product, row, column }),
        2 => V::apart(Tile::<T, 2, N> { product, row, column }),
        _ => V::apart(Tile::<T, 3, N> { product, row, column }),
    }
}

/// `M` rows and `N` columns of a product.
struct Tile<'a, T, const M: usize, const N: usize> {
    product: &'a Product<T>,
    row: usize,
    column: usize,
}

impl<T: Float, const M: usize, const N: usize> Job<T> for Tile<'_, T, M, N> {
    type Out = ();
    #[inline(always)]
    fn run<V: Lanes<T>>(self) {
        let Tile { product: &Product { k, alpha, a, b, beta, c, c_row, .. }, row, column } = self;
        // SAFETY: the tile lies inside the product, so its rows of `a`, columns of `b` and numbers of `c` exist.
        unsafe {
            let (columns, rows) = (b.at(0, column), a.at(row, 0));
            let sums = dot::<T, V, N, M>(T::ZERO, k, columns, b.column_stride, rows, a.row_stride);
            for (j, sums) in sums.iter().enumerate() {
                for (i, &sum) in sums.iter().enumerate() {
                    let c = c.add((row + i) * c_row + column + j);
                    *c = if beta == T::ZERO { alpha * sum } else { alpha * sum + beta * *c };
                }
            }
        }
    }
}
