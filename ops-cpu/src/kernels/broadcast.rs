//! Arithmetic of two tensors that are repeated to one shape, and its gradients. Operators of `elemwise_binary` are the
//! case of two tensors of one shape.

use super::dtype::Real;
use super::par::Workers;
use super::repeat::Repeat;
use crate::compute::{Binary, Reduction, Unary, binary, binary_in_place, cast, reduce, unary_in_place};
use smallvec::SmallVec;
use std::marker::PhantomData;
use varflow_ops::{Kernel, KernelCall, KernelCtx, Pair, Result, Shape};

/// Which arithmetic.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Sub,
    Mul,
    Div,
}

impl Arithmetic {
    fn binary(self) -> Binary {
        match self {
            Arithmetic::Add => Binary::Add,
            Arithmetic::Sub => Binary::Sub,
            Arithmetic::Mul => Binary::Mul,
            Arithmetic::Div => Binary::Div,
        }
    }

    /// Whether the gradients depend on the operands.
    fn needs_operands(self) -> bool {
        matches!(self, Arithmetic::Mul | Arithmetic::Div)
    }
}

/// `output = lhs op rhs`, in place of either.
pub(super) fn forward<T: Real>(call: &KernelCall<'_>, op: Arithmetic) -> Result<Box<dyn Kernel>> {
    let [lhs_shape, rhs_shape] = [0, 1].map(|i| call.inputs[i].shape.clone());
    let lhs_repeated = Repeat::new(lhs_shape.dims(), call.outputs[0].shape.dims());
    Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
        let par = Workers::of(ctx);
        if ctx.shares(1, 0)
            && let Pair::Same(rhs) = ctx.pair::<T>(1, 0)?
        {
            let lhs = ctx.input::<T>(0)?;
            return Ok(match op {
                Arithmetic::Add => lhs_repeated.each(&par, lhs, rhs, |rhs, lhs| *rhs = lhs + *rhs),
                Arithmetic::Sub => lhs_repeated.each(&par, lhs, rhs, |rhs, lhs| *rhs = lhs - *rhs),
                Arithmetic::Mul => lhs_repeated.each(&par, lhs, rhs, |rhs, lhs| *rhs = lhs * *rhs),
                Arithmetic::Div => lhs_repeated.each(&par, lhs, rhs, |rhs, lhs| *rhs = lhs / *rhs),
            }?);
        }
        let rhs = (ctx.input::<T>(1)?, rhs_shape.dims());
        Ok(match ctx.pair::<T>(0, 0)? {
            Pair::Same(both) => binary_in_place(&par, op.binary(), (both, lhs_shape.dims()), rhs),
            Pair::Apart(lhs, output) => binary(&par, op.binary(), (lhs, lhs_shape.dims()), rhs, output),
        }?)
    }))
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
    op: Arithmetic,
    out: Shape,
    operands: [Operand; 2],
    /// Whether the terms of some wanted sum are no plain gradients, and have to be written out first.
    writes_terms: bool,
    dtype: PhantomData<T>,
}

/// `d_lhs` and `d_rhs`, each summed over the axes along which the operand was repeated.
pub(super) fn backward<T: Real>(call: &KernelCall<'_>, op: Arithmetic) -> Result<Box<dyn Kernel>> {
    let out = call.inputs[0].shape.clone();
    let operands = [0, 1].map(|side| Operand::new(&call.outputs[side].shape, &out));
    let writes_terms =
        op.needs_operands() && (0..2).any(|side| call.wanted[side] && !operands[side].repeated.is_empty());
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
            match (self.op.needs_operands(), operand.repeated.is_empty()) {
                (false, true) => cast(&par, out_grad, gradient, |x| x)?,
                (false, false) => sum(out_grad, gradient)?,
                (true, true) => self.terms(ctx, side, gradient)?,
                (true, false) => {
                    let terms = &mut memory[..self.out.len()];
                    self.terms(ctx, side, terms)?;
                    sum(terms, gradient)?;
                }
            }
            if side == 1 && matches!(self.op, Arithmetic::Sub | Arithmetic::Div) {
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
        match (self.op, side) {
            (Arithmetic::Div, 0) => binary(&par, Binary::Div, out_grad, rhs, to)?,
            (Arithmetic::Div, _) => {
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
