//! `BatchNorm`: every channel with mean 0 and variance 1 over the batch.

use super::dims::{axis_of, moved_axis};
use crate::{
    Attrs, Entry, Error, Gradient, Kind, Operator, Params, PartialShape, Permutation, Recompute, Result, Schema,
    Shapes, TensorDesc, Value,
};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let calibrated = |schema: Schema, name: &str| {
        schema.param(name, Kind::Float(f64::MIN, f64::MAX), Some(Value::None), "Without effect.")
    };
    let schema = Schema::new()
        .float("eps", 0.0..=f64::MAX, Some(1e-3), "Added to the variance.")
        .float("momentum", f64::MIN..=f64::MAX, Some(0.9), "Part of the moving statistics that a training pass keeps.")
        .bool("fix_gamma", Some(true), "Take gamma as 1; its gradient is 0.")
        .bool("use_global_stats", Some(false), "Normalise by the moving statistics in training too, and leave them.")
        .bool("output_mean_var", Some(false), "Show the outputs mean and var.")
        .int(
            "axis",
            i64::from(i32::MIN)..=i64::from(i32::MAX),
            Some(1),
            "The axis of channels; negative ones count from the end.",
        )
        .bool("cudnn_off", Some(false), "Without effect.");
    calibrated(calibrated(schema, "min_calib_range"), "max_calib_range")
});

/// The channels of data, and what all vectors have one number of.
fn infer_channels(params: &Params, s: &mut Shapes, data: usize, vectors: &[usize], outputs: &[usize]) -> Result<()> {
    let Some(rank) = s.input(data).rank() else { return s.same(vectors, outputs) };
    let axis = axis_of(params.int("axis"), rank)
        .map_err(|e| Error::Shape(format!("data has shape {}: {e}", s.input(data))))?;
    let channels = PartialShape::new([s.input(data).dim(axis)]);
    let why = format!("from data {}", s.input(data));
    for i in vectors {
        s.set_input(*i, channels.clone(), &why)?;
    }
    for o in outputs {
        s.set_output(*o, channels.clone(), &why)?;
    }
    s.same(vectors, outputs)?;
    let Some(channels) = vectors.iter().find_map(|i| s.input(*i).dim(0)) else { return Ok(()) };
    let dims = (0..rank).map(|a| (a == axis).then_some(channels));
    s.set_input(data, PartialShape::new(dims), &format!("from {channels} channels"))
}

/// Normalisation of channels over a batch.
pub(super) struct BatchNorm {
    /// Whether max(·, 0) is taken of the output.
    pub(super) relu: bool,
}

/// `_FusedBatchNormRelu` too, which passes make, so that what lies between the two is never in memory.
pub(super) const ALL: [BatchNorm; 2] = [BatchNorm { relu: false }, BatchNorm { relu: true }];

impl Operator for BatchNorm {
    fn name(&self) -> &str {
        if self.relu { "_FusedBatchNormRelu" } else { "BatchNorm" }
    }

    fn aliases(&self) -> &[&str] {
        if self.relu { &[] } else { &["BatchNorm_v1"] }
    }

    fn doc(&self) -> &str {
        if self.relu {
            return "output = max(BatchNorm(data), 0), with the same bits; all else as BatchNorm.";
        }
        "output = gamma · (data - mean) / √(variance + eps) + beta, for every channel, the places along axis. In training \
         mean and variance are those of data over all other axes, the variance by the number of elements, and the moving \
         statistics become momentum · moving + (1 - momentum) · data's; otherwise they are the moving ones. The output var \
         is 1 / √(variance + eps). data (N, C, …), the others (C,). Ioffe and Szegedy, ICML 2015."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        ["data", "gamma", "beta"].map(String::from).to_vec()
    }

    fn auxiliaries(&self, _: &Params) -> Vec<String> {
        ["moving_mean", "moving_var"].map(String::from).to_vec()
    }

    fn outputs(&self, _: &Params) -> Vec<String> {
        ["output", "mean", "var"].map(String::from).to_vec()
    }

    fn num_visible_outputs(&self, params: &Params) -> usize {
        if params.bool("output_mean_var") && !self.relu { 3 } else { 1 }
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        s.same(&[0], &[0])?;
        infer_channels(params, s, 0, &[1, 2, 3, 4], &[1, 2])?;
        s.same(&[0], &[0])
    }

    fn inplace(&self, _: &Params) -> Vec<(usize, usize)> {
        vec![(0, 0)]
    }

    fn is_cheap(&self, _: &Params) -> bool {
        true
    }

    /// From the statistics that the forward pass found; the moving ones are left alone.
    fn recompute(&self, again: &mut Recompute<'_>) -> Result<Option<Vec<Entry>>> {
        let (mean, var) = (again.outputs[1], again.outputs[2]);
        let inputs = [again.inputs[0], again.inputs[1], again.inputs[2], mean, var];
        let output = again.add(Apply { relu: self.relu }.name(), &inputs)?;
        Ok(Some(vec![output, mean, var]))
    }

    /// What it has of each channel stays as it is.
    fn permuted(&self, params: &Params, inputs: &[TensorDesc], order: &Permutation) -> Option<Attrs> {
        moved_axis(params, "axis", inputs.get(..1)?, order)
    }

    /// The statistics that it scores with are not those of the batch.
    fn per_sample(&self, params: &Params, inputs: &[TensorDesc]) -> Option<Vec<usize>> {
        let axis = axis_of(params.int("axis"), inputs.first()?.shape.rank()).ok()?;
        (axis > 0 && !params.bool("output_mean_var")).then(|| vec![0])
    }

    /// From data rather than the output: the output cannot tell data where gamma is 0, and an activation that follows may
    /// then take the output's memory.
    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let mut inputs = vec![grad.out_grad(0)?, grad.inputs[0], grad.inputs[1]];
        inputs.extend(self.relu.then_some(grad.inputs[2]));
        inputs.extend([grad.outputs[1], grad.outputs[2]]);
        let mut grads = grad.backward(Backward { relu: self.relu }.name(), &inputs, 3)?;
        grads.extend([None, None]);
        Ok(grads)
    }
}

/// The output of [`BatchNorm`] by the mean and var that it gave, to compute it once more.
pub(super) struct Apply {
    relu: bool,
}

/// The two of them.
pub(super) const APPLY: [Apply; 2] = [Apply { relu: false }, Apply { relu: true }];

impl Operator for Apply {
    fn name(&self) -> &str {
        if self.relu { "_BatchNormReluApply" } else { "_BatchNormApply" }
    }

    fn doc(&self) -> &str {
        if self.relu {
            "output = max(_BatchNormApply(data, …), 0): the output of _FusedBatchNormRelu, with the same bits."
        } else {
            "output = gamma · (data - mean) · var + beta, where var is 1 / √(variance + eps): the output of BatchNorm, with the \
             same bits. With fix_gamma gamma is 1."
        }
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        ["data", "gamma", "beta", "mean", "var"].map(String::from).to_vec()
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        s.same(&[0], &[0])?;
        infer_channels(params, s, 0, &[1, 2, 3, 4], &[])?;
        s.same(&[0], &[0])
    }

    fn inplace(&self, _: &Params) -> Vec<(usize, usize)> {
        vec![(0, 0)]
    }

    fn is_cheap(&self, _: &Params) -> bool {
        true
    }

    fn is_hidden(&self) -> bool {
        true
    }
}

/// Gradients of [`BatchNorm`] by data, gamma and beta.
pub(super) struct Backward {
    relu: bool,
}

/// The two of them.
pub(super) const BACKWARD: [Backward; 2] = [Backward { relu: false }, Backward { relu: true }];

impl Operator for Backward {
    fn name(&self) -> &str {
        if self.relu { "_backward_FusedBatchNormRelu" } else { "_backward_BatchNorm" }
    }

    fn doc(&self) -> &str {
        if self.relu {
            return "The gradients of _backward_BatchNorm, where out_grad counts as 0 wherever the output, computed once more, is \
                    not above 0: the output need not be kept.";
        }
        "With x = (data - mean) · var, where var is 1 / √(variance + eps): d_beta = Σ out_grad and d_gamma = Σ out_grad · x over \
         a channel of n elements, d_data = gamma · var · (out_grad - (d_beta + x · d_gamma) / n); where mean and var are the \
         moving ones d_data = gamma · var · out_grad. With fix_gamma gamma is 1 and d_gamma 0."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        let names: &[&str] = match self.relu {
            false => &["out_grad", "data", "gamma", "mean", "var"],
            true => &["out_grad", "data", "gamma", "beta", "mean", "var"],
        };
        names.iter().map(ToString::to_string).collect()
    }

    fn outputs(&self, _: &Params) -> Vec<String> {
        ["d_data", "d_gamma", "d_beta"].map(String::from).to_vec()
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        s.same(&[0, 1], &[0])?;
        let vectors: Vec<_> = (2..s.num_inputs()).collect();
        infer_channels(params, s, 1, &vectors, &[1, 2])?;
        s.same(&[0, 1], &[0])
    }

    fn inplace(&self, _: &Params) -> Vec<(usize, usize)> {
        vec![(0, 0), (1, 0)]
    }
}
