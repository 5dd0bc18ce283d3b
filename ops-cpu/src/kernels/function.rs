//! Functions of one tensor without parameters, of any element type, and their gradients.

use super::dtype::Real;
use super::par::Workers;
use super::unary;
use crate::compute::{Function, Number, Unary, map, map_in_place};
use varflow_ops::{DType, Element, Kernel, KernelCall, KernelCtx, Pair, Result};

/// The function's vector code, if it has some.
pub(super) fn vector(function: Function) -> Option<Unary> {
    Some(match function.name {
        "relu" => Unary::Relu,
        "sigmoid" => Unary::Sigmoid,
        "tanh" => Unary::Tanh,
        "softsign" => Unary::SoftSign,
        "exp" => Unary::Exp,
        "log" => Unary::Log,
        "sqrt" => Unary::Sqrt,
        "rsqrt" => Unary::Rsqrt,
        "reciprocal" => Unary::Reciprocal,
        "square" => Unary::Square,
        "abs" => Unary::Abs,
        "negative" => Unary::Negate,
        _ => return None,
    })
}

/// What the function does to integers, where a double could lose digits.
fn exact<T: Number>(function: Function) -> Option<fn(T) -> T> {
    Some(match function.name {
        "negative" => |x| T::ZERO.minus(x),
        "abs" => |x| if x < T::ZERO { T::ZERO.minus(x) } else { x },
        "square" => |x: T| x.times(x),
        "relu" => |x| if x < T::ZERO { T::ZERO } else { x },
        "round" | "rint" | "ceil" | "floor" | "trunc" | "fix" => |x| x,
        _ => return None,
    })
}

/// `output = function(data)`.
pub(super) fn forward<T: Number + Element>(call: &KernelCall<'_>, function: Function) -> Result<Box<dyn Kernel>> {
    match (T::DTYPE, vector(function)) {
        (DType::F32, Some(vector)) => return unary::forward::<f32>(call, vector),
        (DType::F64, Some(vector)) => return unary::forward::<f64>(call, vector),
        _ => {}
    }
    let exact = exact::<T>(function).filter(|_| !T::DTYPE.is_float());
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let par = Workers::of(ctx);
        match (ctx.pair::<T>(0, 0)?, exact) {
            (Pair::Same(both), None) => function.forward_in_place(&par, both),
            (Pair::Same(both), Some(f)) => map_in_place(&par, both, f),
            (Pair::Apart(data, output), None) => function.forward(&par, data, output)?,
            (Pair::Apart(data, output), Some(f)) => map(&par, data, output, f)?,
        }
        Ok(())
    }))
}

/// `d_data = out_grad · function'`, where input 1 is what the derivative is a function of.
pub(super) fn backward<T: Real>(call: &KernelCall<'_>, function: Function) -> Result<Box<dyn Kernel>> {
    if let Some(vector) = vector(function) {
        return unary::backward::<T>(call, vector);
    }
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let (par, saved) = (Workers::of(ctx), ctx.input::<T>(1)?);
        match ctx.pair::<T>(0, 0)? {
            Pair::Same(both) => function.backward_in_place(&par, saved, both)?,
            Pair::Apart(out_grad, d_data) => function.backward(&par, saved, out_grad, d_data)?,
        }
        Ok(())
    }))
}
