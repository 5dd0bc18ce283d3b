//! Gradients of plug-ins' operators, as kernels and as nodes.

use super::operators::registry;
use super::{attrs, engine};
use varflow_engine::Engine;
use varflow_ops::{
    Attrs, DType, DeviceKind, Entry, Error, Gradient, GraphBuilder, KernelCtx, Provider, Registry, Result, Run, Tensor,
    invoke,
};

/// A graph whose nodes are run as they are added.
struct Eager {
    registry: Registry,
    engine: Engine,
    nodes: Vec<Vec<Tensor>>,
    names: Vec<String>,
}

impl GraphBuilder for Eager {
    fn add(&mut self, op: &str, name: &str, attrs: Attrs, inputs: &[Entry]) -> Result<Entry> {
        let missing = || Error::Contract("no such entry".to_string());
        let read = |e: &Entry| self.nodes.get(e.node).and_then(|n| n.get(e.output)).cloned().ok_or_else(missing);
        let inputs = inputs.iter().map(read).collect::<Result<Vec<_>>>()?;
        self.nodes.push(invoke(&self.registry, &self.engine, op, &attrs, &inputs, Run::default())?);
        self.names.push(format!("{op} {name}"));
        Ok(Entry { node: self.nodes.len() - 1, output: 0 })
    }
}

fn with_kernels() -> Registry {
    let mul = |ctx: &mut KernelCtx<'_>| {
        let (a, b, y) = (ctx.input::<f32>(0)?, ctx.input::<f32>(1)?, ctx.output::<f32>(0)?);
        y.iter_mut().zip(a.iter().zip(b)).for_each(|(y, (a, b))| *y = a * b);
        Ok(())
    };
    let zeros = |ctx: &mut KernelCtx<'_>| {
        ctx.output::<f32>(0)?.fill(0.0);
        Ok(())
    };
    let mut registry = registry();
    let provider = Provider::new("kernels")
        .kernel("elemwise_mul", DeviceKind::Cpu, move |_| Ok(Box::new(mul)))
        .kernel("zeros_like", DeviceKind::Cpu, move |_| Ok(Box::new(zeros)))
        .kernel("_mul_scalar", DeviceKind::Cpu, |call| {
            let by = call.params.float("scalar") as f32;
            Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
                let (x, y) = (ctx.input::<f32>(0)?, ctx.output::<f32>(0)?);
                y.iter_mut().zip(x).for_each(|(y, x)| *y = by * x);
                Ok(())
            }))
        });
    registry.install(provider).unwrap();
    registry
}

/// The gradient of each input that has one.
type Gradients = Vec<Option<Vec<f32>>>;

/// The gradients of an operator's inputs where `1, 10` flow into its first output, and the nodes that make them.
fn gradients(op: &str, given: &[(&str, &str)], inputs: &[[f32; 2]], flows: bool) -> Result<(Gradients, Vec<String>)> {
    let engine = engine();
    let mut graph = Eager { registry: with_kernels(), engine: engine.clone(), nodes: Vec::new(), names: Vec::new() };
    let tensors: Vec<_> = inputs.iter().map(|v| Tensor::from_slice(&engine, [2], v).unwrap()).collect();
    graph.nodes = tensors.iter().map(|t| vec![t.clone()]).collect();
    let outputs = invoke(&graph.registry, &engine, op, &attrs(given), &tensors, Run::default())?;
    let entries: Vec<_> = (0..inputs.len()).map(|node| Entry { node, output: 0 }).collect();
    let outs: Vec<_> = (0..outputs.len()).map(|output| Entry { node: inputs.len(), output }).collect();
    graph.nodes.push(outputs);
    graph.nodes.push(vec![Tensor::from_slice(&engine, [2], &[1.0_f32, 10.0])?]);
    let mut out_grads = vec![None; outs.len()];
    out_grads[0] = flows.then_some(Entry { node: inputs.len() + 1, output: 0 });
    let operator = graph.registry.operator(op)?.clone();
    let params = operator.schema().parse(&attrs(given))?;
    let found = operator.gradient(&mut Gradient {
        node: "n",
        params: &params,
        attrs: &attrs(given),
        inputs: &entries,
        outputs: &outs,
        out_grads: &out_grads,
        graph: &mut graph,
    })?;
    let values = found.into_iter().map(|e| e.map(|e| graph.nodes[e.node][e.output].to_vec().unwrap()));
    Ok((values.collect(), graph.names))
}

#[test]
fn as_a_kernel() {
    let (grads, nodes) = gradients("Scale", &[("by", "3")], &[[5.0, 7.0]], true).unwrap();
    assert_eq!((grads, nodes), (vec![Some(vec![3.0, 30.0])], vec!["_backward_Scale n_backward".to_string()]));
    let (grads, nodes) = gradients("Mul", &[], &[[2.0, 3.0], [4.0, 5.0], [0.0, 0.0]], true).unwrap();
    assert_eq!(grads, [Some(vec![4.0, 50.0]), Some(vec![2.0, 30.0]), None]);
    assert_eq!(nodes, ["_backward_Mul n_backward"]);
    let (grads, nodes) = gradients("Scale", &[], &[[5.0, 7.0]], false).unwrap();
    assert_eq!(grads, [Some(vec![0.0, 0.0])]);
    assert_eq!(nodes, ["zeros_like n_backward_zeros0", "_backward_Scale n_backward"]);
}

#[test]
fn as_nodes() {
    let (grads, nodes) = gradients("Square", &[], &[[2.0, 3.0]], true).unwrap();
    assert_eq!(grads, [Some(vec![4.0, 60.0])]);
    assert_eq!(nodes, ["_mul_scalar n_backward_twice", "elemwise_mul n_backward_by"]);
}

#[test]
fn what_cannot_be_added_is_told() {
    let text = gradients("Lost", &[], &[[2.0, 3.0]], true).unwrap_err().to_string();
    assert!(text.contains("the gradient of Lost \"n\": nobody provides operator \"no_such_operator\""), "{text}");
    let text = gradients("Reverse", &[], &[[2.0, 3.0]], true).unwrap_err().to_string();
    assert_eq!(text, "Reverse \"n\" has no gradient");
}

#[test]
fn a_backward_kernels_shapes_follow_from_the_forward_rule() {
    let registry = registry();
    let op = registry.operator("_backward_Mul").unwrap();
    let params = op.schema().parse(&attrs(&[])).unwrap();
    assert_eq!(op.inputs(&params), ["d_output", "rhs", "kept"]);
    assert_eq!(op.outputs(&params), ["d_lhs", "d_rhs"]);
    let desc = varflow_ops::TensorDesc::new([2, 3], DType::F64);
    let found = varflow_ops::infer_outputs(&**op, &params, "b", &vec![desc.clone(); 3]).unwrap();
    assert_eq!(found, [desc.clone(), desc.clone()]);
    let other = varflow_ops::TensorDesc::new([4], DType::F64);
    assert!(varflow_ops::infer_outputs(&**op, &params, "b", &[desc.clone(), other, desc]).is_err());
}
