//! The parameters of a network: its arguments that are no inputs, and its auxiliary states.

use crate::init::{self, Initializer, Target};
use std::collections::{BTreeMap, BTreeSet};
use varflow_engine::Engine;
use varflow_ops::{DType, Error, Result, Shape, Tensor};
use varflow_symbol::{Graph, HostArray, Node};

/// A parameter and what its network says of it.
#[derive(Clone, Debug)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// Its values.
    pub tensor: Tensor,
    /// The name of the operator's input that it feeds: `weight`, `bias`, `gamma`, `moving_mean`.
    pub role: String,
    /// Whether it is an auxiliary state, which operators update and optimizers do not.
    pub is_auxiliary: bool,
    /// Factor of the learning rate: attribute `__lr_mult__`, else 1.
    pub lr_mult: f64,
    /// Factor of the weight decay: attribute `__wd_mult__`, else 1 for weights and scales (`weight`, `gamma`), 0 for
    /// all others.
    pub wd_mult: f64,
    init: Option<String>,
}

impl Param {
    /// The key in `.params` files: `arg:fc1_weight`.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}:{}", if self.is_auxiliary { "aux" } else { "arg" }, self.name)
    }

    /// Makes the parameter that a variable in this use stands for, of zeroes.
    pub(crate) fn new(engine: &Engine, variable: &Node, used: &Use, shape: &Shape) -> Result<Param> {
        let decays = matches!(used.role.as_str(), "weight" | "gamma");
        Ok(Param {
            tensor: Tensor::zeros(engine, shape.clone(), DType::F32)?,
            lr_mult: multiplier(variable, "__lr_mult__", 1.0)?,
            wd_mult: multiplier(variable, "__wd_mult__", f64::from(u8::from(decays)))?,
            init: variable.attrs.get("__init__").cloned(),
            name: variable.name.clone(),
            role: used.role.clone(),
            is_auxiliary: used.is_auxiliary,
        })
    }

    /// Sets the first values: by the variable's own `__init__`, else by its role, else by `initializer`.
    pub(crate) fn init(&self, initializer: &dyn Initializer, seed: u64) -> Result<()> {
        let target = Target { name: &self.name, shape: self.tensor.shape(), seed };
        let values = match (&self.init, init::default_of_role(&self.role)) {
            (Some(text), _) => {
                init::from_attr(text).and_then(|i| i.values(target)).map_err(|e| e.at(self.name.clone()))?
            }
            (None, Some(constant)) => constant.values(target)?,
            (None, None) => initializer.values(target)?,
        };
        self.tensor.set(values)
    }

    /// A copy of the values, once all updates so far are done.
    pub(crate) fn to_array(&self) -> Result<HostArray> {
        HostArray::from_slice(self.tensor.shape().clone(), &self.tensor.to_vec::<f32>()?)
    }
}

/// How a variable is used by the first operator that reads it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Use {
    /// The name of the operator's input; empty if nobody reads it.
    pub(crate) role: String,
    is_auxiliary: bool,
}

/// The use of every node.
pub(crate) fn uses(graph: &Graph) -> Vec<Use> {
    let mut uses = vec![Use::default(); graph.nodes.len()];
    for node in &graph.nodes {
        let Some(op) = &node.op else { continue };
        let inputs = op.inputs(&node.params);
        let num_inputs = inputs.len();
        let names = inputs.into_iter().chain(op.auxiliaries(&node.params));
        for (i, (entry, name)) in node.inputs.iter().zip(names).enumerate() {
            if uses[entry.node].role.is_empty() {
                uses[entry.node] = Use { role: name, is_auxiliary: i >= num_inputs };
            }
        }
    }
    uses
}

fn multiplier(variable: &Node, key: &str, default: f64) -> Result<f64> {
    let Some(text) = variable.attrs.get(key) else { return Ok(default) };
    let value: Option<f64> = text.parse().ok();
    value
        .filter(|v| v.is_finite())
        .ok_or_else(|| Error::Param(format!("attribute {key} of {} is {text:?}, wanted a number", variable.name)))
}

/// Checks that arrays from a file are exactly the parameters, each of its shape, and sets them. Nothing is set on an error.
///
/// Keys are as [`Param::key`] has them, or names alone, as in files that were not written as checkpoints.
pub(crate) fn set_all(params: &[Param], arrays: &BTreeMap<String, HostArray>) -> Result<()> {
    let mut keys = BTreeSet::new();
    let mut values = Vec::with_capacity(params.len());
    let mut missing = Vec::new();
    for param in params {
        let found = arrays.get_key_value(&param.key()).or_else(|| arrays.get_key_value(&param.name));
        let Some((key, array)) = found else {
            missing.push(format!("{} of shape {}", param.key(), param.tensor.shape()));
            continue;
        };
        check_shape(key, &array.desc.shape, param.tensor.shape())?;
        values.push((param, array.to_vec::<f32>().map_err(|e| e.at(key.clone()))?));
        keys.insert(key);
    }
    let superfluous = arrays.iter().filter(|(key, _)| !keys.contains(key));
    let superfluous: Vec<_> = superfluous.map(|(key, array)| format!("{key} of shape {}", array.desc.shape)).collect();
    let told = [("lacks", &missing), ("has what the network does not:", &superfluous)];
    let told = told.iter().filter(|(_, arrays)| !arrays.is_empty());
    let told: Vec<_> = told.map(|(what, arrays)| format!("it {what} {}", arrays.join(", "))).collect();
    if !told.is_empty() {
        return Err(Error::Data(told.join("; ")));
    }
    values.into_iter().try_for_each(|(param, values)| param.tensor.set(values))
}

/// Checks one array of a file against the network.
pub(crate) fn check_shape(key: &str, is: &Shape, wanted: &Shape) -> Result<()> {
    if is == wanted {
        return Ok(());
    }
    Err(Error::Shape(format!("its array {key} has shape {is}, with these inputs the network wants {wanted}")))
}
