//! Arithmetic on shapes, done while importing.

use super::{Translate, one};
use crate::HostArray;
use crate::onnx::external;
use crate::onnx::import::Op;
use crate::onnx::node::{Use, scalar};
use crate::onnx::value::{Numbers, Value};
use varflow_ops::{DType, Error, Result};

pub(super) const ALL: &[(&str, Translate)] = &[
    ("Constant", constant),
    ("ConstantOfShape", constant_of_shape),
    ("Identity", identity),
    ("Shape", shape),
    ("Size", size),
];

fn constant(node: &mut Use<'_, '_>) -> Result<Vec<Value>> {
    if let Some(value) = node.constant("value")? {
        return Ok(vec![value]);
    }
    if node.has("value_float") {
        let array = HostArray::from_slice([], &[node.float("value_float", 0.0)?])?;
        return Ok(vec![node.weigh(array)]);
    }
    let numbers = if node.has("value_int") {
        Numbers { is_scalar: true, values: vec![Some(node.int("value_int", 0)?)] }
    } else if let Some(list) = node.ints("value_ints")? {
        Numbers { is_scalar: false, values: list.into_iter().map(Some).collect() }
    } else {
        let wanted = "wanted attribute value, value_float, value_int or value_ints";
        return Err(Error::Data(format!("has no value that is covered, {wanted}")));
    };
    bounded(numbers)
}

/// Nothing is done: the output is the input.
fn identity(node: &mut Use<'_, '_>) -> Result<Vec<Value>> {
    Ok(vec![node.value(0, "input")?])
}

fn shape(node: &mut Use<'_, '_>) -> Result<Vec<Value>> {
    let data = node.tensor(0, "data")?;
    let rank = i64::try_from(node.rank(&data)?).unwrap_or(i64::MAX);
    let place = |axis: i64| usize::try_from((if axis < 0 { axis.saturating_add(rank) } else { axis }).clamp(0, rank));
    let (start, end) = (place(node.int("start", 0)?), place(node.int("end", rank)?));
    let (start, end) = (start.unwrap_or(0), end.unwrap_or(0));
    let dims = data.shape.dims().unwrap_or_default().iter().enumerate();
    let dims = dims.filter(|(axis, _)| (start..end).contains(axis));
    bounded(Numbers { is_scalar: false, values: dims.map(|(_, d)| d.and_then(|n| i64::try_from(n).ok())).collect() })
}

fn size(node: &mut Use<'_, '_>) -> Result<Vec<Value>> {
    let data = node.tensor(0, "data")?;
    let len = data.shape.known().and_then(|s| s.checked_len()).and_then(|n| i64::try_from(n).ok());
    bounded(Numbers { is_scalar: true, values: vec![len] })
}

/// Numbers where they are integers and few, else a tensor that the network makes.
fn constant_of_shape(node: &mut Use<'_, '_>) -> Result<Vec<Value>> {
    let shape = node.known(0, "input")?.unwrap_or_default();
    let value = match node.constant("value")? {
        Some(Value::Weight(id)) => node.importer.array(id).clone(),
        _ => HostArray::from_slice([1], &[0_f32])?,
    };
    let integer = Numbers::of(&value).and_then(|n| n.known()).and_then(|n| n.first().copied());
    if let (Some(integer), true) = (integer, shape.len() <= 1) {
        let n = usize::try_from(shape.first().copied().unwrap_or(1)).ok().filter(|n| *n <= Numbers::MOST);
        if let Some(n) = n {
            return bounded(Numbers { is_scalar: shape.is_empty(), values: vec![Some(integer); n] });
        }
    }
    let value_of = scalar(&value).ok_or_else(|| Error::Data("attribute value is no number, wanted one".to_string()))?;
    let dtype = value.desc.dtype;
    let zeros = Op::new("_zeros").set("shape", shape).set("dtype", dtype);
    if value_of == 0.0 {
        return one(node.emit(zeros, &[])?);
    }
    let zeros = node.emit_part("zeros", zeros, &[])?;
    one(node.emit(Op::new("_plus_scalar").set("scalar", value_of), &[zeros])?)
}

/// Conversion; of integers to integers, nothing is done.
pub(super) fn cast(node: &mut Use<'_, '_>) -> Result<Vec<Value>> {
    let dtype = external::dtype(node.int("to", 1)?).map_err(|e| e.at("attribute to"))?;
    if let (Some(numbers), DType::I64 | DType::I32) = (node.as_numbers(0)?, dtype) {
        return bounded(numbers);
    }
    let data = node.tensor(0, "input")?;
    one(node.emit(Op::new("Cast").set("dtype", dtype), &[data])?)
}

/// Element by element; a single number goes with all of the others.
pub(super) fn arithmetic(a: &Numbers, b: &Numbers, fold: fn(i64, i64) -> Option<i64>) -> Result<Vec<Value>> {
    let n = match (a.values.len(), b.values.len()) {
        (n, 1) => n,
        (1, n) => n,
        (n, m) if n == m => n,
        (n, m) => return Err(Error::Data(format!("has {n} numbers and {m}, wanted as many of both"))),
    };
    let at = |of: &Numbers, i: usize| of.values[if of.values.len() == 1 { 0 } else { i }];
    let value = |i: usize| match (at(a, i), at(b, i)) {
        (Some(a), Some(b)) => {
            let refuse = || Error::Data(format!("has no value for {a} and {b}"));
            fold(a, b).map(Some).ok_or_else(refuse)
        }
        _ => Ok(None),
    };
    let values = (0..n).map(value).collect::<Result<_>>()?;
    bounded(Numbers { is_scalar: a.is_scalar && b.is_scalar, values })
}

/// The only output of a node, if it is not too many numbers.
pub(super) fn bounded(numbers: Numbers) -> Result<Vec<Value>> {
    if numbers.values.len() > Numbers::MOST {
        let n = numbers.values.len();
        return Err(Error::Data(format!("computes {n} numbers of shapes, wanted at most {}", Numbers::MOST)));
    }
    Ok(vec![Value::Numbers(numbers)])
}
