//! `Pooling` and its gradient.

use super::dtype::Real;
use super::par::Workers;
use crate::compute::{Par, Pool, PoolKind};
use same::Same;
use varflow_ops::defs::{Rounding, counts_padding, pooling_power, pooling_window};
use varflow_ops::{Error, Kernel, KernelCall, KernelCtx, Result, TensorDesc};

mod same;

enum Geometry {
    Pool(Pool),
    Same(Same),
}

impl Geometry {
    fn new(call: &KernelCall<'_>, data: &TensorDesc) -> Result<Geometry> {
        let &[samples, channels, ref lens @ ..] = data.shape.dims() else {
            return Err(Error::Shape(format!("data has shape {}, wanted batch, channel and 1 to 3 axes", data.shape)));
        };
        if lens.contains(&0) {
            return Err(Error::Shape(format!("data has shape {}, wanted elements to pool", data.shape)));
        }
        let kind = match call.params.text("pool_type") {
            "max" => PoolKind::Max,
            "avg" => PoolKind::Average { count_include_pad: counts_padding(call.params) },
            _ => match pooling_power(call.params) {
                Some(p) => PoolKind::Power(if p == 2 || p == 3 { p as u8 } else { 1 }),
                None => PoolKind::Sum,
            },
        };
        let (planes, window) = (samples * channels, pooling_window(call.params, lens)?);
        if let (Rounding::Same, &[len], &[kernel], &[stride]) =
            (window.rounding, lens, window.kernel.as_slice(), window.stride.as_slice())
        {
            return Ok(Geometry::Same(Same { kind, len, kernel, stride }));
        }
        let full = window.rounding == Rounding::Full;
        Ok(Geometry::Pool(Pool::new(kind, planes, lens, &window.kernel, &window.stride, &window.pad, full)?))
    }

    fn forward<T: Real>(&self, par: &dyn Par, data: &[T], output: &mut [T]) -> Result<()> {
        match self {
            Geometry::Pool(pool) => Ok(pool.forward(par, data, output)?),
            Geometry::Same(same) => same.forward(par, data, output),
        }
    }

    fn backward<T: Real>(&self, par: &dyn Par, data: &[T], out_grad: &[T], d_data: &mut [T]) -> Result<()> {
        match self {
            Geometry::Pool(pool) => Ok(pool.backward(par, data, out_grad, d_data)?),
            Geometry::Same(same) => same.backward(par, data, out_grad, d_data),
        }
    }
}

pub(super) fn forward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let geometry = Geometry::new(call, &call.inputs[0])?;
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| geometry.forward::<T>(&Workers::of(ctx), ctx.input(0)?, ctx.output(0)?)))
}

/// Only max and lp pooling are given data.
pub(super) fn backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    let geometry = Geometry::new(call, &call.outputs[0])?;
    let has_data = call.inputs.len() > 1;
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let data = if has_data { ctx.input(1)? } else { &[] };
        geometry.backward::<T>(&Workers::of(ctx), data, ctx.input(0)?, ctx.output(0)?)
    }))
}
