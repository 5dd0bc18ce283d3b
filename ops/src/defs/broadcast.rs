//! Arithmetic of two tensors, each of which is repeated along its axes of length 1.

use super::elementwise::NO_PARAMS;
use crate::{Entry, Error, Gradient, Operator, Params, PartialShape, Result, Schema, Shapes};

/// Which arithmetic.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Broadcast {
    /// `lhs + rhs`.
    Add,
    /// `lhs - rhs`.
    Sub,
    /// `lhs · rhs`.
    Mul,
    /// `lhs / rhs`.
    Div,
}

/// All of them.
pub(super) const ALL: [Broadcast; 4] = [Broadcast::Add, Broadcast::Sub, Broadcast::Mul, Broadcast::Div];

impl Broadcast {
    fn backward(self) -> &'static str {
        match self {
            Broadcast::Add => "_backward_broadcast_add",
            Broadcast::Sub => "_backward_broadcast_sub",
            Broadcast::Mul => "_backward_broadcast_mul",
            Broadcast::Div => "_backward_broadcast_div",
        }
    }

    /// Sums and differences have gradients that do not depend on the operands.
    fn needs_operands(self) -> bool {
        matches!(self, Broadcast::Mul | Broadcast::Div)
    }
}

impl Operator for Broadcast {
    fn name(&self) -> &str {
        match self {
            Broadcast::Add => "broadcast_add",
            Broadcast::Sub => "broadcast_sub",
            Broadcast::Mul => "broadcast_mul",
            Broadcast::Div => "broadcast_div",
        }
    }

    fn aliases(&self) -> &[&str] {
        match self {
            Broadcast::Add => &["broadcast_plus"],
            Broadcast::Sub => &["broadcast_minus"],
            Broadcast::Mul | Broadcast::Div => &[],
        }
    }

    fn doc(&self) -> &str {
        match self {
            Broadcast::Add => {
                "output = lhs + rhs; axes are matched from the last, and one of length 1 or missing is repeated."
            }
            Broadcast::Sub => {
                "output = lhs - rhs; axes are matched from the last, and one of length 1 or missing is repeated."
            }
            Broadcast::Mul => {
                "output = lhs · rhs; axes are matched from the last, and one of length 1 or missing is repeated."
            }
            Broadcast::Div => {
                "output = lhs / rhs; axes are matched from the last, and one of length 1 or missing is repeated."
            }
        }
    }

    fn schema(&self) -> &Schema {
        &NO_PARAMS
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        ["lhs", "rhs"].map(String::from).to_vec()
    }

    fn infer_shape(&self, _: &Params, s: &mut Shapes) -> Result<()> {
        let out = broadcast_shape(s.input(0), s.input(1))?;
        s.set_output(0, out, &format!("from lhs {} and rhs {}", s.input(0), s.input(1)))
    }

    fn inplace(&self, _: &Params) -> Vec<(usize, usize)> {
        vec![(0, 0), (1, 0)]
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let mut inputs = vec![grad.out_grad(0)?];
        if self.needs_operands() {
            inputs.extend(grad.inputs);
        }
        grad.backward(Broadcast::backward(*self), &inputs, 2)
    }
}

/// The shape of two tensors that are repeated to fit each other. A rank that is not known makes the result unknown.
fn broadcast_shape(lhs: &PartialShape, rhs: &PartialShape) -> Result<PartialShape> {
    let (Some(l), Some(r)) = (lhs.dims(), rhs.dims()) else { return Ok(PartialShape::unknown()) };
    let rank = l.len().max(r.len());
    let at = |dims: &[Option<usize>], axis: usize| (axis + dims.len()).checked_sub(rank).map_or(Some(1), |a| dims[a]);
    let mut out = Vec::with_capacity(rank);
    for axis in 0..rank {
        out.push(match (at(l, axis), at(r, axis)) {
            (Some(a), Some(b)) if a == b || b == 1 => Some(a),
            (Some(1), Some(b)) => Some(b),
            (Some(_), Some(_)) => {
                return Err(Error::Shape(format!("rhs has shape {rhs}, wanted axes of lhs {lhs} or of length 1")));
            }
            // Whatever is not known is either 1 or the other's length.
            (None, Some(d)) | (Some(d), None) => Some(d).filter(|d| *d != 1),
            (None, None) => None,
        });
    }
    Ok(PartialShape::new(out))
}

/// Gradients of a [`Broadcast`] by both operands.
pub(super) struct Backward(pub(super) Broadcast);

impl Operator for Backward {
    fn name(&self) -> &str {
        self.0.backward()
    }

    fn doc(&self) -> &str {
        match self.0 {
            Broadcast::Add => {
                "d_lhs = out_grad, d_rhs = out_grad, each summed over the axes along which it was repeated."
            }
            Broadcast::Sub => {
                "d_lhs = out_grad, d_rhs = -out_grad, each summed over the axes along which it was repeated."
            }
            Broadcast::Mul => {
                "d_lhs = out_grad · rhs, d_rhs = out_grad · lhs, each summed over the axes along which it was repeated."
            }
            Broadcast::Div => {
                "d_lhs = out_grad / rhs, d_rhs = -out_grad · lhs / rhs², each summed over the axes along which it was \
                 repeated."
            }
        }
    }

    fn schema(&self) -> &Schema {
        &NO_PARAMS
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        let names: &[&str] = if self.0.needs_operands() { &["out_grad", "lhs", "rhs"] } else { &["out_grad"] };
        names.iter().map(ToString::to_string).collect()
    }

    fn outputs(&self, _: &Params) -> Vec<String> {
        ["d_lhs", "d_rhs"].map(String::from).to_vec()
    }

    fn infer_shape(&self, _: &Params, s: &mut Shapes) -> Result<()> {
        if self.0.needs_operands() {
            s.same(&[1], &[0])?;
            s.same(&[2], &[1])?;
        }
        let out = broadcast_shape(s.output(0), s.output(1))?;
        s.set_input(0, out, &format!("from d_lhs {} and d_rhs {}", s.output(0), s.output(1)))
    }
}
