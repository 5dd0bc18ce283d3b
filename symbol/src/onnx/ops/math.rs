//! Arithmetic, element by element, and reductions.

use super::numbers::{arithmetic, cast};
use super::{Translate, one};
use crate::onnx::import::Op;
use crate::onnx::node::{Use, scalar};
use crate::onnx::value::{Tensor, Value};
use varflow_ops::{Error, Result};

pub(super) const ALL: &[(&str, Translate)] = &[
    ("Abs", |node| unary(node, "abs")),
    ("Add", |node| binary(node, &ADD)),
    ("ArgMax", |node| arg(node, "argmax")),
    ("ArgMin", |node| arg(node, "argmin")),
    ("Cast", cast),
    ("Ceil", |node| unary(node, "ceil")),
    ("Cos", |node| unary(node, "cos")),
    ("Div", |node| binary(node, &DIV)),
    ("Erf", |node| unary(node, "erf")),
    ("Exp", |node| unary(node, "exp")),
    ("Floor", |node| unary(node, "floor")),
    ("Log", |node| unary(node, "log")),
    ("Max", |node| several(node, "broadcast_maximum")),
    ("Mean", mean),
    ("Min", |node| several(node, "broadcast_minimum")),
    ("Mul", |node| binary(node, &MUL)),
    ("Neg", |node| unary(node, "negative")),
    ("Pow", |node| binary(node, &POW)),
    ("Reciprocal", |node| unary(node, "reciprocal")),
    ("ReduceL2", |node| reduce(node, "norm")),
    ("ReduceMax", |node| reduce(node, "max")),
    ("ReduceMean", |node| reduce(node, "mean")),
    ("ReduceMin", |node| reduce(node, "min")),
    ("ReduceProd", |node| reduce(node, "prod")),
    ("ReduceSum", |node| reduce(node, "sum")),
    ("Sign", |node| unary(node, "sign")),
    ("Sin", |node| unary(node, "sin")),
    ("Sqrt", |node| unary(node, "sqrt")),
    ("Sub", |node| binary(node, &SUB)),
    ("Sum", |node| several(node, "broadcast_add")),
];

/// An operator of two tensors: with broadcasting, with a number on the right, with a number on the left.
pub(super) struct Binary {
    broadcast: &'static str,
    right: &'static str,
    left: &'static str,
    /// The same on integers; `None` where it has no value, or is not wanted for shapes.
    pub(super) fold: fn(i64, i64) -> Option<i64>,
}

const ADD: Binary =
    Binary { broadcast: "broadcast_add", right: "_plus_scalar", left: "_plus_scalar", fold: i64::checked_add };
const SUB: Binary =
    Binary { broadcast: "broadcast_sub", right: "_minus_scalar", left: "_rminus_scalar", fold: i64::checked_sub };
const MUL: Binary =
    Binary { broadcast: "broadcast_mul", right: "_mul_scalar", left: "_mul_scalar", fold: i64::checked_mul };
const DIV: Binary =
    Binary { broadcast: "broadcast_div", right: "_div_scalar", left: "_rdiv_scalar", fold: i64::checked_div };
const POW: Binary =
    Binary { broadcast: "broadcast_power", right: "_power_scalar", left: "_rpower_scalar", fold: |_, _| None };

fn unary(node: &mut Use<'_, '_>, op: &'static str) -> Result<Vec<Value>> {
    let data = node.tensor(0, "X")?;
    one(node.emit(Op::new(op), &[data])?)
}

fn binary(node: &mut Use<'_, '_>, op: &Binary) -> Result<Vec<Value>> {
    if let (Some(a), Some(b)) = (node.as_numbers(0)?, node.as_numbers(1)?) {
        return arithmetic(&a, &b, op.fold);
    }
    let (a, b) = (node.value(0, "A")?, node.value(1, "B")?);
    let number = |value: &Value, other: &Value| match (value, other) {
        // A weight of more axes than the other would add axes.
        (Value::Weight(id), Value::Tensor(other)) => {
            let array = node.importer.array(*id);
            let fits = array.desc.shape.rank() <= other.shape.rank().unwrap_or(0).max(1);
            if fits { scalar(array).filter(|v| v.is_finite()) } else { None }
        }
        _ => None,
    };
    if let Some(number) = number(&b, &a) {
        let a = node.tensor(0, "A")?;
        return one(node.emit(Op::new(op.right).set("scalar", number), &[a])?);
    }
    if let Some(number) = number(&a, &b) {
        let b = node.tensor(1, "B")?;
        return one(node.emit(Op::new(op.left).set("scalar", number), &[b])?);
    }
    let inputs = [node.tensor(0, "A")?, node.tensor(1, "B")?];
    one(node.emit(Op::new(op.broadcast), &inputs)?)
}

/// Any number of inputs, two by two.
fn fold(node: &mut Use<'_, '_>, op: &'static str) -> Result<Tensor> {
    let mut all = node.tensor(0, "data_0")?;
    for i in 1..node.counts().0 {
        let next = node.tensor(i, "data")?;
        all = node.emit(Op::new(op), &[all, next])?;
    }
    Ok(all)
}

fn several(node: &mut Use<'_, '_>, op: &'static str) -> Result<Vec<Value>> {
    one(fold(node, op)?)
}

fn mean(node: &mut Use<'_, '_>) -> Result<Vec<Value>> {
    let sum = fold(node, "broadcast_add")?;
    let n = node.counts().0;
    one(node.emit_part("mean", Op::new("_div_scalar").set("scalar", n), &[sum])?)
}

fn reduce(node: &mut Use<'_, '_>, op: &'static str) -> Result<Vec<Value>> {
    let data = node.tensor(0, "data")?;
    let axes = node.list("axes", 1)?.unwrap_or_default();
    if axes.is_empty() && node.flag("noop_with_empty_axes", false)? {
        return one(data);
    }
    let mut axes = axes.into_iter().map(|a| node.axis(a, &data)).collect::<Result<Vec<_>>>()?;
    if axes.is_empty() {
        axes = (0..node.rank(&data)?).collect();
    }
    axes.sort_unstable();
    let op = Op::new(op).set("axis", axes).set("keepdims", node.flag("keepdims", true)?);
    one(node.emit(op, &[data])?)
}

/// The place of the first extreme, as int64.
fn arg(node: &mut Use<'_, '_>, op: &'static str) -> Result<Vec<Value>> {
    if node.flag("select_last_index", false)? {
        return Err(Error::Data("attribute select_last_index is 1, wanted 0".to_string()));
    }
    let data = node.tensor(0, "data")?;
    let axis = node.axis(node.int("axis", 0)?, &data)?;
    let op = Op::new(op).set("axis", axis).set("keepdims", node.flag("keepdims", true)?);
    let place = node.emit_part("place", op, &[data])?;
    one(node.emit(Op::new("Cast").set("dtype", "int64"), &[place])?)
}
