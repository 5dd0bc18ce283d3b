//! Constant folding: what depends on no variable is computed once, when binding, and arithmetic that changes nothing is left out.

use super::Context;
use super::dead_code::pass_through;
use super::rewrite::{is_output, mutated, outputs, sweep};
use crate::{Graph, HostArray, Node};
use std::sync::Arc;
use varflow_engine::Engine;
use varflow_ops::{Entry, Params, Result, Run, Tensor, TensorDesc, bind};

/// The most bytes of one constant: above, memory is better used otherwise.
const MOST_BYTES: usize = 1 << 20;
/// The most bytes of all that is computed on the way.
const MOST_BYTES_IN_ALL: usize = 16 << 20;

/// Computes the nodes that depend on no variable's values and makes variables of them, with their values in [`Graph::constants`].
/// Outputs of the graph stay as they are, and so do nodes of several outputs, random ones, large ones and those that fail, with all
/// that depends on them.
///
/// Then readers of `x · 1`, `x / 1`, `x ± 0` and `x^1`, with a number, read `x`; of all values only `-0 + 0` is changed by that,
/// to `-0`.
pub(super) fn fold_constants(graph: &mut Graph, context: &Context<'_>) -> Result<()> {
    let (outputs, mutated) = (outputs(graph), mutated(graph));
    let mut fold = Fold { context, engine: Engine::serial(), values: vec![None; graph.nodes.len()], bytes: 0 };
    for i in 0..graph.nodes.len() {
        let entry = Entry { node: i, output: 0 };
        if !mutated.contains(&entry) {
            fold.values[i] = fold.value(graph, i);
        }
    }
    let constants = fold.values.iter().enumerate().filter_map(|(i, value)| Some((i, value.as_ref()?)));
    let constants: Vec<_> = constants.filter(|(i, _)| !is_output(graph, &outputs, *i)).collect();
    let mut made = Vec::new();
    for (i, tensor) in constants {
        let node = &mut graph.nodes[i];
        let value = HostArray { desc: tensor.desc().clone(), bytes: tensor.to_bytes()? };
        graph.constants.insert(node.name.clone(), Arc::new(value));
        node.op = None;
        node.params = Params::default();
        Arc::make_mut(&mut node.attrs).retain(|name, _| name.starts_with("__"));
        node.inputs.clear();
        made.push(i);
    }
    pass_through(graph, changes_nothing);
    drop_unread(graph, &made);
    sweep(graph);
    Ok(())
}

/// Takes out those of these constants that nobody reads any more.
pub(super) fn drop_unread(graph: &mut Graph, made: &[usize]) {
    let wanted = crate::plan::wanted(graph);
    let mut keep = vec![true; graph.nodes.len()];
    for &i in made {
        keep[i] = wanted[Entry { node: i, output: 0 }];
        if !keep[i] {
            graph.constants.remove(&graph.nodes[i].name);
        }
    }
    super::rewrite::retain(graph, &keep);
}

struct Fold<'a> {
    context: &'a Context<'a>,
    engine: Engine,
    /// The value of each node that is constant.
    values: Vec<Option<Tensor>>,
    /// How many bytes they have.
    bytes: usize,
}

impl Fold<'_> {
    /// The value of node `i`, if it is constant.
    fn value(&mut self, graph: &Graph, i: usize) -> Option<Tensor> {
        let node = &graph.nodes[i];
        node.op.as_ref().filter(|op| op.is_deterministic() && node.mutates().is_empty())?;
        let [Some(desc)] = self.context.descs.node(i) else { return None };
        let bytes = desc.len_bytes();
        if bytes > MOST_BYTES || self.bytes + bytes > MOST_BYTES_IN_ALL {
            return None;
        }
        let value = self.of_shape(node).or_else(|| {
            let inputs: Option<Vec<Tensor>> = node.inputs.iter().map(|e| self.values[e.node].clone()).collect();
            self.compute(node, &inputs?, desc)
        })?;
        self.bytes += bytes;
        Some(value)
    }

    /// The value of an operator that looks at its input's shape only.
    fn of_shape(&self, node: &Node) -> Option<Tensor> {
        let input = || self.context.descs[*node.inputs.first()?].as_ref();
        let int64s = |values: Vec<i64>| Tensor::from_slice(&self.engine, [values.len()], &values).ok();
        match node.op.as_ref()?.name() {
            "shape_array" => int64s(input()?.shape.dims().iter().map(|d| *d as i64).collect()),
            "size_array" => int64s(vec![input()?.shape.len() as i64]),
            "zeros_like" | "ones_like" => {
                let desc = input()?;
                let any = Tensor::zeros(&self.engine, desc.shape.clone(), desc.dtype).ok()?;
                self.compute(node, &[any], desc)
            }
            _ => None,
        }
    }

    /// What the node's kernel computes. `None` if it fails: it will again, where that can be told.
    fn compute(&self, node: &Node, inputs: &[Tensor], desc: &TensorDesc) -> Option<Tensor> {
        let output = Tensor::zeros(&self.engine, desc.shape.clone(), desc.dtype).ok()?;
        let (op, outputs) = (node.op.as_ref()?, vec![output.clone()]);
        let bound = bind(self.context.registry, &**op, &node.params, &node.name, inputs, outputs, true).ok()?;
        bound.push(&self.engine, None, Run::default());
        output.wait().ok().map(|()| output)
    }
}

/// Whether it is arithmetic with a number that gives back what it is given.
fn changes_nothing(node: &Node) -> bool {
    let neutral = match node.op.as_ref().map_or("", |op| op.name()) {
        "_mul_scalar" | "_div_scalar" | "_power_scalar" => 1.0,
        "_plus_scalar" | "_minus_scalar" => 0.0,
        _ => return false,
    };
    node.params.float("scalar") == neutral
}
