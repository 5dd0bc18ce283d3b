//! The importer: names and values of one model, node by node.

use super::Model;
use super::external::{self, External};
use super::node::Use;
use super::ops;
use super::proto::{Graph, Node};
use super::value::{Numbers, Tensor, Value, Weight};
use crate::symbol::{Input, Symbol, SymbolNode};
use crate::{AttrText, HostArray, sym};
use std::collections::{BTreeMap, HashMap, HashSet};
use varflow_ops::{Attrs, DType, Error, PartialShape, Registry, Result, Shape, Shapes};

/// The operator sets that are read.
const OPSETS: std::ops::RangeInclusive<i64> = 7..=20;
/// Axes of a tensor: more than any model has.
const MAX_RANK: usize = 16;

/// One use of an operator of ours.
pub(super) struct Op {
    name: &'static str,
    attrs: Attrs,
}

impl Op {
    /// The operator of this name.
    pub(super) fn new(name: &'static str) -> Self {
        Op { name, attrs: Attrs::new() }
    }

    /// Sets a parameter.
    pub(super) fn set(mut self, param: &str, value: impl AttrText) -> Self {
        self.attrs.insert(param.to_string(), value.attr_text());
        self
    }
}

/// A model being imported.
pub(super) struct Importer<'a> {
    registry: &'a Registry,
    pub(super) opset: i64,
    external: External,
    values: HashMap<&'a str, Value>,
    /// The names of the network's outputs.
    outputs: HashSet<&'a str>,
    weights: Vec<Weight>,
    /// Names of variables and nodes.
    names: HashSet<String>,
    /// How often a name was wanted again, so that finding the next is quick.
    again: HashMap<String, usize>,
    /// How many [`Numbers`] may still be kept.
    numbers_left: usize,
}

impl<'a> Importer<'a> {
    pub(super) fn new(registry: &'a Registry, opset: i64, external: External) -> Result<Self> {
        if !OPSETS.contains(&opset) {
            let (first, last) = (OPSETS.start(), OPSETS.end());
            return Err(Error::Data(format!("has operator set {opset}, wanted one from {first} to {last}")));
        }
        let (values, outputs, weights) = (HashMap::new(), HashSet::new(), Vec::new());
        let (names, again, numbers_left) = (HashSet::new(), HashMap::new(), Numbers::MOST_OF_ALL);
        Ok(Importer { registry, opset, external, values, outputs, weights, names, again, numbers_left })
    }

    pub(super) fn run(mut self, graph: &Graph<'a>, shapes: &[(String, PartialShape)]) -> Result<Model> {
        check_covered(&graph.nodes)?;
        self.outputs.extend(&graph.outputs);
        for tensor in &graph.initializers {
            let place = || format!("initializer \"{}\"", tensor.name);
            let array = self.external.array(tensor).map_err(|e| e.at(place()))?;
            self.names.insert(tensor.name.to_string());
            let id = self.add_weight(tensor.name.to_string(), array);
            self.define(tensor.name, Value::Weight(id)).map_err(|e| e.at(place()))?;
        }
        let inputs = self.inputs(graph, shapes)?;
        self.nodes(&graph.nodes)?;
        let mut heads = Vec::new();
        for name in &graph.outputs {
            let value = self.values.get(name).cloned();
            let value = value.ok_or_else(|| Error::Data(format!("output \"{name}\" is computed by no node")))?;
            heads.push(self.tensor(value).map_err(|e| e.at(format!("output \"{name}\"")))?.symbol);
        }
        if heads.is_empty() {
            return Err(Error::Data("the graph has no outputs, wanted one or more".to_string()));
        }
        Ok(Model { symbol: Symbol::group(heads), params: self.params(), inputs })
    }

    /// Defines the inputs; files of before version 4 list the initializers among them.
    fn inputs(&mut self, graph: &Graph<'a>, shapes: &[(String, PartialShape)]) -> Result<Vec<(String, PartialShape)>> {
        let mut inputs = Vec::new();
        for input in &graph.inputs {
            if let Some(Value::Weight(_)) = self.values.get(input.name) {
                continue;
            }
            let place = |e: Error| e.at(format!("input \"{}\"", input.name));
            let mut shape = input.shape.clone();
            for (_, given) in shapes.iter().filter(|(name, _)| name == input.name) {
                shape.merge(given).map_err(place)?;
            }
            let dtype = external::dtype(input.data_type).map_err(place)?;
            let mut var = sym::var(input.name);
            if dtype != DType::F32 {
                var = var.dtype(dtype);
            }
            self.names.insert(input.name.to_string());
            let tensor = Tensor { symbol: var.build(), shape: shape.clone() };
            self.define(input.name, Value::Tensor(tensor)).map_err(place)?;
            inputs.push((input.name.to_string(), shape));
        }
        for (name, _) in shapes {
            if !inputs.iter().any(|(input, _)| input == name) {
                let all: Vec<_> = inputs.iter().map(|(name, _)| name.as_str()).collect();
                let all = if all.is_empty() { "(there are none)".to_string() } else { all.join(", ") };
                return Err(Error::Param(format!("there is no input \"{name}\": wanted one of {all}")));
            }
        }
        Ok(inputs)
    }

    /// Translates all nodes. One that is refused does not hide others: only those that need its outputs are passed over.
    fn nodes(&mut self, nodes: &[Node<'a>]) -> Result<()> {
        const TOLD: usize = 8;
        let (mut refused, mut unknown) = (Vec::new(), HashSet::new());
        for node in nodes {
            let is_told = node.inputs.iter().any(|name| unknown.contains(name));
            let done = if is_told { None } else { Some(self.node(node)) };
            if !matches!(done, Some(Ok(()))) {
                unknown.extend(node.outputs.iter().copied().filter(|name| !name.is_empty()));
            }
            if let Some(Err(e)) = done {
                refused.push(e.at(format!("node {}", node.place())));
            }
        }
        match refused.len() {
            0 => Ok(()),
            1 => refused.pop().map_or(Ok(()), Err),
            n => {
                let mut told: Vec<_> = refused.iter().take(TOLD).map(ToString::to_string).collect();
                told.extend((n > TOLD).then(|| format!("and {} more", n - TOLD)));
                Err(Error::Data(format!("{n} nodes are not covered: {}", told.join("; "))))
            }
        }
    }

    fn node(&mut self, node: &Node<'a>) -> Result<()> {
        let Some(translate) = ops::translator(node.op) else { return Ok(()) };
        let outputs = translate(&mut Use::new(self, node))?;
        for (i, name) in node.outputs.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            let value = outputs.get(i).cloned().ok_or_else(|| {
                Error::Data(format!("output {i}, \"{name}\", is not computed here: wanted at most {}", outputs.len()))
            })?;
            self.define(name, value)?;
        }
        Ok(())
    }

    /// Counts numbers that are kept.
    fn keep(&mut self, numbers: &Numbers) -> Result<()> {
        let left = self.numbers_left.checked_sub(numbers.values.len());
        self.numbers_left = left.ok_or_else(|| {
            let most = Numbers::MOST_OF_ALL;
            Error::Data(format!("computes the last of too many numbers of shapes, wanted at most {most} in all"))
        })?;
        Ok(())
    }

    fn define(&mut self, name: &'a str, value: Value) -> Result<()> {
        if let Value::Numbers(numbers) = &value {
            self.keep(numbers)?;
        }
        match self.values.insert(name, value) {
            None => Ok(()),
            Some(_) => Err(Error::Data(format!("the name \"{name}\" is there twice, wanted names that differ"))),
        }
    }

    /// Whether an output of the network has this name.
    pub(super) fn is_output(&self, name: &str) -> bool {
        self.outputs.contains(name)
    }

    /// What a name stands for.
    pub(super) fn value(&self, name: &str) -> Result<Value> {
        let refuse = || Error::Data(format!("input \"{name}\" is nothing that was computed before"));
        self.values.get(name).cloned().ok_or_else(refuse)
    }

    /// The value as a tensor: weights become arguments of the network.
    pub(super) fn tensor(&mut self, value: Value) -> Result<Tensor> {
        match value {
            Value::Tensor(tensor) => Ok(tensor),
            Value::Weight(id) => {
                let weight = &self.weights[id];
                let shape = argument_shape(&weight.array).into();
                if let Some((symbol, _)) = &weight.argument {
                    return Ok(Tensor { symbol: symbol.clone(), shape });
                }
                let name = self.variable_name(id, weight.auxiliary.is_some(), "arg");
                let symbol = variable(&name, &self.weights[id].array);
                self.weights[id].argument = Some((symbol.clone(), name));
                Ok(Tensor { symbol, shape })
            }
            Value::Numbers(numbers) => {
                let values = numbers.known().ok_or_else(|| {
                    Error::Data("needs an extent that the file leaves open: give the inputs' shapes".to_string())
                })?;
                self.keep(&numbers)?;
                let id = self.add_weight_as("shape", HostArray::from_slice([values.len()], &values)?);
                self.tensor(Value::Weight(id))
            }
        }
    }

    /// The weight's name, or one made of it if that has been given away.
    fn variable_name(&mut self, id: usize, is_given_away: bool, suffix: &str) -> String {
        let name = self.weights[id].name.clone();
        if is_given_away { self.fresh(&format!("{name}_{suffix}")) } else { name }
    }

    /// The weight as an auxiliary state. One that is an argument too gets another name here.
    pub(super) fn auxiliary(&mut self, id: usize) -> Tensor {
        let weight = &self.weights[id];
        let shape = PartialShape::from(argument_shape(&weight.array));
        if let Some((symbol, _)) = &weight.auxiliary {
            return Tensor { symbol: symbol.clone(), shape };
        }
        let name = self.variable_name(id, weight.argument.is_some(), "aux");
        let symbol = variable(&name, &self.weights[id].array);
        self.weights[id].auxiliary = Some((symbol.clone(), name));
        Tensor { symbol, shape }
    }

    /// An array with a name that is not taken.
    pub(super) fn add_weight_as(&mut self, name: &str, array: HostArray) -> usize {
        let name = self.fresh(name);
        self.add_weight(name, array)
    }

    /// Another weight of the same elements. However often it is asked for, there is one.
    pub(super) fn twin(&mut self, id: usize) -> usize {
        let weight = &self.weights[id];
        if let Some(other) = weight.twin {
            return other;
        }
        let (name, array) = (format!("{}_twin", weight.name), weight.array.clone());
        let other = self.add_weight_as(&name, array);
        self.weights[id].twin = Some(other);
        other
    }

    fn add_weight(&mut self, name: String, array: HostArray) -> usize {
        let (argument, auxiliary) = (None, None);
        self.weights.push(Weight { name, array, argument, auxiliary, transposed: None, flat: None, twin: None });
        self.weights.len() - 1
    }

    /// The elements of a tensor of the file.
    pub(super) fn read(&mut self, tensor: &super::proto::Tensor<'_>) -> Result<HostArray> {
        self.external.array(tensor)
    }

    /// A weight's array.
    pub(super) fn array(&self, id: usize) -> &HostArray {
        &self.weights[id].array
    }

    /// The weight, a matrix, turned over. However often it is asked for, there is one copy.
    pub(super) fn transposed(&mut self, id: usize) -> Result<usize> {
        if let Some(other) = self.weights[id].transposed {
            return Ok(other);
        }
        let HostArray { desc, bytes } = &self.weights[id].array;
        let &[rows, columns] = desc.shape.dims() else {
            return Err(Error::Data(format!("a weight has shape {}, wanted two axes", desc.shape)));
        };
        let size = desc.dtype.size_bytes();
        let mut turned = Vec::with_capacity(bytes.len());
        for column in 0..columns {
            for row in 0..rows {
                let at = (row * columns + column) * size;
                turned.extend_from_slice(&bytes[at..at + size]);
            }
        }
        let mut desc = desc.clone();
        desc.shape = Shape::from([columns, rows]);
        let name = format!("{}_transposed", self.weights[id].name);
        let other = self.add_weight_as(&name, HostArray { desc, bytes: turned });
        self.weights[id].transposed = Some(other);
        Ok(other)
    }

    /// The weight along one axis. However often it is asked for, there is one copy.
    pub(super) fn flat(&mut self, id: usize) -> usize {
        let weight = &self.weights[id];
        if weight.array.desc.shape.rank() == 1 {
            return id;
        }
        if let Some(other) = weight.flat {
            return other;
        }
        let mut array = weight.array.clone();
        array.desc.shape = Shape::from([array.desc.shape.len()]);
        let name = format!("{}_flat", weight.name);
        let other = self.add_weight_as(&name, array);
        self.weights[id].flat = Some(other);
        other
    }

    /// A name that is not taken: this one, or with a number.
    fn fresh(&mut self, name: &str) -> String {
        if !name.is_empty() && self.names.insert(name.to_string()) {
            return name.to_string();
        }
        loop {
            let again = self.again.entry(name.to_string()).or_insert(0);
            let other = format!("{name}_{again}");
            *again += 1;
            if self.names.insert(other.clone()) {
                return other;
            }
        }
    }

    /// Adds a node, and infers its shapes: the tensors that users of the operator see.
    pub(super) fn emit(&mut self, name: &str, op: Op, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let name = self.fresh(name);
        let Op { name: op, attrs } = op;
        let place = |e: Error| e.at(format!("{op} \"{name}\""));
        let (shapes, visible) = self.infer(op, &attrs, inputs).map_err(place)?;
        let inputs = inputs.iter().flat_map(|t| t.symbol.heads.iter().cloned());
        let inputs = inputs.map(|from| Input { slot: None, from }).collect();
        let (op, name) = (Some(op.to_string()), Some(name));
        let symbol = Symbol::of(SymbolNode { op, name, prefix: String::new(), attrs, inputs });
        let tensor = |(i, shape)| {
            let symbol = if visible == 1 { symbol.clone() } else { symbol.output(i)? };
            Ok(Tensor { symbol, shape })
        };
        shapes.into_iter().take(visible).enumerate().map(tensor).collect()
    }

    fn infer(&self, op: &str, attrs: &Attrs, inputs: &[Tensor]) -> Result<(Vec<PartialShape>, usize)> {
        let op = self.registry.operator(op)?;
        let params = op.schema().parse(attrs)?;
        op.check(&params)?;
        let names: Vec<_> = op.inputs(&params).into_iter().chain(op.auxiliaries(&params)).collect();
        if names.len() != inputs.len() {
            let wanted = names.join(", ");
            return Err(Error::Contract(format!("has {} inputs, wanted {wanted}", inputs.len())));
        }
        let inputs = names.into_iter().zip(inputs.iter().map(|t| t.shape.clone())).collect();
        let outputs = op.outputs(&params).into_iter().map(|name| (name, PartialShape::unknown())).collect();
        let mut shapes = Shapes::new(inputs, outputs);
        op.infer_shape(&params, &mut shapes)?;
        let (_, outputs) = shapes.into_parts();
        if let Some(shape) = outputs.iter().find(|s| s.rank().is_some_and(|rank| rank > MAX_RANK)) {
            return Err(Error::Shape(format!("has an output of shape {shape}, wanted at most {MAX_RANK} axes")));
        }
        Ok((outputs, op.num_visible_outputs(&params)))
    }

    fn params(self) -> Vec<(String, HostArray)> {
        let mut params = Vec::new();
        for Weight { mut array, argument, auxiliary, .. } in self.weights {
            array.desc.shape = argument_shape(&array);
            match (argument, auxiliary) {
                (None, None) => {}
                (Some((_, name)), None) => params.push((format!("arg:{name}"), array)),
                (None, Some((_, name))) => params.push((format!("aux:{name}"), array)),
                (Some((_, name)), Some((_, aux))) => {
                    params.push((format!("aux:{aux}"), array.clone()));
                    params.push((format!("arg:{name}"), array));
                }
            }
        }
        params
    }
}

/// The shape of a parameter: scalars are of one element along one axis, as operators take them.
fn argument_shape(array: &HostArray) -> Shape {
    if array.desc.shape.rank() == 0 { Shape::from([1]) } else { array.desc.shape.clone() }
}

fn variable(name: &str, array: &HostArray) -> Symbol {
    let var = sym::var(name).shape(argument_shape(array).dims());
    let dtype = array.desc.dtype;
    if dtype == DType::F32 { var.build() } else { var.dtype(dtype).build() }
}

/// Refuses a model that uses what is not covered, with all of it.
fn check_covered(nodes: &[Node<'_>]) -> Result<()> {
    let mut uses: BTreeMap<String, (usize, &str)> = BTreeMap::new();
    for node in nodes {
        let ours = matches!(node.domain, "" | "ai.onnx");
        if !(ours && ops::translator(node.op).is_some()) {
            let op = if ours { node.op.to_string() } else { format!("{}.{}", node.domain, node.op) };
            uses.entry(op).or_insert((0, node.title())).0 += 1;
        }
    }
    if uses.is_empty() {
        return Ok(());
    }
    let list: Vec<_> = uses.iter().map(|(op, (n, first))| format!("{op} ({n}, first \"{first}\")")).collect();
    let covered = ops::names().join(", ");
    Err(Error::Data(format!("has operators that are not covered: {}; covered are {covered}", list.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_taken_get_a_number() {
        let registry = Registry::new();
        let mut importer = Importer::new(&registry, 13, External::new(None)).unwrap();
        let names: Vec<_> = (0..3).map(|_| importer.fresh("conv")).collect();
        assert_eq!(names, ["conv", "conv_0", "conv_1"]);
        assert_eq!(importer.fresh(""), "_0");
    }

    #[test]
    fn a_matrix_is_turned_over_once() {
        let registry = Registry::new();
        let mut importer = Importer::new(&registry, 13, External::new(None)).unwrap();
        let array = HostArray::from_slice([2, 3], &[0_f32, 1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        let id = importer.add_weight_as("w", array);
        let turned = importer.transposed(id).unwrap();
        assert_eq!(importer.array(turned).to_vec::<f32>().unwrap(), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        assert_eq!(importer.transposed(id).unwrap(), turned);
        assert!(Numbers::of(importer.array(id)).is_none());
    }
}
