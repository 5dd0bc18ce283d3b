//! What each operator of ONNX becomes. One file a family.

mod activation;
mod conv;
mod layout;
mod math;
mod norm;
mod numbers;
mod pool;

use super::node::Use;
use super::value::{Tensor, Value};
use varflow_ops::Result;

/// Emits what a node becomes: the values of its outputs.
pub(super) type Translate = fn(&mut Use<'_, '_>) -> Result<Vec<Value>>;

const FAMILIES: [&[(&str, Translate)]; 7] =
    [activation::ALL, conv::ALL, layout::ALL, math::ALL, norm::ALL, numbers::ALL, pool::ALL];

/// How nodes of this operator are translated, if it is covered.
pub(super) fn translator(op: &str) -> Option<Translate> {
    FAMILIES.into_iter().flatten().find(|(name, _)| *name == op).map(|(_, translate)| *translate)
}

/// The operators that are covered.
pub(super) fn names() -> Vec<&'static str> {
    let mut names: Vec<_> = FAMILIES.into_iter().flatten().map(|(name, _)| *name).collect();
    names.sort_unstable();
    names
}

/// The only output of a node.
fn one(output: Tensor) -> Result<Vec<Value>> {
    Ok(vec![Value::Tensor(output)])
}
