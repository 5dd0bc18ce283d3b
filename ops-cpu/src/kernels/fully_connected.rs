//! `FullyConnected` and its gradients: matrix products.

use super::dtype::Real;
use super::par::Workers;
use crate::compute::{Binary, Matrix, Reduction, binary_in_place, gemm, reduce};
use varflow_ops::{Error, Kernel, KernelCall, KernelCtx, Result, TensorDesc};

/// Data (rows, inner), weight (hidden, inner), output (rows, hidden).
#[derive(Clone, Copy)]
struct Sizes {
    rows: usize,
    inner: usize,
    hidden: usize,
}

impl Sizes {
    fn new(data: &TensorDesc, weight: &TensorDesc, output: &TensorDesc) -> Result<Sizes> {
        let &[hidden, inner] = weight.shape.dims() else {
            return Err(Error::Shape(format!("weight has shape {}, wanted two axes", weight.shape)));
        };
        let rows = output.shape.len().checked_div(hidden).unwrap_or(0);
        if rows.checked_mul(inner) != Some(data.shape.len()) || rows * hidden != output.shape.len() {
            let (data, weight, output) = (&data.shape, &weight.shape, &output.shape);
            return Err(Error::Shape(format!("data {data} and weight {weight} do not give output {output}")));
        }
        Ok(Sizes { rows, inner, hidden })
    }
}

pub(super) fn forward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let Sizes { rows, inner, hidden } = Sizes::new(&call.inputs[0], &call.inputs[1], &call.outputs[0])?;
    let has_bias = !call.params.bool("no_bias");
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let par = Workers::of(ctx);
        let data = Matrix::new(ctx.input::<T>(0)?, rows, inner)?;
        let weight = Matrix::new(ctx.input::<T>(1)?, hidden, inner)?;
        let output = ctx.output::<T>(0)?;
        gemm(&par, T::ONE, data, weight.t(), T::ZERO, output)?;
        if has_bias {
            binary_in_place(&par, Binary::Add, (output, &[rows, hidden]), (ctx.input(2)?, &[hidden]))?;
        }
        Ok(())
    }))
}

pub(super) fn backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let Sizes { rows, inner, hidden } = Sizes::new(&call.inputs[1], &call.inputs[2], &call.inputs[0])?;
    let has_bias = !call.params.bool("no_bias");
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let par = Workers::of(ctx);
        let out_grads = ctx.input::<T>(0)?;
        let out_grad = Matrix::new(out_grads, rows, hidden)?;
        if ctx.is_wanted(0) {
            let weight = Matrix::new(ctx.input::<T>(2)?, hidden, inner)?;
            gemm(&par, T::ONE, out_grad, weight, T::ZERO, ctx.output(0)?)?;
        }
        if ctx.is_wanted(1) {
            let data = Matrix::new(ctx.input::<T>(1)?, rows, inner)?;
            gemm(&par, T::ONE, out_grad.t(), data, T::ZERO, ctx.output(1)?)?;
        }
        if has_bias && ctx.is_wanted(2) {
            reduce(&par, Reduction::Sum, out_grads, &[rows, hidden], &[0], ctx.output(2)?)?;
        }
        Ok(())
    }))
}
