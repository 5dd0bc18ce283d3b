//! `dot`: matrix products.

use crate::{Entry, Error, Gradient, Operator, Params, PartialShape, Result, Schema, Shapes};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new()
        .bool("transpose_a", Some(false), "Sum over the first axis of lhs instead of the last.")
        .bool("transpose_b", Some(false), "Sum over the last axis of rhs instead of the first.")
        .param(
            "forward_stype",
            crate::Kind::choice(&["default", "row_sparse", "csr"]),
            Some(crate::Value::None),
            "Storage of the output, which is always dense. Without effect.",
        )
});

/// `Σ_k lhs[…, k] · rhs[k, …]`.
pub(super) struct Dot;

impl Operator for Dot {
    fn name(&self) -> &str {
        "dot"
    }

    fn doc(&self) -> &str {
        "output[i…, j…] = Σ_k lhs[i…, k] · rhs[k, j…]: the sum over the last axis of lhs and the first of rhs, or, if \
         transpose_a, the first of lhs, and, if transpose_b, the last of rhs. The other axes follow in order. Two vectors \
         give shape (1,)."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        ["lhs", "rhs"].map(String::from).to_vec()
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        let summed = |s: &Shapes, i: usize, first: bool| -> Result<Option<(usize, usize)>> {
            let Some(rank) = s.input(i).rank() else { return Ok(None) };
            let name = ["lhs", "rhs"][i];
            let last =
                rank.checked_sub(1).ok_or_else(|| Error::Shape(format!("{name} has shape (), wanted an axis")))?;
            Ok(Some((rank, if first { 0 } else { last })))
        };
        let lhs = summed(s, 0, params.bool("transpose_a"))?;
        let rhs = summed(s, 1, !params.bool("transpose_b"))?;
        let (Some((l_rank, l_axis)), Some((r_rank, r_axis))) = (lhs, rhs) else { return Ok(()) };
        // The lengths of the summed axes are the same.
        let only =
            |rank: usize, axis: usize, d: Option<usize>| PartialShape::new((0..rank).map(|a| d.filter(|_| a == axis)));
        let (k, why) = (s.input(0).dim(l_axis), format!("from lhs {}", s.input(0)));
        s.set_input(1, only(r_rank, r_axis, k), &why)?;
        let (k, why) = (s.input(1).dim(r_axis), format!("from rhs {}", s.input(1)));
        s.set_input(0, only(l_rank, l_axis, k), &why)?;
        let l_axes = (0..l_rank).filter(|a| *a != l_axis).map(|a| (0, a));
        let axes: Vec<_> = l_axes.chain((0..r_rank).filter(|a| *a != r_axis).map(|a| (1, a))).collect();
        let why = format!("from lhs {} and rhs {}", s.input(0), s.input(1));
        if axes.is_empty() {
            return s.set_output(0, PartialShape::new([Some(1)]), &why);
        }
        s.set_output(0, PartialShape::new(axes.iter().map(|(i, a)| s.input(*i).dim(*a))), &why)?;
        // And the output's axes are those of the operands.
        let why = format!("from output {}", s.output(0));
        for (o, (i, a)) in axes.into_iter().enumerate() {
            let rank = [l_rank, r_rank][i];
            s.set_input(i, only(rank, a, s.output(0).dim(o)), &why)?;
        }
        Ok(())
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let inputs = [grad.out_grad(0)?, grad.inputs[0], grad.inputs[1]];
        grad.backward("_backward_dot", &inputs, 2)
    }
}

/// Gradients of [`Dot`] by both operands.
pub(super) struct Backward;

impl Operator for Backward {
    fn name(&self) -> &str {
        "_backward_dot"
    }

    fn doc(&self) -> &str {
        "d_lhs[i…, k] = Σ_j out_grad[i…, j…] · rhs[k, j…], d_rhs[k, j…] = Σ_i lhs[i…, k] · out_grad[i…, j…], with axes as in \
         dot."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        ["out_grad", "lhs", "rhs"].map(String::from).to_vec()
    }

    fn outputs(&self, _: &Params) -> Vec<String> {
        ["d_lhs", "d_rhs"].map(String::from).to_vec()
    }

    fn infer_shape(&self, _: &Params, s: &mut Shapes) -> Result<()> {
        s.same(&[1], &[0])?;
        s.same(&[2], &[1])
    }
}
