//! varflow's side of a case.

use super::array::{self, NamedArray};
use super::case::{Case, Inputs, Program};
use crate::Result;
use std::collections::BTreeMap;
use varflow::Runtime;
use varflow::ops::{Attrs, DType, Run, Tensor, invoke};
use varflow::symbol::{BindOptions, Executor, GradReq, Graph};

/// What came out: arrays named `score:0`, `train:0`, … for the outputs, `grad:<argument>` and `aux:<state>`.
pub struct Outcome {
    /// The arrays.
    pub arrays: Vec<NamedArray>,
    /// Why nothing of training is among them.
    pub no_training: Option<String>,
}

/// Runs a case in one floating-point type: scores, then trains and goes back.
///
/// # Errors
/// What cannot be bound or fails. That there is no gradient is none.
pub fn run(rt: &Runtime, case: &Case, float: DType, seed: u64) -> Result<Outcome> {
    let inputs = case.in_float(float)?;
    match &case.program {
        Program::Graph(graph) => run_graph(rt, graph, &inputs, seed),
        Program::Update(op, attrs) => run_update(rt, op, attrs, &inputs),
    }
}

fn run_graph(rt: &Runtime, graph: &Graph, inputs: &Inputs, seed: u64) -> Result<Outcome> {
    let variables = || inputs.arguments.iter().chain(&inputs.auxiliaries);
    let given: Vec<_> = variables().map(|(n, a)| (n.clone(), a.desc.shape.clone())).collect();
    let shared = variables().map(|(n, a)| Ok((n.clone(), array::to_tensor(&rt.engine, a)?)));
    let shared: BTreeMap<String, Tensor> = shared.collect::<Result<_>>()?;
    let req = |dtype: DType| if dtype.is_float() { GradReq::Write } else { GradReq::Null };
    let grad_req = inputs.arguments.iter().map(|(n, a)| (n.clone(), req(a.desc.dtype))).collect();
    let mut options = BindOptions { for_training: true, grad_req, shared, seed, ..BindOptions::default() };
    let mut no_training = None;
    let mut executor = match Executor::bind_graph(rt, graph, &given, &options) {
        Ok(executor) => executor,
        Err(e) => {
            no_training = Some(e.to_string());
            options.for_training = false;
            Executor::bind_graph(rt, graph, &given, &options)?
        }
    };
    let mut arrays = Vec::new();
    executor.forward(false, seed)?;
    outputs("score", &executor, &mut arrays)?;
    if no_training.is_some() {
        return Ok(Outcome { arrays, no_training });
    }
    for (e, grad) in graph.outputs.iter().zip(&inputs.head_grads) {
        let node = &graph.nodes[e.node];
        let visible = node.op.as_ref().map_or(1, |op| op.num_visible_outputs(&node.params));
        let number = if visible == 1 { String::new() } else { e.output.to_string() };
        let name = format!("{}_out_grad{number}", node.name);
        if let Some((_, tensor)) = executor.head_grads().iter().find(|(n, _)| *n == name) {
            let grad = array::in_float(grad, tensor.dtype())?;
            tensor.copy_from(&array::to_tensor(&rt.engine, &grad)?)?;
        }
    }
    executor.forward(true, seed)?;
    outputs("train", &executor, &mut arrays)?;
    executor.backward(seed)?;
    for (kind, tensors) in [("grad", executor.grads()), ("aux", executor.auxes())] {
        for (name, tensor) in tensors {
            arrays.push((format!("{kind}:{name}"), array::of_tensor(tensor)?));
        }
    }
    Ok(Outcome { arrays, no_training })
}

fn outputs(kind: &str, executor: &Executor, to: &mut Vec<NamedArray>) -> Result<()> {
    for (i, (_, tensor)) in executor.outputs().iter().enumerate() {
        to.push((format!("{kind}:{i}"), array::of_tensor(tensor)?));
    }
    Ok(())
}

fn run_update(rt: &Runtime, op: &str, attrs: &Attrs, inputs: &Inputs) -> Result<Outcome> {
    let named = inputs.arguments.iter().map(|(n, a)| Ok((n, array::to_tensor(&rt.engine, a)?)));
    let (names, tensors): (Vec<_>, Vec<_>) = named.collect::<Result<Vec<_>>>()?.into_iter().unzip();
    invoke(&rt.registry, &rt.engine, op, attrs, &tensors, Run { seed: 0, step: 0, priority: 0 })?;
    let after = names.into_iter().zip(&tensors).map(|(n, t)| Ok((format!("aux:{n}"), array::of_tensor(t)?)));
    Ok(Outcome { arrays: after.collect::<Result<_>>()?, no_training: None })
}
