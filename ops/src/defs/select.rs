//! `where`: one tensor or the other, by a condition.

use super::elementwise::NO_PARAMS;
use crate::{DTypes, Entry, Gradient, Operator, Params, PartialShape, Result, Schema, Shapes};

/// Elements of two tensors.
pub(super) struct Where;

/// The condition's shape (input 0) from that of the tensors: theirs, or the length of their first axis.
fn infer_condition(s: &mut Shapes, tensor: &PartialShape) -> Result<()> {
    if s.input(0).rank() == Some(1) && tensor.rank().is_some_and(|rank| rank > 1) {
        return s.set_input(0, PartialShape::new([tensor.dim(0)]), &format!("from x {tensor}"));
    }
    s.set_input(0, tensor.clone(), &format!("from x {tensor}"))
}

fn infer_dtype(d: &mut DTypes, data: usize) -> Result<()> {
    match (d.input(data), d.input(0)) {
        (Some(dtype), None) => d.set_input(0, dtype),
        _ => Ok(()),
    }
}

impl Operator for Where {
    fn name(&self) -> &str {
        "where"
    }

    fn doc(&self) -> &str {
        "output = x where condition is not 0, y elsewhere. condition has the shape of x and y, or is a vector with one number for \
         each place along their first axis."
    }

    fn schema(&self) -> &Schema {
        &NO_PARAMS
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        ["condition", "x", "y"].map(String::from).to_vec()
    }

    fn infer_shape(&self, _: &Params, s: &mut Shapes) -> Result<()> {
        s.same(&[1, 2], &[0])?;
        let tensor = s.input(1).clone();
        infer_condition(s, &tensor)
    }

    fn infer_dtype(&self, _: &Params, d: &mut DTypes) -> Result<()> {
        d.same(&[1, 2], &[0])?;
        infer_dtype(d, 1)
    }

    fn is_cheap(&self, _: &Params) -> bool {
        true
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let inputs = [grad.inputs[0], grad.out_grad(0)?];
        let both = grad.backward("_backward_where", &inputs, 2)?;
        Ok([None].into_iter().chain(both).collect())
    }
}

/// Gradients of [`Where`].
pub(super) struct Backward;

impl Operator for Backward {
    fn name(&self) -> &str {
        "_backward_where"
    }

    fn doc(&self) -> &str {
        "d_x = out_grad where condition is not 0, 0 elsewhere; d_y = the rest of out_grad."
    }

    fn schema(&self) -> &Schema {
        &NO_PARAMS
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        ["condition", "out_grad"].map(String::from).to_vec()
    }

    fn outputs(&self, _: &Params) -> Vec<String> {
        ["d_x", "d_y"].map(String::from).to_vec()
    }

    fn infer_shape(&self, _: &Params, s: &mut Shapes) -> Result<()> {
        s.same(&[1], &[0, 1])?;
        let tensor = s.input(1).clone();
        infer_condition(s, &tensor)
    }

    fn infer_dtype(&self, _: &Params, d: &mut DTypes) -> Result<()> {
        d.same(&[1], &[0, 1])?;
        infer_dtype(d, 1)
    }
}
