//! `batch_dot`, `_linalg_gemm2`, `_linalg_gemm`: products of the matrices along the last two axes.

use super::dot::stored;
use super::dtype::Real;
use super::par::Workers;
use crate::compute::gemm;
use varflow_ops::{Error, Kernel, KernelCall, KernelCtx, Result};

/// `output = alpha · A · B + beta · C` for each matrix; without such inputs and parameters, `A · B`.
pub(super) fn forward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let number = |name: &str| {
        let given = call.params.iter().any(|(n, _)| n == name);
        T::from_f64(if given { call.params.float(name) } else { 1.0 })
    };
    let (alpha, beta) = (number("alpha"), if call.inputs.len() > 2 { number("beta") } else { T::ZERO });
    let (transpose_a, transpose_b) = (call.params.bool("transpose_a"), call.params.bool("transpose_b"));
    // Inference has seen to two axes at least, and to lengths that fit.
    let (a, out) = (call.inputs[0].shape.dims(), call.outputs[0].shape.dims());
    let [.., m, n] = *out else { return Err(Error::Contract(format!("the output has {} axes", out.len()))) };
    let k = a[if transpose_a { a.len() - 2 } else { a.len() - 1 }];
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let (par, output) = (Workers::of(ctx), ctx.output::<T>(0)?);
        let (a, b) = (ctx.input::<T>(0)?, ctx.input::<T>(1)?);
        if ctx.num_inputs() > 2 {
            output.copy_from_slice(ctx.input::<T>(2)?);
        }
        for (i, to) in output.chunks_mut((m * n).max(1)).enumerate() {
            let a = stored(&a[i * m * k..(i + 1) * m * k], m, k, transpose_a)?;
            let b = stored(&b[i * k * n..(i + 1) * k * n], k, n, transpose_b)?;
            gemm(&par, alpha, a, b, beta, to)?;
        }
        Ok(())
    }))
}
