//! `softmax_cross_entropy`: the summed cross entropy of a batch.

use super::elementwise::NO_PARAMS;
use crate::{DTypes, Entry, Gradient, Operator, Params, PartialShape, Result, Schema, Shape, Shapes};

/// The loss itself.
pub(super) struct SoftmaxCrossEntropy;

/// Data (N, C) and label (N,) tell each other.
fn infer_label(s: &mut Shapes, data: usize, label: usize) -> Result<()> {
    s.set_input(data, PartialShape::new([None, None]), "for (samples, classes)")?;
    let why = format!("from data {}", s.input(data));
    s.set_input(label, PartialShape::new([s.input(data).dim(0)]), &why)?;
    let why = format!("from label {}", s.input(label));
    s.set_input(data, PartialShape::new([s.input(label).dim(0), None]), &why)
}

/// The label may have a dtype of its own; `like` are the inputs that have data's.
fn infer_dtype(d: &mut DTypes, like: &[usize], label: usize) -> Result<()> {
    d.same(like, &[0])?;
    match (d.input(like[0]), d.input(label)) {
        (Some(data), None) => d.set_input(label, data),
        _ => Ok(()),
    }
}

impl Operator for SoftmaxCrossEntropy {
    fn name(&self) -> &str {
        "softmax_cross_entropy"
    }

    fn doc(&self) -> &str {
        "output = -Σ ln softmax(data[n])[label[n]] over the samples n. data (N, classes), label (N,) of class numbers, output \
         (1,)."
    }

    fn schema(&self) -> &Schema {
        &NO_PARAMS
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        ["data", "label"].map(String::from).to_vec()
    }

    fn infer_shape(&self, _: &Params, s: &mut Shapes) -> Result<()> {
        infer_label(s, 0, 1)?;
        s.set_output(0, Shape::new(&[1]), "for one number")
    }

    fn infer_dtype(&self, _: &Params, d: &mut DTypes) -> Result<()> {
        infer_dtype(d, &[0], 1)
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let inputs = [grad.out_grad(0)?, grad.inputs[0], grad.inputs[1]];
        Ok(vec![grad.backward("_backward_softmax_cross_entropy", &inputs, 1)?[0], None])
    }
}

/// Gradient of [`SoftmaxCrossEntropy`] by data.
pub(super) struct Backward;

impl Operator for Backward {
    fn name(&self) -> &str {
        "_backward_softmax_cross_entropy"
    }

    fn doc(&self) -> &str {
        "d_data = (softmax(data) - onehot(label)) · out_grad."
    }

    fn schema(&self) -> &Schema {
        &NO_PARAMS
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        ["out_grad", "data", "label"].map(String::from).to_vec()
    }

    fn outputs(&self, _: &Params) -> Vec<String> {
        vec!["d_data".to_string()]
    }

    fn infer_shape(&self, _: &Params, s: &mut Shapes) -> Result<()> {
        s.set_input(0, Shape::new(&[1]), "for one number")?;
        infer_label(s, 1, 2)?;
        s.same(&[1], &[0])
    }

    fn infer_dtype(&self, _: &Params, d: &mut DTypes) -> Result<()> {
        infer_dtype(d, &[0, 1], 2)
    }

    fn inplace(&self, _: &Params) -> Vec<(usize, usize)> {
        vec![(1, 0)]
    }
}
