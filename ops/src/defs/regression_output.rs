//! Outputs of regressions, whose gradients are those of a loss against a label.

use crate::{Entry, Gradient, Operator, Params, PartialShape, Result, Schema, Shapes, TensorDesc};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> =
    LazyLock::new(|| Schema::new().float("grad_scale", f64::MIN..=f64::MAX, Some(1.0), "Factor of the gradient."));

/// Which regression.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Regression {
    /// Half the squared distance.
    Linear,
    /// Cross entropy of the logistic function.
    Logistic,
    /// Distance.
    Absolute,
}

/// All of them.
pub(super) const ALL: [Regression; 3] = [Regression::Linear, Regression::Logistic, Regression::Absolute];

/// The label has data's shape; where each sample is one number it may lack the axes after the first.
fn infer_label(s: &mut Shapes) -> Result<()> {
    let why = format!("from data {}", s.input(0));
    let rank = s.input(1).rank();
    let Some(dims) = s.input(0).dims() else {
        return if rank.is_some_and(|rank| rank > 1) { s.same(&[0, 1], &[]) } else { Ok(()) };
    };
    let others = dims.get(1..).unwrap_or_default();
    let may_be_one_number = !others.is_empty() && others.iter().all(|d| d.is_none_or(|d| d == 1));
    let samples = PartialShape::new([dims.first().copied().flatten()]);
    match rank {
        Some(1) if may_be_one_number => s.set_input(1, samples, &why),
        None if may_be_one_number && others.contains(&None) => Ok(()),
        None if may_be_one_number => s.set_input(1, samples, &why),
        _ => s.same(&[0, 1], &[]),
    }
}

impl Operator for Regression {
    fn name(&self) -> &str {
        match self {
            Regression::Linear => "LinearRegressionOutput",
            Regression::Logistic => "LogisticRegressionOutput",
            Regression::Absolute => "MAERegressionOutput",
        }
    }

    fn doc(&self) -> &str {
        match self {
            Regression::Linear => {
                "output = data. Gradient: (output - label) · grad_scale / n, with n the numbers in a sample's label: that of half \
                 the squared distance. Label of data's shape, or (N,) for data (N, 1)."
            }
            Regression::Logistic => {
                "output = 1 / (1 + e^-data). Gradient: (output - label) · grad_scale / n, with n the numbers in a sample's label: \
                 that of the cross entropy. Label of data's shape, or (N,) for data (N, 1)."
            }
            Regression::Absolute => {
                "output = data. Gradient: sign(output - label) · grad_scale / n, with n the numbers in a sample's label: that of \
                 the distance. Label of data's shape, or (N,) for data (N, 1)."
            }
        }
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        ["data", "label"].map(String::from).to_vec()
    }

    fn infer_shape(&self, _: &Params, s: &mut Shapes) -> Result<()> {
        s.same(&[0], &[0])?;
        infer_label(s)?;
        s.same(&[0], &[0])
    }

    fn inplace(&self, _: &Params) -> Vec<(usize, usize)> {
        vec![(0, 0)]
    }

    fn is_loss(&self, _: &Params) -> bool {
        true
    }

    fn per_sample(&self, _: &Params, _: &[TensorDesc]) -> Option<Vec<usize>> {
        Some(vec![0, 1])
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let inputs = [grad.outputs[0], grad.inputs[1]];
        Ok(vec![grad.backward(Backward(*self).name(), &inputs, 1)?[0], None])
    }
}

/// Gradient of a [`Regression`] by data.
pub(super) struct Backward(pub(super) Regression);

impl Operator for Backward {
    fn name(&self) -> &str {
        match self.0 {
            Regression::Linear => "_backward_LinearRegressionOutput",
            Regression::Logistic => "_backward_LogisticRegressionOutput",
            Regression::Absolute => "_backward_MAERegressionOutput",
        }
    }

    fn doc(&self) -> &str {
        match self.0 {
            Regression::Linear | Regression::Logistic => {
                "d_data = (output - label) · grad_scale / n, with n the numbers in a sample's label."
            }
            Regression::Absolute => {
                "d_data = sign(output - label) · grad_scale / n, with n the numbers in a sample's label and sign(0) = 0."
            }
        }
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
        infer_label(s)?;
        s.same(&[0], &[0])
    }

    fn inplace(&self, _: &Params) -> Vec<(usize, usize)> {
        vec![(0, 0)]
    }
}
