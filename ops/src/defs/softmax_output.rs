//! `SoftmaxOutput`: softmax whose gradient is that of the cross entropy with a label.

use super::dims::{around_axis, product};
use crate::{
    DTypes, Entry, Error, Gradient, Operator, Params, PartialShape, Result, Schema, Shape, Shapes, TensorDesc,
};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new()
        .float("grad_scale", f64::MIN..=f64::MAX, Some(1.0), "Factor of the gradient.")
        .float("ignore_label", f64::MIN..=f64::MAX, Some(-1.0), "With use_ignore: samples of this label have gradient 0.")
        .bool("multi_output", Some(false), "Classes are along axis 1, and each place along the axes after it has a label.")
        .bool("use_ignore", Some(false), "Whether ignore_label has effect.")
        .bool("preserve_shape", Some(false), "Classes are along the last axis, and the axes before it are samples.")
        .choice(
            "normalization",
            &["null", "batch", "valid"],
            Some("null"),
            "What the gradient is divided by: null 1; batch the number of labels, with multi_output the length of axis 0; valid \
             the number of labels other than ignore_label, at least 1.",
        )
        .bool("out_grad", Some(false), "Multiply the gradient by the one that comes from outside.")
        .float("smooth_alpha", 0.0..=1.0, Some(0.0), "Label smoothing: the part of the label's probability given to the others.")
});

/// How a `SoftmaxOutput` sees data: as (outer, classes, inner), with softmax along the classes.
#[must_use]
pub fn softmax_output_axes(params: &Params, data: &Shape) -> [usize; 3] {
    let d = data.dims();
    match d.len() {
        0 => [1, 1, 1],
        _ if params.bool("multi_output") && d.len() > 1 => around_axis(data, 1),
        n if params.bool("preserve_shape") => around_axis(data, n - 1),
        _ => [d[0], d[1..].iter().product(), 1],
    }
}

/// Softmax, with the gradient of the cross entropy.
pub(super) struct SoftmaxOutput;

impl Operator for SoftmaxOutput {
    fn name(&self) -> &str {
        "SoftmaxOutput"
    }

    fn aliases(&self) -> &[&str] {
        &["Softmax"]
    }

    fn doc(&self) -> &str {
        "output = softmax of data over the classes: all axes but the first, or the last (preserve_shape), or axis 1 \
         (multi_output). Label holds class numbers, as floating-point or integer numbers, one a softmax; or probabilities, \
         of data's shape. Gradient: (output - onehot(label)) · grad_scale / normalization."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        ["data", "label"].map(String::from).to_vec()
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        s.same(&[0], &[0])?;
        infer_label(params, s, 0, 1)
    }

    fn infer_dtype(&self, _: &Params, d: &mut DTypes) -> Result<()> {
        infer_dtype(d)
    }

    fn inplace(&self, _: &Params) -> Vec<(usize, usize)> {
        vec![(0, 0)]
    }

    fn is_loss(&self, params: &Params) -> bool {
        !params.bool("out_grad")
    }

    fn per_sample(&self, _: &Params, _: &[TensorDesc]) -> Option<Vec<usize>> {
        Some(vec![0, 1])
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let mut inputs = vec![grad.outputs[0], grad.inputs[1]];
        if grad.params.bool("out_grad") {
            inputs.push(grad.out_grad(0)?);
        }
        Ok(vec![grad.backward("_backward_SoftmaxOutput", &inputs, 1)?[0], None])
    }
}

/// The label's shape (input `label`) from that of data or output (input `data`).
fn infer_label(params: &Params, s: &mut Shapes, data: usize, label: usize) -> Result<()> {
    let Some(dims) = s.input(data).dims().map(<[_]>::to_vec) else { return Ok(()) };
    let multi = params.bool("multi_output");
    if dims.len() < if multi { 2 } else { 1 } {
        let shape = s.input(data);
        return Err(Error::Shape(format!("data has shape {shape}, wanted axes for samples and classes")));
    }
    let why = format!("from data {}", s.input(data));
    let mut forms = vec![PartialShape::new(dims.iter().copied())];
    if multi {
        let inner = product(dims[2..].iter().copied());
        let mut one = dims.clone();
        one[1] = Some(1);
        let without = dims.iter().enumerate().filter(|(a, _)| *a != 1).map(|(_, d)| *d);
        forms.extend([PartialShape::new([dims[0], inner]), PartialShape::new(without), PartialShape::new(one)]);
    } else {
        forms.push(PartialShape::new(dims[..dims.len() - 1].iter().copied()));
    }
    let wanted = forms[1].clone();
    if s.input(label).rank().is_some() {
        let mut fitting = forms.into_iter().filter(|form| s.input(label).clone().merge(form).is_ok());
        match (fitting.next(), fitting.next()) {
            (Some(form), None) => return s.set_input(label, form, &why),
            (Some(_), Some(_)) => return Ok(()),
            (None, _) => {}
        }
    }
    s.set_input(label, wanted, &why)
}

fn infer_dtype(d: &mut DTypes) -> Result<()> {
    d.same(&[0], &[0])?;
    match (d.input(0), d.input(1)) {
        (Some(data), None) => d.set_input(1, data),
        _ => Ok(()),
    }
}

/// Gradient of [`SoftmaxOutput`] by data.
pub(super) struct Backward;

impl Operator for Backward {
    fn name(&self) -> &str {
        "_backward_SoftmaxOutput"
    }

    fn doc(&self) -> &str {
        "d_data = (output - target) · grad_scale / normalization, and · out_grad if asked for. target is 1 at the label and \
         0 elsewhere; with smooth_alpha 1 - smooth_alpha at the label and smooth_alpha / (classes - 1) elsewhere. With \
         use_ignore it is 0 for samples whose label, as an integer, is ignore_label. With multi_output null and batch \
         divide by the number of labels a sample besides. Where label is of data's shape it is target itself, and \
         normalization, use_ignore and smooth_alpha are without effect."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn inputs(&self, params: &Params) -> Vec<String> {
        let names: &[&str] =
            if params.bool("out_grad") { &["output", "label", "out_grad"] } else { &["output", "label"] };
        names.iter().map(ToString::to_string).collect()
    }

    fn outputs(&self, _: &Params) -> Vec<String> {
        vec!["d_data".to_string()]
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        let like: &[usize] = if params.bool("out_grad") { &[0, 2] } else { &[0] };
        s.same(like, &[0])?;
        infer_label(params, s, 0, 1)
    }

    fn infer_dtype(&self, params: &Params, d: &mut DTypes) -> Result<()> {
        if params.bool("out_grad") {
            d.same(&[0, 2], &[0])?;
        }
        infer_dtype(d)
    }

    fn inplace(&self, _: &Params) -> Vec<(usize, usize)> {
        vec![(0, 0)]
    }
}
