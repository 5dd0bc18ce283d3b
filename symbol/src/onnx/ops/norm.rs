//! Normalisations.

use super::{Translate, one};
use crate::onnx::import::Op;
use crate::onnx::node::Use;
use crate::onnx::value::Value;
use varflow_ops::{Error, Result};

pub(super) const ALL: &[(&str, Translate)] =
    &[("BatchNormalization", batch), ("InstanceNormalization", instance), ("LRN", lrn), ("LayerNormalization", layer)];

fn batch(node: &mut Use<'_, '_>) -> Result<Vec<Value>> {
    if node.flag("training_mode", false)? || node.counts().1 > 1 {
        return Err(Error::Data("is in training mode, wanted a model exported for inference".to_string()));
    }
    let (mean, variance) = (node.weight(3, "mean")?, node.weight(4, "var")?);
    let (data, scale, bias) = (node.tensor(0, "X")?, node.tensor(1, "scale")?, node.tensor(2, "B")?);
    // The operator changes both when it trains, each for itself.
    let variance = if mean == variance { node.importer.twin(variance) } else { variance };
    let (mean, variance) = (node.importer.auxiliary(mean), node.importer.auxiliary(variance));
    let op = Op::new("BatchNorm")
        .set("eps", node.float("epsilon", 1e-5)?)
        .set("momentum", node.float("momentum", 0.9)?)
        .set("fix_gamma", false)
        .set("use_global_stats", false);
    one(node.emit(op, &[data, scale, bias, mean, variance])?)
}

fn instance(node: &mut Use<'_, '_>) -> Result<Vec<Value>> {
    let inputs = [node.tensor(0, "input")?, node.tensor(1, "scale")?, node.tensor(2, "B")?];
    one(node.emit(Op::new("InstanceNorm").set("eps", node.float("epsilon", 1e-5)?), &inputs)?)
}

fn layer(node: &mut Use<'_, '_>) -> Result<Vec<Value>> {
    let (data, scale) = (node.tensor(0, "X")?, node.tensor(1, "Scale")?);
    let axis = node.axis(node.int("axis", -1)?, &data)?;
    if axis + 1 != node.rank(&data)? {
        return Err(node.refuse("axis", axis, "the last axis"));
    }
    let bias = if node.optional(2)?.is_some() {
        node.tensor(2, "B")?
    } else {
        node.emit_part("bias", Op::new("zeros_like"), std::slice::from_ref(&scale))?
    };
    let op = Op::new("LayerNorm").set("axis", axis).set("eps", node.float("epsilon", 1e-5)?);
    one(node.emit(op, &[data, scale, bias])?)
}

fn lrn(node: &mut Use<'_, '_>) -> Result<Vec<Value>> {
    let data = node.tensor(0, "X")?;
    let op = Op::new("LRN")
        .set("nsize", node.int("size", 1)?)
        .set("alpha", node.float("alpha", 1e-4)?)
        .set("beta", node.float("beta", 0.75)?)
        .set("knorm", node.float("bias", 1.0)?);
    one(node.emit(op, &[data])?)
}
