//! One node of a model, as translators see it: inputs, attributes, and what is emitted for it.

use super::import::{Importer, Op};
use super::proto::{Attribute, Node};
use super::value::{Numbers, Tensor, Value};
use crate::HostArray;
use varflow_ops::{DType, Error, Result};

/// A node being translated.
pub(super) struct Use<'i, 'a> {
    pub(super) importer: &'i mut Importer<'a>,
    node: &'i Node<'a>,
}

impl<'i, 'a> Use<'i, 'a> {
    pub(super) fn new(importer: &'i mut Importer<'a>, node: &'i Node<'a>) -> Self {
        Use { importer, node }
    }

    /// Its operator.
    pub(super) fn op(&self) -> &'a str {
        self.node.op
    }

    /// The version of the operator set.
    pub(super) fn opset(&self) -> i64 {
        self.importer.opset
    }

    /// How many inputs and outputs are listed.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.node.inputs.len(), self.node.outputs.len())
    }

    /// Input `i`; `None` if it is left out.
    pub(super) fn optional(&self, i: usize) -> Result<Option<Value>> {
        let name = self.node.inputs.get(i).filter(|name| !name.is_empty());
        name.map(|name| self.importer.value(name)).transpose()
    }

    /// Input `i`, which the operator calls `what`.
    pub(super) fn value(&self, i: usize, what: &str) -> Result<Value> {
        self.optional(i)?.ok_or_else(|| Error::Data(format!("has no input {i}, wanted {what}")))
    }

    /// Input `i` as a tensor.
    pub(super) fn tensor(&mut self, i: usize, what: &str) -> Result<Tensor> {
        let value = self.value(i, what)?;
        self.importer.tensor(value).map_err(|e| e.at(format!("input {what}")))
    }

    /// Input `i`, which must be an initializer or a constant.
    pub(super) fn weight(&self, i: usize, what: &str) -> Result<usize> {
        match self.value(i, what)? {
            Value::Weight(id) => Ok(id),
            _ => Err(Error::Data(format!("input {what} is computed, wanted an initializer or a constant"))),
        }
    }

    /// Input `i` as integers, if it is such.
    pub(super) fn as_numbers(&self, i: usize) -> Result<Option<Numbers>> {
        Ok(match self.optional(i)? {
            Some(Value::Numbers(numbers)) => Some(numbers),
            Some(Value::Weight(id)) => Numbers::of(self.importer.array(id)),
            _ => None,
        })
    }

    /// Input `i` as integers, of which some may not be known; `None` if it is left out.
    pub(super) fn numbers(&self, i: usize, what: &str) -> Result<Option<Numbers>> {
        if self.optional(i)?.is_none() {
            return Ok(None);
        }
        let refuse = || {
            let wanted = "wanted integers that are constant or follow from shapes";
            Error::Data(format!("input {what} is computed or no list of integers, {wanted}"))
        };
        self.as_numbers(i)?.map(Some).ok_or_else(refuse)
    }

    /// Input `i` as integers that are all known; `None` if it is left out.
    pub(super) fn known(&self, i: usize, what: &str) -> Result<Option<Vec<i64>>> {
        let Some(numbers) = self.numbers(i, what)? else { return Ok(None) };
        let refuse = || {
            let why = "follows from an extent that the file leaves open: give the inputs' shapes";
            Error::Data(format!("input {what} {why}"))
        };
        numbers.known().map(Some).ok_or_else(refuse)
    }

    /// Integers that are an attribute in older operator sets and input `i` in newer ones.
    pub(super) fn list(&self, attribute: &str, i: usize) -> Result<Option<Vec<i64>>> {
        match self.ints(attribute)? {
            Some(list) => Ok(Some(list)),
            None => self.known(i, attribute),
        }
    }

    /// Input `i` as one constant number; `None` if it is left out.
    pub(super) fn number(&self, i: usize, what: &str) -> Result<Option<f64>> {
        if self.optional(i)?.is_none() {
            return Ok(None);
        }
        let id = self.weight(i, what)?;
        let refuse = || {
            let shape = &self.importer.array(id).desc.shape;
            Error::Data(format!("input {what} has shape {shape}, wanted one number"))
        };
        scalar(self.importer.array(id)).map(Some).ok_or_else(refuse)
    }

    fn attribute(&self, name: &str) -> Option<&'i Attribute<'a>> {
        self.node.attributes.iter().find(|a| a.name == name)
    }

    /// An integer attribute.
    pub(super) fn int(&self, name: &str, default: i64) -> Result<i64> {
        let Some(attribute) = self.attribute(name) else { return Ok(default) };
        attribute.int.ok_or_else(|| self.wrong(name, "an integer"))
    }

    /// An attribute that is 0 or 1.
    pub(super) fn flag(&self, name: &str, default: bool) -> Result<bool> {
        match self.int(name, i64::from(default))? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(self.refuse(name, other, "0 or 1")),
        }
    }

    /// A float attribute.
    pub(super) fn float(&self, name: &str, default: f32) -> Result<f32> {
        let Some(attribute) = self.attribute(name) else { return Ok(default) };
        attribute.float.filter(|v| v.is_finite()).ok_or_else(|| self.wrong(name, "a finite float"))
    }

    /// A list of integers; `None` if the attribute is not there.
    pub(super) fn ints(&self, name: &str) -> Result<Option<Vec<i64>>> {
        Ok(self.attribute(name).map(|a| a.ints.clone()))
    }

    /// A text.
    pub(super) fn text(&self, name: &str, default: &'static str) -> Result<&'i str>
    where
        'a: 'i,
    {
        let Some(attribute) = self.attribute(name) else { return Ok(default) };
        let text = attribute.text.and_then(|t| std::str::from_utf8(t).ok());
        text.ok_or_else(|| self.wrong(name, "a text"))
    }

    /// A tensor, as a new weight.
    pub(super) fn constant(&mut self, name: &str) -> Result<Option<Value>> {
        let Some(attribute) = self.attribute(name) else { return Ok(None) };
        let tensor = attribute.tensor.as_ref().ok_or_else(|| self.wrong(name, "a tensor"))?;
        let array = self.importer.read(tensor).map_err(|e| e.at(format!("attribute {name}")))?;
        Ok(Some(self.weigh(array)))
    }

    /// An array as a new weight, called by the node's first output.
    pub(super) fn weigh(&mut self, array: HostArray) -> Value {
        let name = self.node.outputs.first().copied().unwrap_or_default();
        Value::Weight(self.importer.add_weight_as(name, array))
    }

    /// Attributes that are there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.attribute(name).is_some()
    }

    /// The error that an attribute is of another kind.
    fn wrong(&self, name: &str, wanted: &str) -> Error {
        Error::Data(format!("attribute {name} is of another kind, wanted {wanted}"))
    }

    /// The error that an attribute's value is not covered.
    pub(super) fn refuse(&self, name: &str, has: impl std::fmt::Display, wanted: &str) -> Error {
        Error::Data(format!("attribute {name} is {has}, wanted {wanted}"))
    }

    /// An axis, counted from the front; negative ones count from the end.
    pub(super) fn axis(&self, axis: i64, of: &Tensor) -> Result<usize> {
        let rank = self.rank(of)?;
        let signed = i64::try_from(rank).unwrap_or(i64::MAX);
        let from_front = if axis < 0 { axis.saturating_add(signed) } else { axis };
        let axis = |a: i64| usize::try_from(a).ok().filter(|a| *a < rank);
        axis(from_front)
            .ok_or_else(|| Error::Data(format!("axis {from_front} is not one of the {rank} of {}", of.shape)))
    }

    /// The number of axes of a tensor.
    pub(super) fn rank(&self, of: &Tensor) -> Result<usize> {
        of.shape.rank().ok_or_else(|| Error::Data("has an input of unknown rank: give the inputs' shapes".to_string()))
    }

    /// Emits the node's operator. It is called after an output of the network, if it computes one: outputs keep their names.
    pub(super) fn emit(&mut self, op: Op, inputs: &[Tensor]) -> Result<Tensor> {
        let output = self.node.outputs.first().copied().filter(|name| self.importer.is_output(name));
        self.emit_as(output.unwrap_or(self.node.title()), op, inputs)
    }

    /// Emits an operator on the way to the node's: `part` is added to its name.
    pub(super) fn emit_part(&mut self, part: &str, op: Op, inputs: &[Tensor]) -> Result<Tensor> {
        let name = format!("{}_{part}", self.node.title());
        self.emit_as(&name, op, inputs)
    }

    fn emit_as(&mut self, name: &str, op: Op, inputs: &[Tensor]) -> Result<Tensor> {
        let first = self.importer.emit(name, op, inputs)?.into_iter().next();
        first.ok_or_else(|| Error::Contract(format!("\"{name}\" has no outputs")))
    }

    /// Emits the node's operator, of several outputs.
    pub(super) fn emit_all(&mut self, op: Op, inputs: &[Tensor]) -> Result<Vec<Value>> {
        let outputs = self.importer.emit(self.node.title(), op, inputs)?;
        Ok(outputs.into_iter().map(Value::Tensor).collect())
    }
}

/// The only element of an array, as a number.
pub(super) fn scalar(array: &HostArray) -> Option<f64> {
    if array.desc.shape.len() != 1 {
        return None;
    }
    Some(match array.desc.dtype {
        DType::F32 => f64::from(array.to_vec::<f32>().ok()?[0]),
        DType::F64 => array.to_vec::<f64>().ok()?[0],
        DType::F16 => array.to_vec::<half::f16>().ok()?[0].to_f64(),
        DType::I32 => f64::from(array.to_vec::<i32>().ok()?[0]),
        #[expect(clippy::cast_precision_loss, reason = "numbers of models are small")]
        DType::I64 => array.to_vec::<i64>().ok()?[0] as f64,
        _ => return None,
    })
}
