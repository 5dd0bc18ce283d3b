//! `SVMOutput`: an output whose gradient is that of a support vector machine's loss.

use crate::{DTypes, Entry, Error, Gradient, Operator, Params, PartialShape, Result, Schema, Shapes};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new()
        .float("margin", f64::MIN..=f64::MAX, Some(1.0), "Distance from 0 that has no loss.")
        .float("regularization_coefficient", f64::MIN..=f64::MAX, Some(1.0), "Factor of the gradient.")
        .bool("use_linear", Some(false), "Take the loss itself, not its square.")
});

/// One machine a class.
pub(super) struct SvmOutput;

/// One label for the classes of every sample, which lie along data's last axis.
fn infer_label(s: &mut Shapes, data: usize, label: usize) -> Result<()> {
    let Some(dims) = s.input(data).dims().map(<[_]>::to_vec) else { return Ok(()) };
    let why = format!("from data {}", s.input(data));
    let Some((_, samples)) = dims.split_last() else {
        return Err(Error::Shape("data has shape (), wanted an axis of classes".to_string()));
    };
    s.set_input(label, PartialShape::new(samples.iter().copied()), &why)
}

/// The label may have a dtype of its own.
fn infer_dtype(d: &mut DTypes) -> Result<()> {
    d.same(&[0], &[0])?;
    match (d.input(0), d.input(1)) {
        (Some(data), None) => d.set_input(1, data),
        _ => Ok(()),
    }
}

impl Operator for SvmOutput {
    fn name(&self) -> &str {
        "SVMOutput"
    }

    fn doc(&self) -> &str {
        "output = data. Gradient: that of Σ max(0, margin - s · data)², or without the square, times \
         regularization_coefficient, with s = 1 for the class that is the label and -1 for the others. data (…, classes), \
         label (…)."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        ["data", "label"].map(String::from).to_vec()
    }

    fn infer_shape(&self, _: &Params, s: &mut Shapes) -> Result<()> {
        s.same(&[0], &[0])?;
        infer_label(s, 0, 1)
    }

    fn infer_dtype(&self, _: &Params, d: &mut DTypes) -> Result<()> {
        infer_dtype(d)
    }

    fn inplace(&self, _: &Params) -> Vec<(usize, usize)> {
        vec![(0, 0)]
    }

    fn is_loss(&self, _: &Params) -> bool {
        true
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let inputs = [grad.outputs[0], grad.inputs[1]];
        Ok(vec![grad.backward("_backward_SVMOutput", &inputs, 1)?[0], None])
    }
}

/// Gradient of [`SvmOutput`] by data.
pub(super) struct Backward;

impl Operator for Backward {
    fn name(&self) -> &str {
        "_backward_SVMOutput"
    }

    fn doc(&self) -> &str {
        "With s = 1 for the class that is the label, else -1, d_data = -2 s · regularization_coefficient · max(0, margin - s · \
         output), or with use_linear -s · regularization_coefficient where s · output < margin, else 0."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        ["output", "label"].map(String::from).to_vec()
    }

    fn outputs(&self, _: &Params) -> Vec<String> {
        vec!["d_data".to_string()]
    }

    fn infer_shape(&self, _: &Params, s: &mut Shapes) -> Result<()> {
        s.same(&[0], &[0])?;
        infer_label(s, 0, 1)
    }

    fn infer_dtype(&self, _: &Params, d: &mut DTypes) -> Result<()> {
        infer_dtype(d)
    }

    fn inplace(&self, _: &Params) -> Vec<(usize, usize)> {
        vec![(0, 0)]
    }
}
