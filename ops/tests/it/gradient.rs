//! Gradients as graph nodes, over every operator's examples.

use super::builtin;
use super::examples::{self, Example, input_dtype};
use std::collections::BTreeSet;
use std::sync::Arc;
use varflow_ops::{
    Attrs, DType, DTypes, Entry, Gradient, GraphBuilder, Operator, Params, PartialShape, Registry, Result, Shapes,
};

struct Node {
    op: Option<Arc<dyn Operator>>,
    name: String,
    params: Params,
    inputs: Vec<Entry>,
    outputs: Vec<(PartialShape, Option<DType>)>,
}

/// A graph that only holds what is added.
struct Graph {
    registry: Registry,
    nodes: Vec<Node>,
}

impl Graph {
    fn variable(&mut self, name: &str, shape: PartialShape, dtype: DType) -> Entry {
        let outputs = vec![(shape, Some(dtype))];
        self.nodes.push(Node {
            op: None,
            name: name.to_string(),
            params: Params::default(),
            inputs: Vec::new(),
            outputs,
        });
        Entry { node: self.nodes.len() - 1, output: 0 }
    }

    fn at(&mut self, e: Entry) -> &mut (PartialShape, Option<DType>) {
        &mut self.nodes[e.node].outputs[e.output]
    }

    /// One round of inference over all nodes and pairs of one shape and dtype.
    fn infer(&mut self, alike: &[(Entry, Entry)]) -> Result<()> {
        for n in 0..self.nodes.len() {
            let Some(op) = self.nodes[n].op.clone() else { continue };
            let (params, inputs) = (self.nodes[n].params.clone(), self.nodes[n].inputs.clone());
            let ins: Vec<_> = inputs.iter().map(|e| self.at(*e).clone()).collect();
            let outs = self.nodes[n].outputs.clone();
            let in_names = [op.inputs(&params), op.auxiliaries(&params)].concat();
            let out_names = op.outputs(&params);
            let mut s = Shapes::new(
                in_names.iter().cloned().zip(ins.iter().map(|i| i.0.clone())).collect(),
                out_names.iter().cloned().zip(outs.iter().map(|o| o.0.clone())).collect(),
            );
            op.infer_shape(&params, &mut s)?;
            let mut d = DTypes::new(
                in_names.into_iter().zip(ins.iter().map(|i| i.1)).collect(),
                out_names.into_iter().zip(outs.iter().map(|o| o.1)).collect(),
            );
            op.infer_dtype(&params, &mut d)?;
            let ((in_shapes, out_shapes), (in_dtypes, out_dtypes)) = (s.into_parts(), d.into_parts());
            for (e, known) in inputs.into_iter().zip(in_shapes.into_iter().zip(in_dtypes)) {
                *self.at(e) = known;
            }
            self.nodes[n].outputs = out_shapes.into_iter().zip(out_dtypes).collect();
        }
        for (a, b) in alike.iter().flat_map(|(a, b)| [(*a, *b), (*b, *a)]) {
            let (shape, dtype) = self.at(b).clone();
            let to = self.at(a);
            to.0.merge(&shape)?;
            assert!(to.1.is_none() || dtype.is_none() || to.1 == dtype);
            to.1 = to.1.or(dtype);
        }
        Ok(())
    }
}

impl GraphBuilder for Graph {
    fn add(&mut self, op: &str, name: &str, attrs: Attrs, inputs: &[Entry]) -> Result<Entry> {
        let op = self.registry.operator(op)?.clone();
        let params = op.schema().parse(&attrs)?;
        op.check(&params)?;
        let wanted = [op.inputs(&params), op.auxiliaries(&params)].concat();
        assert_eq!(wanted.len(), inputs.len(), "{} \"{name}\" wants {wanted:?}", op.name());
        assert!(inputs.iter().all(|e| e.node < self.nodes.len() && e.output < self.nodes[e.node].outputs.len()));
        let outputs = vec![(PartialShape::unknown(), None); op.outputs(&params).len()];
        self.nodes.push(Node { op: Some(op), name: name.to_string(), params, inputs: inputs.to_vec(), outputs });
        Ok(Entry { node: self.nodes.len() - 1, output: 0 })
    }
}

/// Builds the example and its gradient.
fn build(example: &Example, data: DType) -> (Graph, Vec<Entry>, Result<Vec<Option<Entry>>>) {
    let mut graph = Graph { registry: builtin(), nodes: Vec::new() };
    let mut inputs = Vec::new();
    for (name, shape) in example.named_inputs() {
        inputs.push(graph.variable(&name, (&shape).into(), input_dtype(&name, data)));
    }
    let first = graph.add(example.op.name(), "node", example.attrs.clone(), &inputs).unwrap();
    let outputs: Vec<_> = (0..example.outputs.len()).map(|output| Entry { output, ..first }).collect();
    let out_dtype = if ["Cast", "amp_cast"].contains(&example.op.name()) { DType::F64 } else { data };
    let mut out_grads = vec![None; outputs.len()];
    if let Some(shape) = example.outputs.first().filter(|_| !example.op.is_loss(&example.params)) {
        out_grads[0] = Some(graph.variable("out_grad", shape.into(), out_dtype));
    }
    let mut gradient = Gradient {
        node: "node",
        params: &example.params,
        attrs: &example.attrs,
        inputs: &inputs,
        outputs: &outputs,
        out_grads: &out_grads,
        graph: &mut graph,
    };
    let grads = example.op.gradient(&mut gradient);
    (graph, inputs, grads)
}

fn has_gradient(example: &Example) -> bool {
    let name = example.op.name();
    (!example.op.is_hidden() || name == "_FusedBatchNormRelu") && !name.starts_with("sgd_")
}

/// Every gradient is made of known operators with the right number of inputs, and has the shape and dtype of its input.
#[test]
fn gradients_fit_their_inputs() {
    for example in examples::all().iter().filter(|e| has_gradient(e)) {
        for data in [DType::F32, DType::F64] {
            let (mut graph, inputs, grads) = build(example, data);
            let grads = grads.unwrap_or_else(|e| panic!("{example:?}: {e}"));
            assert!(grads.len() >= example.op.inputs(&example.params).len(), "{example:?}");
            let of: Vec<_> = grads.iter().zip(&inputs).filter_map(|(g, i)| Some(((*g)?, *i))).collect();
            for _ in 0..4 {
                graph.infer(&of).unwrap_or_else(|e| panic!("{example:?}: {e}"));
            }
            for (grad, input) in of {
                let (grad, input) = (graph.at(grad).clone(), graph.at(input).clone());
                assert_eq!(grad, input, "{example:?}");
            }
            for node in &graph.nodes {
                for (shape, dtype) in &node.outputs {
                    assert!(
                        shape.known().is_some() && dtype.is_some(),
                        "{example:?}: \"{}\" has shape {shape}",
                        node.name
                    );
                }
            }
            let names: BTreeSet<_> = graph.nodes.iter().map(|n| &n.name).collect();
            assert_eq!(names.len(), graph.nodes.len(), "{example:?}: names are not unique");
        }
    }
}

#[test]
fn operators_without_gradient_say_so() {
    for example in examples::all().iter().filter(|e| !has_gradient(e)) {
        let text = build(example, DType::F32).2.unwrap_err().to_string();
        assert_eq!(text, format!("{} \"node\" has no gradient", example.op.name()));
    }
}

/// What a backward pass keeps alive: the inputs and outputs of the forward node that its nodes read.
#[test]
fn backward_keeps_little_alive() {
    let kept = |op: &str, given: &[(&str, &str)]| -> Vec<String> {
        let examples = examples::all();
        let example = examples
            .iter()
            .find(|e| e.op.name() == op && given.iter().all(|(k, v)| e.attrs.get(*k).is_some_and(|a| a == v)));
        let (graph, inputs, _) = build(example.unwrap(), DType::F32);
        let node = inputs.len();
        let read: BTreeSet<_> = graph.nodes[node + 1..].iter().flat_map(|n| &n.inputs).copied().collect();
        let name = |e: &Entry| match e.node {
            n if n < node => Some(graph.nodes[n].name.clone()),
            n if n == node => {
                Some(graph.nodes[n].op.as_ref().unwrap().outputs(&graph.nodes[n].params)[e.output].clone())
            }
            _ => None,
        };
        read.iter().filter_map(name).collect()
    };
    assert_eq!(kept("Activation", &[]), ["output"]);
    assert_eq!(kept("Pooling", &[("kernel", "(2, 2)")]), ["data"]);
    assert!(kept("Pooling", &[("pool_type", "avg")]).is_empty());
    assert_eq!(kept("Dropout", &[]), ["mask"]);
    assert_eq!(kept("SoftmaxOutput", &[]), ["label", "output"]);
    assert_eq!(kept("FullyConnected", &[]), ["data", "weight"]);
    assert_eq!(kept("Convolution", &[]), ["data", "weight"]);
    assert_eq!(kept("softmax", &[]), ["output"]);
    for op in
        ["Flatten", "Reshape", "elemwise_add", "elemwise_sub", "broadcast_add", "sum", "mean", "transpose", "Cast"]
    {
        assert!(kept(op, &[]).is_empty(), "{op} keeps {:?}", kept(op, &[]));
    }
}

#[test]
fn a_loss_needs_no_gradient_from_outside() {
    let examples = examples::all();
    let losses: BTreeSet<_> = examples.iter().filter(|e| e.op.is_loss(&e.params)).map(|e| e.op.name()).collect();
    let wanted = [
        "LinearRegressionOutput",
        "LogisticRegressionOutput",
        "MAERegressionOutput",
        "MakeLoss",
        "SVMOutput",
        "SoftmaxOutput",
        "make_loss",
    ];
    assert_eq!(losses.into_iter().collect::<Vec<_>>(), wanted);
}

#[test]
fn a_missing_gradient_is_an_error() {
    let mut graph = Graph { registry: builtin(), nodes: Vec::new() };
    let e = graph.variable("x", PartialShape::new([Some(1)]), DType::F32);
    let op = graph.registry.operator("negative").unwrap().clone();
    let mut gradient = Gradient {
        node: "n",
        params: &Params::default(),
        attrs: &Attrs::new(),
        inputs: &[e],
        outputs: &[e],
        out_grads: &[None],
        graph: &mut graph,
    };
    let text = op.gradient(&mut gradient).unwrap_err().to_string();
    assert_eq!(text, "no gradient flows into output 0 of \"n\"");
}
