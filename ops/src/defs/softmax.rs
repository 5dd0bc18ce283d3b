//! `softmax`, `log_softmax` and `softmin` along one axis.

use super::dims::{axis_of, moved_axis};
use super::elementwise::Elementwise;
use crate::{
    Attrs, DTypes, Entry, Error, Gradient, Kind, Operator, Params, Permutation, Result, Schema, Shapes, TensorDesc,
    Value,
};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new()
        .int("axis", i64::from(i32::MIN)..=i64::from(i32::MAX), Some(-1), "The axis; negative ones count from the end.")
        .param("temperature", Kind::Float(f64::MIN, f64::MAX), Some(Value::None), "T; None is 1.")
        .dtype("dtype", Some(Value::None), "The dtype, which data must have too; None is that of data.")
        .bool("use_length", Some(false), "Take a length for each row. Only False.")
});

/// The temperature of a `softmax`, `log_softmax` or `softmin`.
#[must_use]
pub fn temperature(params: &Params) -> f64 {
    match params.value("temperature") {
        Value::Float(t) => *t,
        _ => 1.0,
    }
}

/// Softmax, or what is made of it.
#[derive(Clone, Copy)]
pub(super) enum Softmax {
    /// Itself.
    Plain,
    /// Its logarithm.
    Log,
    /// That of the negative data.
    Min,
}

/// All of them.
pub(super) const ALL: [Softmax; 3] = [Softmax::Plain, Softmax::Log, Softmax::Min];

impl Operator for Softmax {
    fn name(&self) -> &str {
        match self {
            Softmax::Plain => "softmax",
            Softmax::Log => "log_softmax",
            Softmax::Min => "softmin",
        }
    }

    fn doc(&self) -> &str {
        match self {
            Softmax::Plain => "output = e^(data / T) / Σ e^(data / T), the sum along axis. Output of data's shape.",
            Softmax::Log => "output = data / T - ln Σ e^(data / T), the sum along axis. Output of data's shape.",
            Softmax::Min => "output = e^(-data / T) / Σ e^(-data / T), the sum along axis. Output of data's shape.",
        }
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn check(&self, params: &Params) -> Result<()> {
        if params.bool("use_length") {
            return Err(Error::Param("parameter \"use_length\" is True, wanted False".to_string()));
        }
        if temperature(params) == 0.0 {
            return Err(Error::Param("parameter \"temperature\" is 0, wanted another number".to_string()));
        }
        Ok(())
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        s.same(&[0], &[0])?;
        if let Some(rank) = s.input(0).rank() {
            axis_of(params.int("axis"), rank)
                .map_err(|e| Error::Shape(format!("data has shape {}: {e}", s.input(0))))?;
        }
        Ok(())
    }

    fn infer_dtype(&self, params: &Params, d: &mut DTypes) -> Result<()> {
        params.dtype("dtype").map_or(Ok(()), |dtype| d.set_output(0, dtype))?;
        d.all_same()
    }

    fn inplace(&self, _: &Params) -> Vec<(usize, usize)> {
        vec![(0, 0)]
    }

    fn permuted(&self, params: &Params, inputs: &[TensorDesc], order: &Permutation) -> Option<Attrs> {
        moved_axis(params, "axis", inputs, order)
    }

    fn per_sample(&self, params: &Params, inputs: &[TensorDesc]) -> Option<Vec<usize>> {
        let rank = inputs.first().map_or(0, |data| data.shape.rank());
        let is_within = super::dims::axis_of(params.int("axis"), rank).is_ok_and(|axis| axis > 0);
        is_within.then(|| vec![0])
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let inputs = [grad.out_grad(0)?, grad.outputs[0]];
        let op = match self {
            Softmax::Plain => "_backward_softmax",
            Softmax::Log => "_backward_log_softmax",
            Softmax::Min => "_backward_softmin",
        };
        grad.backward(op, &inputs, 1)
    }
}

/// The gradients of all.
pub(super) const BACKWARD: [Elementwise; 3] = [
    Elementwise::backward(
        "_backward_softmax",
        "d_data = output · (out_grad - Σ out_grad · output) / T, the sum along axis.",
        &["out_grad", "output"],
    )
    .with(&SCHEMA),
    Elementwise::backward(
        "_backward_log_softmax",
        "d_data = (out_grad - e^output · Σ out_grad) / T, the sum along axis.",
        &["out_grad", "output"],
    )
    .with(&SCHEMA),
    Elementwise::backward(
        "_backward_softmin",
        "d_data = -output · (out_grad - Σ out_grad · output) / T, the sum along axis.",
        &["out_grad", "output"],
    )
    .with(&SCHEMA),
];
