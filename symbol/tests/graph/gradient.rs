//! Gradient graphs: their structure, and their values against forward-mode differentiation.

use crate::support::registry;
use proptest::prelude::*;
use std::collections::HashMap;
use varflow_ops::{Entry, PartialShape};
use varflow_symbol::{GradGraph, Graph, Symbol, gradient, infer_shapes, sym};

fn by_names(symbol: impl Into<Symbol>, wrt: &[&str]) -> GradGraph {
    let graph = symbol.into().resolve(&registry()).unwrap();
    let find = |name: &&str| graph.nodes.iter().position(|n| n.name == **name).unwrap();
    let wrt: Vec<_> = wrt.iter().map(find).collect();
    let grads = gradient(&graph, &registry(), &wrt).unwrap();
    check_order(&grads);
    grads
}

fn check_order(grads: &GradGraph) {
    let names: std::collections::HashSet<_> = grads.graph.nodes.iter().map(|n| &n.name).collect();
    assert_eq!(names.len(), grads.graph.nodes.len(), "names are unique");
    for (i, node) in grads.graph.nodes.iter().enumerate() {
        assert!(node.inputs.iter().all(|e| e.node < i), "{} reads a later node", node.place());
    }
}

/// The appended nodes as `operator name`.
fn appended(grads: &GradGraph) -> Vec<String> {
    grads.graph.nodes[grads.num_forward..].iter().map(|n| n.place().replace('"', "")).collect()
}

#[test]
fn a_loss_starts_without_a_head_gradient_and_unwanted_branches_are_left_out() {
    let x = sym::fully_connected(sym::var("data")).num_hidden(8).name("fc1");
    let x = sym::fully_connected(sym::relu(x).name("act")).num_hidden(4).name("fc2").build();
    let net = || sym::softmax_output(&x).name("softmax");
    let grads = by_names(net(), &["fc1_weight", "fc2_bias"]);
    let wanted = [
        "_backward_SoftmaxOutput softmax_backward",
        "_backward_FullyConnected fc2_backward",
        "_backward_Activation act_backward",
        "_backward_FullyConnected fc1_backward",
    ];
    assert_eq!(appended(&grads), wanted);
    assert_eq!(grads.head_grads, [None]);
    let name = |e: Option<Entry>| e.map(|e| (grads.graph.nodes[e.node].name.clone(), e.output)).unwrap();
    assert_eq!(name(grads.grads[0]), ("fc1_backward".to_string(), 1));
    assert_eq!(name(grads.grads[1]), ("fc2_backward".to_string(), 2));

    let last = by_names(net(), &["fc2_weight"]);
    assert_eq!(appended(&last), wanted[..2], "nothing below fc2 is asked for");
    let none = by_names(net(), &["softmax_label"]);
    assert_eq!((appended(&none).len(), none.grads), (0, vec![None]), "labels have no gradient");
}

#[test]
fn other_heads_get_a_variable_for_their_gradient() {
    let grads = by_names(sym::relu(sym::var("x")).name("r"), &["x"]);
    assert_eq!(appended(&grads), ["variable r_out_grad", "_backward_Activation r_backward"]);
    assert_eq!(grads.head_grads, [Some(2)]);
    let shapes = infer_shapes(&grads.graph, &[("x", PartialShape::new([Some(2), Some(3)]))]).unwrap();
    assert!(shapes.iter().flatten().all(|s| s.dims() == [2, 3]), "the gradient of a head has its shape");

    let split = sym::op("split_test").input(sym::var("x")).name("s");
    let grads = by_names(split, &["x"]);
    assert_eq!(appended(&grads), ["variable s_out_grad0"], "the one that nothing depends on is taken out");
    assert_eq!(grads.head_grads, [Some(2), None]);
    assert_eq!(grads.grads[0], Some(Entry { node: 2, output: 0 }));
}

#[test]
fn gradients_that_meet_are_added_one_by_one() {
    let x = sym::var("x").build();
    let sum = sym::op("add_n").input(sym::group((0..4).map(|_| x.clone()))).name("sum");
    let grads = by_names(sum, &["x"]);
    let wanted = ["variable sum_out_grad", "_grad_add x_grad_add", "_grad_add x_grad_add1", "_grad_add x_grad_add2"];
    assert_eq!(appended(&grads), wanted);
    let inputs: Vec<Vec<_>> =
        grads.graph.nodes[3..].iter().map(|n| n.inputs.iter().map(|e| e.node).collect()).collect();
    assert_eq!(inputs, [[2, 2], [3, 2], [4, 2]], "the sum so far comes first, so that it can be added to in place");
}

#[test]
fn nothing_flows_through_a_stopped_branch() {
    let x = sym::var("x").build();
    let stopped = sym::op("BlockGrad").input(sym::var("y"));
    let grads = by_names(&x * stopped, &["x", "y"]);
    assert!(grads.grads[0].is_some());
    assert_eq!(grads.grads[1], None);
}

#[test]
fn an_operator_without_gradient_is_named_only_if_one_is_needed() {
    let norm = sym::op("BatchNorm").input(sym::var("x")).name("bn");
    let net = sym::fully_connected(norm).num_hidden(2).name("fc").build();
    assert!(by_names(&net, &["fc_weight"]).grads[0].is_some());
    let graph = net.resolve(&registry()).unwrap();
    let text = gradient(&graph, &registry(), &[0]).unwrap_err().to_string();
    assert_eq!(text, "BatchNorm \"bn\" has no gradient");
    let text = gradient(&graph, &registry(), &[99]).unwrap_err().to_string();
    assert_eq!(text, "there is no node 99 to differentiate by: the graph has 9");
}

#[test]
fn backward_shapes_follow_from_forward_ones() {
    let x = sym::convolution(sym::var("data")).kernel([3, 3]).num_filter(4).name("conv");
    let x = sym::dropout(sym::pooling(sym::tanh(x)).kernel([2, 2]).stride([2, 2]).pool_type("max")).p(0.5);
    let net = sym::softmax_output(sym::fully_connected(sym::flatten(x)).num_hidden(3).name("fc"));
    let grads = by_names(net, &["conv_weight", "conv_bias", "fc_weight", "fc_bias"]);
    let shapes = infer_shapes(&grads.graph, &[("data", PartialShape::new([8, 1, 8, 8].map(Some)))]).unwrap();
    let all: Vec<_> = grads.grads.iter().flatten().map(|e| shapes[e.node][e.output].to_string()).collect();
    assert_eq!(all, ["(4, 1, 3, 3)", "(4,)", "(3, 36)", "(3,)"]);
}

/// A value and its derivatives by each variable.
type Dual = (f64, Vec<f64>);

/// The graph's values and derivatives, each variable a scalar: `values` by node name, 1 for all others.
fn forward(graph: &Graph, values: &HashMap<String, usize>, at: &[f64]) -> Vec<Dual> {
    let mut all: Vec<Dual> = Vec::new();
    for node in &graph.nodes {
        let arg = |i: usize| &all[node.inputs[i].node];
        let each = |v: f64, d: &dyn Fn(usize) -> f64| (v, (0..at.len()).map(d).collect());
        let dual = match node.op.as_ref().map(|op| op.name()) {
            None => match values.get(&node.name) {
                Some(&k) => each(at[k], &|i| f64::from(i == k)),
                None => each(1.0, &|_| 0.0),
            },
            Some("elemwise_add" | "_grad_add") => each(arg(0).0 + arg(1).0, &|i| arg(0).1[i] + arg(1).1[i]),
            Some("elemwise_sub") => each(arg(0).0 - arg(1).0, &|i| arg(0).1[i] - arg(1).1[i]),
            Some("elemwise_mul") => each(arg(0).0 * arg(1).0, &|i| arg(0).1[i] * arg(1).0 + arg(0).0 * arg(1).1[i]),
            Some("negative") => each(-arg(0).0, &|i| -arg(0).1[i]),
            Some("_mul_scalar") => {
                let k = node.params.float("scalar");
                each(k * arg(0).0, &|i| k * arg(0).1[i])
            }
            Some(other) => panic!("the test does not know {other}"),
        };
        all.push(dual);
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn backward_mode_equals_forward_mode(
        ops in prop::collection::vec((0..5_u8, any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..25),
        heads in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
        at in prop::collection::vec(-1.0..1.0_f64, 3),
        wanted in prop::collection::vec(any::<bool>(), 3),
    ) {
        let mut all: Vec<Symbol> = (0..3).map(|i| sym::var(&format!("x{i}")).into()).collect();
        for (op, a, b) in ops {
            let (a, b) = (&all[a.index(all.len())], &all[b.index(all.len())]);
            let new: Symbol = match op {
                0 => (a + b).into(),
                1 => (a - b).into(),
                2 => (a * b).into(),
                3 => (-a).into(),
                _ => (a * 0.5).into(),
            };
            all.push(new);
        }
        let net = Symbol::group(heads.iter().map(|h| all[h.index(all.len())].clone()));
        let graph = net.resolve(&registry()).unwrap();
        let number = |name: &str| name.strip_prefix('x').and_then(|n| n.parse::<usize>().ok());
        let values: HashMap<_, _> = graph.nodes.iter().filter_map(|n| Some((n.name.clone(), number(&n.name)?))).collect();
        let wrt: Vec<_> = graph.arguments().into_iter()
            .filter(|i| wanted[values[&graph.nodes[*i].name]]).collect();
        let grads = gradient(&graph, &registry(), &wrt).unwrap();
        check_order(&grads);
        let all = forward(&grads.graph, &values, &at);
        for (node, grad) in wrt.iter().zip(&grads.grads) {
            let k = values[&graph.nodes[*node].name];
            let by_forward: f64 = graph.outputs.iter().map(|e| all[e.node].1[k]).sum();
            let by_backward = grad.map_or(0.0, |e| all[e.node].0);
            let scale = by_forward.abs().max(1.0);
            prop_assert!((by_forward - by_backward).abs() < 1e-9 * scale, "x{k}: {by_forward} {by_backward}");
        }
    }
}
