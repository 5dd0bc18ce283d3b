//! Arithmetic of two tensors, each of which is repeated along its axes of length 1.

use super::elementwise::NO_PARAMS;
use crate::{
    Attrs, Entry, Error, Gradient, Operator, Params, PartialShape, Permutation, Result, Schema, Shapes, TensorDesc,
};

/// A function of two tensors whose shapes broadcast.
pub(super) struct Broadcast {
    name: &'static str,
    aliases: &'static [&'static str],
    doc: &'static str,
    /// `None`: the function is constant but for steps.
    backward: Option<&'static Backward>,
}

/// Gradients of a [`Broadcast`] by both operands.
#[derive(Clone, Copy)]
pub(super) struct Backward {
    name: &'static str,
    doc: &'static str,
    /// Sums and differences have gradients that do not depend on the operands.
    needs_operands: bool,
}

macro_rules! broadcast {
    ($name:literal, $aliases:expr, $formula:literal, $backward:expr) => {
        Broadcast {
            name: $name,
            aliases: $aliases,
            doc: concat!(
                "output = ",
                $formula,
                "; axes are matched from the last, and one of length 1 or missing is repeated."
            ),
            backward: $backward,
        }
    };
}

macro_rules! backward {
    ($name:literal, $formula:literal, $needs_operands:literal) => {
        Backward {
            name: $name,
            doc: concat!($formula, ", each summed over the axes along which it was repeated."),
            needs_operands: $needs_operands,
        }
    };
}

/// All of them.
pub(super) const ALL: [Broadcast; 18] = [
    broadcast!("broadcast_add", &["broadcast_plus"], "lhs + rhs", Some(&BACKWARD[0])),
    broadcast!("broadcast_sub", &["broadcast_minus"], "lhs - rhs", Some(&BACKWARD[1])),
    broadcast!("broadcast_mul", &[], "lhs · rhs", Some(&BACKWARD[2])),
    broadcast!("broadcast_div", &[], "lhs / rhs", Some(&BACKWARD[3])),
    broadcast!(
        "broadcast_mod",
        &[],
        "remainder of lhs / rhs with the sign of rhs, 0 where rhs is 0",
        Some(&BACKWARD[4])
    ),
    broadcast!("broadcast_power", &[], "lhs^rhs", Some(&BACKWARD[5])),
    broadcast!("broadcast_maximum", &[], "max(lhs, rhs)", Some(&BACKWARD[6])),
    broadcast!("broadcast_minimum", &[], "min(lhs, rhs)", Some(&BACKWARD[7])),
    broadcast!("broadcast_hypot", &[], "√(lhs² + rhs²)", Some(&BACKWARD[8])),
    broadcast!("broadcast_equal", &[], "1 where lhs = rhs, else 0", None),
    broadcast!("broadcast_not_equal", &[], "1 where lhs ≠ rhs, else 0", None),
    broadcast!("broadcast_greater", &[], "1 where lhs > rhs, else 0", None),
    broadcast!("broadcast_greater_equal", &[], "1 where lhs ≥ rhs, else 0", None),
    broadcast!("broadcast_lesser", &[], "1 where lhs < rhs, else 0", None),
    broadcast!("broadcast_lesser_equal", &[], "1 where lhs ≤ rhs, else 0", None),
    broadcast!("broadcast_logical_and", &[], "1 where neither is 0, else 0", None),
    broadcast!("broadcast_logical_or", &[], "1 where either is not 0, else 0", None),
    broadcast!("broadcast_logical_xor", &[], "1 where just one is not 0, else 0", None),
];

/// The backward operators.
pub(super) static BACKWARD: [Backward; 9] = [
    backward!("_backward_broadcast_add", "d_lhs = out_grad, d_rhs = out_grad", false),
    backward!("_backward_broadcast_sub", "d_lhs = out_grad, d_rhs = -out_grad", false),
    backward!("_backward_broadcast_mul", "d_lhs = out_grad · rhs, d_rhs = out_grad · lhs", true),
    backward!("_backward_broadcast_div", "d_lhs = out_grad / rhs, d_rhs = -out_grad · lhs / rhs²", true),
    backward!("_backward_broadcast_mod", "d_lhs = out_grad, d_rhs = -out_grad · ⌊lhs / rhs⌋", true),
    backward!(
        "_backward_broadcast_power",
        "d_lhs = out_grad · rhs · lhs^(rhs - 1), d_rhs = out_grad · lhs^rhs · ln lhs",
        true
    ),
    backward!(
        "_backward_broadcast_maximum",
        "d_lhs = out_grad where lhs ≥ rhs, d_rhs = out_grad where lhs < rhs",
        true
    ),
    backward!(
        "_backward_broadcast_minimum",
        "d_lhs = out_grad where lhs ≤ rhs, d_rhs = out_grad where lhs > rhs",
        true
    ),
    backward!(
        "_backward_broadcast_hypot",
        "d_lhs = out_grad · lhs / √(lhs² + rhs²), d_rhs = out_grad · rhs / √(lhs² + rhs²)",
        true
    ),
];

impl Operator for Broadcast {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[&str] {
        self.aliases
    }

    fn doc(&self) -> &str {
        self.doc
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

    fn is_cheap(&self, _: &Params) -> bool {
        !matches!(self.name, "broadcast_mod" | "broadcast_power" | "broadcast_hypot")
    }

    /// Axes are matched from the last, so both must have all.
    fn permuted(&self, _: &Params, inputs: &[TensorDesc], order: &Permutation) -> Option<Attrs> {
        inputs.iter().all(|desc| desc.shape.rank() == order.axes().len()).then(Attrs::new)
    }

    /// Of operands with as many axes, those that have as many samples as the output.
    fn per_sample(&self, _: &Params, inputs: &[TensorDesc]) -> Option<Vec<usize>> {
        let [lhs, rhs] = inputs else { return None };
        match (lhs.shape.dims(), rhs.shape.dims()) {
            (l, r) if l.len() != r.len() => None,
            ([a, ..], [b, ..]) if a == b => Some(vec![0, 1]),
            ([_, ..], [1, ..]) => Some(vec![0]),
            ([1, ..], [_, ..]) => Some(vec![1]),
            _ => None,
        }
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let Some(backward) = self.backward else { return Ok(vec![None; 2]) };
        let mut inputs = vec![grad.out_grad(0)?];
        if backward.needs_operands {
            inputs.extend(grad.inputs);
        }
        grad.backward(backward.name, &inputs, 2)
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

impl Operator for Backward {
    fn name(&self) -> &str {
        self.name
    }

    fn doc(&self) -> &str {
        self.doc
    }

    fn schema(&self) -> &Schema {
        &NO_PARAMS
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        let names: &[&str] = if self.needs_operands { &["out_grad", "lhs", "rhs"] } else { &["out_grad"] };
        names.iter().map(ToString::to_string).collect()
    }

    fn outputs(&self, _: &Params) -> Vec<String> {
        ["d_lhs", "d_rhs"].map(String::from).to_vec()
    }

    fn infer_shape(&self, _: &Params, s: &mut Shapes) -> Result<()> {
        if self.needs_operands {
            s.same(&[1], &[0])?;
            s.same(&[2], &[1])?;
        }
        let out = broadcast_shape(s.output(0), s.output(1))?;
        s.set_input(0, out, &format!("from d_lhs {} and d_rhs {}", s.output(0), s.output(1)))
    }
}
