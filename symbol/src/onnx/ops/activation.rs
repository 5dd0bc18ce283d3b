//! Activations and softmax.

use super::{Translate, one};
use crate::onnx::import::Op;
use crate::onnx::node::Use;
use crate::onnx::value::{Tensor, Value};
use varflow_ops::{Error, Result};

pub(super) const ALL: &[(&str, Translate)] = &[
    ("Clip", clip),
    ("Dropout", dropout),
    ("Elu", |node| leaky(node, "elu", 1.0)),
    ("Gelu", gelu),
    ("HardSigmoid", hard_sigmoid),
    ("HardSwish", hard_swish),
    ("LeakyRelu", |node| leaky(node, "leaky", 0.01)),
    ("LogSoftmax", |node| softmax(node, "log_softmax")),
    ("PRelu", prelu),
    ("Relu", |node| activation(node, "relu")),
    ("Selu", selu),
    ("Sigmoid", |node| activation(node, "sigmoid")),
    ("Softmax", |node| softmax(node, "softmax")),
    ("Softplus", |node| activation(node, "softrelu")),
    ("Softsign", |node| activation(node, "softsign")),
    ("Tanh", |node| activation(node, "tanh")),
];

fn activation(node: &mut Use<'_, '_>, kind: &str) -> Result<Vec<Value>> {
    let data = node.tensor(0, "X")?;
    one(node.emit(Op::new("Activation").set("act_type", kind), &[data])?)
}

fn leaky(node: &mut Use<'_, '_>, kind: &str, default: f32) -> Result<Vec<Value>> {
    let data = node.tensor(0, "X")?;
    let op = Op::new("LeakyReLU").set("act_type", kind).set("slope", node.float("alpha", default)?);
    one(node.emit(op, &[data])?)
}

/// γ times elu of slope α.
fn selu(node: &mut Use<'_, '_>) -> Result<Vec<Value>> {
    let data = node.tensor(0, "X")?;
    let (alpha, gamma) = (node.float("alpha", 1.673_263_2)?, node.float("gamma", 1.050_701)?);
    let op = Op::new("LeakyReLU").set("act_type", "elu").set("slope", alpha);
    let elu = node.emit_part("elu", op, &[data])?;
    one(node.emit(Op::new("_mul_scalar").set("scalar", gamma), &[elu])?)
}

/// A slope for each channel, or one for all.
fn prelu(node: &mut Use<'_, '_>) -> Result<Vec<Value>> {
    let data = node.tensor(0, "X")?;
    let id = node.weight(1, "slope")?;
    let shape = &node.importer.array(id).desc.shape;
    let rank = node.rank(&data)?;
    // Counted from the end, channels are at axis 1 of the data.
    let is_channel = |axis: usize| shape.rank() - axis + 1 == rank;
    let fits = shape.dims().iter().enumerate().all(|(axis, n)| *n == 1 || is_channel(axis));
    if !fits {
        let what = format!("input slope has shape {shape} for data {}", data.shape);
        return Err(Error::Data(format!("{what}, wanted one number or one for each channel, at axis 1")));
    }
    let slope = node.importer.flat(id);
    let slope = node.importer.tensor(Value::Weight(slope))?;
    one(node.emit(Op::new("LeakyReLU").set("act_type", "prelu"), &[data, slope])?)
}

fn clip(node: &mut Use<'_, '_>) -> Result<Vec<Value>> {
    let data = node.tensor(0, "input")?;
    let (low, high) = if node.opset() < 11 {
        (f64::from(node.float("min", f32::MIN)?), f64::from(node.float("max", f32::MAX)?))
    } else {
        let (low, high) = (node.number(1, "min")?, node.number(2, "max")?);
        (low.unwrap_or(f64::from(f32::MIN)), high.unwrap_or(f64::from(f32::MAX)))
    };
    one(node.emit(Op::new("clip").set("a_min", low).set("a_max", high), &[data])?)
}

fn hard_sigmoid(node: &mut Use<'_, '_>) -> Result<Vec<Value>> {
    let data = node.tensor(0, "X")?;
    let op = Op::new("hard_sigmoid").set("alpha", node.float("alpha", 0.2)?).set("beta", node.float("beta", 0.5)?);
    one(node.emit(op, &[data])?)
}

/// data · hard_sigmoid(data / 6 + 1/2).
fn hard_swish(node: &mut Use<'_, '_>) -> Result<Vec<Value>> {
    let data = node.tensor(0, "X")?;
    let op = Op::new("hard_sigmoid").set("alpha", 1.0 / 6.0).set("beta", 0.5);
    let gate = node.emit_part("gate", op, std::slice::from_ref(&data))?;
    one(node.emit(Op::new("elemwise_mul"), &[data, gate])?)
}

fn gelu(node: &mut Use<'_, '_>) -> Result<Vec<Value>> {
    let data = node.tensor(0, "X")?;
    match node.text("approximate", "none")? {
        "none" => one(node.emit(Op::new("LeakyReLU").set("act_type", "gelu"), &[data])?),
        "tanh" => tanh_gelu(node, data),
        other => Err(node.refuse("approximate", other, "none or tanh")),
    }
}

/// x/2 · (1 + tanh(√(2/π) · x · (1 + 0.044715 x²))).
fn tanh_gelu(node: &mut Use<'_, '_>, x: Tensor) -> Result<Vec<Value>> {
    const CUBE: f64 = 0.044_715;
    let scalar = |op, value: f64| Op::new(op).set("scalar", value);
    let square = node.emit_part("square", Op::new("square"), std::slice::from_ref(&x))?;
    let cube = node.emit_part("cube", scalar("_mul_scalar", CUBE), &[square])?;
    let one_more = node.emit_part("factor", scalar("_plus_scalar", 1.0), &[cube])?;
    let inner = node.emit_part("inner", Op::new("elemwise_mul"), &[one_more, x.clone()])?;
    let root = (2.0 / std::f64::consts::PI).sqrt();
    let scaled = node.emit_part("scaled", scalar("_mul_scalar", root), &[inner])?;
    let tanh = node.emit_part("tanh", Op::new("Activation").set("act_type", "tanh"), &[scaled])?;
    let gate = node.emit_part("gate", scalar("_plus_scalar", 1.0), &[tanh])?;
    let half = node.emit_part("half", scalar("_mul_scalar", 0.5), &[x])?;
    one(node.emit(Op::new("elemwise_mul"), &[half, gate])?)
}

/// Nothing at inference; the second output, the mask, is not given.
fn dropout(node: &mut Use<'_, '_>) -> Result<Vec<Value>> {
    let data = node.tensor(0, "data")?;
    let p =
        if node.opset() < 12 { f64::from(node.float("ratio", 0.5)?) } else { node.number(1, "ratio")?.unwrap_or(0.5) };
    one(node.emit(Op::new("Dropout").set("p", p), &[data])?)
}

/// Along one axis; before operator set 13, along all axes from that one on.
fn softmax(node: &mut Use<'_, '_>, op: &'static str) -> Result<Vec<Value>> {
    let data = node.tensor(0, "input")?;
    let along = |axis: usize| Op::new(op).set("axis", axis);
    if node.opset() >= 13 {
        let axis = node.axis(node.int("axis", -1)?, &data)?;
        return one(node.emit(along(axis), &[data])?);
    }
    let axis = node.axis(node.int("axis", 1)?, &data)?;
    let rank = node.rank(&data)?;
    if (axis + 1..rank).all(|a| data.shape.dim(a) == Some(1)) {
        return one(node.emit(along(axis), &[data])?);
    }
    let last: Option<Vec<usize>> = (axis..rank).map(|a| data.shape.dim(a)).collect();
    let last = last.ok_or_else(|| {
        let what = format!("input has shape {}", data.shape);
        Error::Data(format!("{what}, wanted known extents from axis {axis} on: give the inputs' shapes"))
    })?;
    let mut flat: Vec<i64> = vec![0; axis];
    let mut back = flat.clone();
    flat.push(-1);
    back.extend(last.into_iter().map(|n| i64::try_from(n).unwrap_or(i64::MAX)));
    let rows = node.emit_part("rows", Op::new("Reshape").set("shape", flat), &[data])?;
    let rows = node.emit_part("along", along(axis), &[rows])?;
    one(node.emit(Op::new("Reshape").set("shape", back), &[rows])?)
}
