//! `dot` and its gradients: matrix products of tensors whose axes but one are taken as one.

use super::dtype::Real;
use super::par::Workers;
use crate::compute::{Matrix, Mismatch, gemm};
use varflow_ops::{Kernel, KernelCall, KernelCtx, Result};

/// `lhs` as a matrix of `(m, k)` and `rhs` as one of `(k, n)`, either of which may lie in memory transposed.
#[derive(Clone, Copy)]
struct Product {
    m: usize,
    n: usize,
    k: usize,
    transpose_a: bool,
    transpose_b: bool,
}

impl Product {
    /// From the shapes of `lhs` and `rhs`, which have an axis at least.
    fn new(call: &KernelCall<'_>, lhs: &[usize], rhs: &[usize]) -> Product {
        let (transpose_a, transpose_b) = (call.params.bool("transpose_a"), call.params.bool("transpose_b"));
        let m = if transpose_a { &lhs[1..] } else { &lhs[..lhs.len() - 1] };
        let n = if transpose_b { &rhs[..rhs.len() - 1] } else { &rhs[1..] };
        let k = if transpose_a { lhs[0] } else { lhs[lhs.len() - 1] };
        Product { m: m.iter().product(), n: n.iter().product(), k, transpose_a, transpose_b }
    }

    fn lhs<T>(self, data: &[T]) -> Result<Matrix<'_, T>, Mismatch> {
        stored(data, self.m, self.k, self.transpose_a)
    }

    fn rhs<T>(self, data: &[T]) -> Result<Matrix<'_, T>, Mismatch> {
        stored(data, self.k, self.n, self.transpose_b)
    }
}

/// A matrix of `rows` and `columns` whose transpose is what lies in memory, if `transposed`.
pub(super) fn stored<T>(data: &[T], rows: usize, columns: usize, transposed: bool) -> Result<Matrix<'_, T>, Mismatch> {
    if transposed { Ok(Matrix::new(data, columns, rows)?.t()) } else { Matrix::new(data, rows, columns) }
}

/// `to = a · b`, or its transpose.
fn multiply<T: Real>(
    ctx: &KernelCtx<'_>,
    (a, b): (Matrix<'_, T>, Matrix<'_, T>),
    transposed: bool,
    to: &mut [T],
) -> Result<()> {
    let (a, b) = if transposed { (b.t(), a.t()) } else { (a, b) };
    Ok(gemm(&Workers::of(ctx), T::ONE, a, b, T::ZERO, to)?)
}

/// `output = lhs · rhs`, as matrices.
pub(super) fn forward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let product = Product::new(call, call.inputs[0].shape.dims(), call.inputs[1].shape.dims());
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let (lhs, rhs) = (product.lhs(ctx.input::<T>(0)?)?, product.rhs(ctx.input::<T>(1)?)?);
        multiply(ctx, (lhs, rhs), false, ctx.output(0)?)
    }))
}

/// `d_lhs = out_grad · rhsᵀ`, `d_rhs = lhsᵀ · out_grad`, as matrices.
pub(super) fn backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let product = Product::new(call, call.inputs[1].shape.dims(), call.inputs[2].shape.dims());
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let out_grad = Matrix::new(ctx.input::<T>(0)?, product.m, product.n)?;
        if ctx.is_wanted(0) {
            let rhs = product.rhs(ctx.input(2)?)?;
            multiply(ctx, (out_grad, rhs.t()), product.transpose_a, ctx.output(0)?)?;
        }
        if ctx.is_wanted(1) {
            let lhs = product.lhs(ctx.input(1)?)?;
            multiply(ctx, (lhs.t(), out_grad), product.transpose_b, ctx.output(1)?)?;
        }
        Ok(())
    }))
}
