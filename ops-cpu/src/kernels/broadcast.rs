//! Arithmetic of two tensors that are repeated to one shape, and its gradients. Operators of `elemwise_binary` are the
//! case of two tensors of one shape.

use super::dtype::Real;
use super::par::Workers;
use crate::compute::{
    Binary, BinaryLoops, Reduction, Unary, binary, binary_in_place, binary_with, cast, reduce, unary_in_place,
};
use smallvec::SmallVec;
use std::marker::PhantomData;
use varflow_ops::{Element, Kernel, KernelCall, KernelCtx, Pair, Result, Shape};

/// `output = lhs op rhs`, in place of either.
pub(super) fn forward<T: BinaryLoops + Element>(call: &KernelCall<'_>, op: Binary) -> Result<Box<dyn Kernel>> {
    let [lhs_shape, rhs_shape] = [0, 1].map(|i| call.inputs[i].shape.clone());
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let par = Workers::of(ctx);
        if ctx.shares(1, 0)
            && let Pair::Same(rhs) = ctx.pair::<T>(1, 0)?
        {
            let lhs = (ctx.input::<T>(0)?, lhs_shape.dims());
            return Ok(binary_in_place(&par, op.swapped(), (rhs, rhs_shape.dims()), lhs)?);
        }
        let rhs = (ctx.input::<T>(1)?, rhs_shape.dims());
        Ok(match ctx.pair::<T>(0, 0)? {
            Pair::Same(both) => binary_in_place(&par, op, (both, lhs_shape.dims()), rhs),
            Pair::Apart(lhs, output) => binary(&par, op, (lhs, lhs_shape.dims()), rhs, output),
        }?)
    }))
}

/// A derivative at the two operands.
type Derivative<T> = fn(T, T) -> T;

/// The derivatives by both operands of a function that is no plain arithmetic, as functions of both.
fn derivatives<T: Real>(op: Binary) -> Option<[Derivative<T>; 2]> {
    Some(match op {
        Binary::Mod => [|_, _| T::ONE, |a, b| -floor(a / b)],
        Binary::Power => [|a, b| b * a.powf(b - T::ONE), |a, b| a.powf(b) * a.ln()],
        Binary::Maximum => [|a, b| if a >= b { T::ONE } else { T::ZERO }, |a, b| if a < b { T::ONE } else { T::ZERO }],
        Binary::Minimum => [|a, b| if a <= b { T::ONE } else { T::ZERO }, |a, b| if a > b { T::ONE } else { T::ZERO }],
        Binary::Hypot => [|a, b| a / a.hypot(b), |a, b| b / a.hypot(b)],
        _ => return None,
    })
}

/// The greatest integer that is not above `x`.
pub(super) fn floor<T: Real>(x: T) -> T {
    T::from_f64(x.to_f64().floor())
}

/// Whether the gradients depend on the operands.
fn needs_operands(op: Binary) -> bool {
    !matches!(op, Binary::Add | Binary::Sub)
}

/// An operand, and how it was repeated.
struct Operand {
    shape: Shape,
    /// The axes of the output along which it was repeated.
    repeated: SmallVec<[usize; 4]>,
}

impl Operand {
    fn new(shape: &Shape, out: &Shape) -> Operand {
        let missing = out.rank().saturating_sub(shape.rank());
        let is_repeated = |axis: &usize| *axis < missing || shape[*axis - missing] != out[*axis];
        Operand { shape: shape.clone(), repeated: (0..out.rank()).filter(is_repeated).collect() }
    }
}

/// The gradients of both operands of a [`forward`].
struct Backward<T> {
    op: Binary,
    out: Shape,
    operands: [Operand; 2],
    /// Whether the terms of some wanted sum are no plain gradients, and have to be written out first.
    writes_terms: bool,
    dtype: PhantomData<T>,
}

/// `d_lhs` and `d_rhs`, each summed over the axes along which the operand was repeated.
pub(super) fn backward<T: Real>(call: &KernelCall<'_>, op: Binary) -> Result<Box<dyn Kernel>> {
    let out = call.inputs[0].shape.clone();
    let operands = [0, 1].map(|side| Operand::new(&call.outputs[side].shape, &out));
    let writes_terms =
        needs_operands(op) && (0..2).any(|side| call.wanted[side] && !operands[side].repeated.is_empty());
    Ok(Box::new(Backward { op, out, operands, writes_terms, dtype: PhantomData::<T> }))
}

impl<T: Real> Kernel for Backward<T> {
    fn workspace_bytes(&self) -> usize {
        if self.writes_terms { self.out.len() * size_of::<T>() } else { 0 }
    }

    fn run(&self, ctx: &mut KernelCtx<'_>) -> Result<()> {
        let par = Workers::of(ctx);
        let out_grad = ctx.input::<T>(0)?;
        let memory: &mut [T] = if self.writes_terms { ctx.workspace()? } else { &mut [] };
        for (side, operand) in self.operands.iter().enumerate() {
            if !ctx.is_wanted(side) {
                continue;
            }
            let gradient = ctx.output::<T>(side)?;
            let sum =
                |terms: &[T], to: &mut [T]| reduce(&par, Reduction::Sum, terms, self.out.dims(), &operand.repeated, to);
            match (needs_operands(self.op), operand.repeated.is_empty()) {
                (false, true) => cast(&par, out_grad, gradient, |x| x)?,
                (false, false) => sum(out_grad, gradient)?,
                (true, true) => self.terms(ctx, side, gradient)?,
                (true, false) => {
                    let terms = &mut memory[..self.out.len()];
                    self.terms(ctx, side, terms)?;
                    sum(terms, gradient)?;
                }
            }
            if side == 1 && matches!(self.op, Binary::Sub | Binary::Div) {
                unary_in_place(&par, Unary::Negate, gradient);
            }
        }
        Ok(())
    }
}

impl<T: Real> Backward<T> {
    /// The gradient of one operand as if it were not repeated, but for its sign.
    fn terms(&self, ctx: &KernelCtx<'_>, side: usize, to: &mut [T]) -> Result<()> {
        let (par, out) = (Workers::of(ctx), self.out.dims());
        let out_grad = (ctx.input::<T>(0)?, out);
        let lhs = (ctx.input::<T>(1)?, self.operands[0].shape.dims());
        let rhs = (ctx.input::<T>(2)?, self.operands[1].shape.dims());
        if let Some(derivatives) = derivatives::<T>(self.op) {
            binary_with(&par, derivatives[side], lhs, rhs, to)?;
            return Ok(binary_in_place(&par, Binary::Mul, (to, out), out_grad)?);
        }
        match (self.op, side) {
            (Binary::Div, 0) => binary(&par, Binary::Div, out_grad, rhs, to)?,
            (Binary::Div, _) => {
                // out_grad · lhs / rhs²; the square itself could overflow.
                binary(&par, Binary::Mul, out_grad, lhs, to)?;
                binary_in_place(&par, Binary::Div, (to, out), rhs)?;
                binary_in_place(&par, Binary::Div, (to, out), rhs)?;
            }
            (_, side) => binary(&par, Binary::Mul, out_grad, if side == 0 { rhs } else { lhs }, to)?,
        }
        Ok(())
    }
}
