//! Inference on part of a batch at a time: the same results, in the memory of a part.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use varflow_engine::Engine;
use varflow_ops::{Operator, Params, Provider, Registry, Result, Runtime, Schema, Shape, Shapes, TensorDesc, defs};
use varflow_symbol::{BindOptions, Executor, Passes, Symbol, passed, sym};

fn registry() -> Registry {
    let mut registry = Registry::new();
    registry.install(defs::provider()).unwrap();
    registry.install(varflow_cpu::provider()).unwrap();
    registry
}

fn conv(x: impl Into<Symbol>, filters: usize, name: &str) -> Symbol {
    let conv = sym::convolution(x).kernel([3, 3]).pad([1, 1]).num_filter(filters).name(name).build();
    sym::relu(sym::batch_norm(conv).name(format!("{name}_bn"))).name(format!("{name}_relu")).build()
}

fn op(name: &str, inputs: &[&Symbol], given: &[(&str, &str)]) -> Symbol {
    let made = inputs.iter().fold(sym::op(name), |made, x| made.input((*x).clone()));
    given.iter().fold(made, |made, (k, v)| made.set(k, *v)).build()
}

/// Convolutions, a sum, a concatenation, several outputs, views and a loss.
fn network() -> Symbol {
    let x = conv(sym::var("data"), 4, "a");
    let sum = op("elemwise_add", &[&x, &conv(&x, 4, "b")], &[]);
    let halves = op("SliceChannel", &[&sum], &[("num_outputs", "2"), ("axis", "1")]);
    let joined =
        op("Concat", &[&halves.output(1).unwrap(), &halves.output(0).unwrap(), &x], &[("num_args", "3"), ("dim", "1")]);
    let pooled = sym::pooling(joined).kernel([2, 2]).stride([2, 2]).pool_type("max").build();
    let flat = op("Reshape", &[&pooled], &[("shape", "(0, -1)")]);
    sym::softmax_output(sym::fully_connected(flat).num_hidden(3).name("fc")).name("softmax").build()
}

const DATA: [usize; 4] = [13, 3, 8, 8];

/// Outputs by name, how many convolutions run, and bytes of the arena.
fn run(net: &Symbol, passes: &str, samples_at_a_time: Option<usize>) -> (Vec<(String, Vec<f32>)>, usize, usize) {
    let rt = Runtime::new(Engine::serial(), registry());
    let given = [("data".to_string(), Shape::new(&DATA))];
    let options =
        BindOptions { passes: Passes::named(passes).unwrap(), samples_at_a_time, seed: 3, ..BindOptions::default() };
    let graph = net.resolve(&rt.registry).unwrap();
    let nodes = passed(&graph, &rt.registry, &given, &options).unwrap().graph.nodes;
    let convolutions = nodes.iter().filter(|n| n.op.as_ref().is_some_and(|op| op.name() == "Convolution")).count();
    let mut executor = Executor::bind(&rt, net, &given, &options).unwrap();
    for (k, (name, tensor)) in executor.args().iter().chain(executor.auxes()).enumerate() {
        let value = |i: usize| ((i * 37 + k * 11) % 101) as f32 / 50.0 - 1.0;
        let positive = |i: usize| 0.5 + (i % 3) as f32;
        let n = tensor.shape().len();
        tensor.set((0..n).map(|i| if name.ends_with("var") { positive(i) } else { value(i) }).collect()).unwrap();
    }
    executor.forward(false, 1).unwrap();
    let outputs = executor.outputs().iter().map(|(n, t)| (n.clone(), t.to_vec::<f32>().unwrap())).collect();
    (outputs, convolutions, executor.plan().planned_bytes)
}

fn assert_close(found: &[(String, Vec<f32>)], wanted: &[(String, Vec<f32>)]) {
    assert_eq!(found.len(), wanted.len());
    for ((name, found), (wanted_name, wanted)) in found.iter().zip(wanted) {
        assert_eq!((name, found.len()), (wanted_name, wanted.len()));
        assert!(found.iter().zip(wanted).all(|(a, b)| (a - b).abs() <= 1e-5 * b.abs().max(1.0)), "{name}");
    }
}

#[test]
fn parts_give_what_the_whole_gives() {
    let net = network();
    let (wanted, convolutions, whole) = run(&net, "none", None);
    assert_eq!(convolutions, 2);
    // One sample at a time would use each weight too seldom.
    for (samples, parts) in [(1, 1), (2, 7), (5, 3), (12, 2), (13, 1), (99, 1)] {
        let (found, convolutions, bytes) = run(&net, "split_batch", Some(samples));
        assert_close(&found, &wanted);
        assert_eq!(convolutions, 2 * parts, "{samples} at a time");
        assert!(parts < 3 || bytes * 2 < whole, "{samples} at a time: {bytes} of {whole}");
    }
    assert_close(&run(&net, "all", Some(3)).0, &wanted);
    // So small a network gains nothing in parts.
    assert_eq!(run(&net, "split_batch", None).1, 2);
}

#[test]
fn what_mixes_samples_is_computed_on_the_whole() {
    let x = conv(sym::var("data"), 4, "a");
    let mean = op("mean", &[&x], &[("axis", "0"), ("keepdims", "True")]);
    let centred = op("broadcast_sub", &[&x, &mean], &[]);
    let net = Symbol::group([conv(&centred, 2, "b"), x, op("transpose", &[&sym::var("data").build()], &[])]);
    let net = net.compose([("data", &sym::var("data").build())]).unwrap();
    let (wanted, ..) = run(&net, "none", None);
    let (found, convolutions, _) = run(&net, "split_batch", Some(4));
    assert_close(&found, &wanted);
    // The first in four parts; what comes after the mean as a whole.
    assert_eq!(convolutions, 4 + 1);
}

/// Says of each sample how often it was seen, and counts once more in place.
struct Seen(Schema);

impl Operator for Seen {
    fn name(&self) -> &str {
        "seen"
    }
    fn doc(&self) -> &str {
        ""
    }
    fn schema(&self) -> &Schema {
        &self.0
    }
    fn inputs(&self, _: &Params) -> Vec<String> {
        vec!["data".to_string(), "counts".to_string()]
    }
    fn mutates(&self, _: &Params) -> Vec<usize> {
        vec![1]
    }
    fn infer_shape(&self, _: &Params, shapes: &mut Shapes) -> Result<()> {
        shapes.set_output(0, shapes.input(0).clone(), "it has the data's shape")
    }
    fn per_sample(&self, _: &Params, _: &[TensorDesc]) -> Option<Vec<usize>> {
        Some(vec![0, 1])
    }
}

#[test]
fn what_changes_its_samples_is_not_given_copies_of_them() {
    let mut registry = registry();
    registry.install(Provider::new("counting").operator(Seen(Schema::new()))).unwrap();
    let x = sym::relu(sym::var("data")).build();
    let net = op("seen", &[&x, &sym::var("counts").build()], &[]);
    let given = ["data", "counts"].map(|name| (name.to_string(), Shape::new(&DATA)));
    let options = BindOptions {
        passes: Passes::named("split_batch").unwrap(),
        samples_at_a_time: Some(5),
        ..BindOptions::default()
    };
    let graph = passed(&net.resolve(&registry).unwrap(), &registry, &given, &options).unwrap().graph;
    let named = |name: &str| graph.nodes.iter().filter(|n| n.op.as_ref().is_some_and(|op| op.name() == name)).count();
    assert_eq!((named("Activation"), named("seen")), (3, 1));
    let seen = graph.nodes.iter().find(|n| n.op.as_ref().is_some_and(|op| op.name() == "seen")).unwrap();
    assert_eq!(graph.nodes[seen.inputs[1].node].name, "counts");
}

#[test]
fn weights_that_are_used_seldom_are_read_once() {
    let flat = sym::flatten(conv(sym::var("data"), 4, "a")).build();
    let net = sym::fully_connected(flat).num_hidden(50).name("fc").build();
    let rt = Runtime::new(Engine::serial(), registry());
    let given = [("data".to_string(), Shape::new(&DATA))];
    let options = BindOptions {
        passes: Passes::named("split_batch").unwrap(),
        samples_at_a_time: Some(5),
        ..BindOptions::default()
    };
    let graph = passed(&net.resolve(&rt.registry).unwrap(), &rt.registry, &given, &options).unwrap().graph;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    graph.nodes.iter().filter_map(|n| n.op.as_ref()).for_each(|op| *counts.entry(op.name()).or_default() += 1);
    assert_eq!((counts["Convolution"], counts["FullyConnected"], counts["Concat"]), (3, 1, 1));
    assert_eq!(graph.list_outputs(), ["fc_output"]);
    assert_eq!(graph.list_arguments(), net.resolve(&rt.registry).unwrap().list_arguments());
}
