//! Passes on random networks of real operators: outputs and gradients are those of the graph as it was built.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;
use varflow_engine::Engine;
use varflow_ops::{DType, Entry, PartialShape, Registry, Runtime, Shape, TensorDesc, defs};
use varflow_symbol::pass::{Draft, Stage};
use varflow_symbol::plan::EntryMap;
use varflow_symbol::{BindOptions, Executor, Graph, OpBuilder, Passes, Symbol, infer_dtypes, infer_shapes, sym};

fn registry() -> Registry {
    let mut registry = Registry::new();
    registry.install(defs::provider()).unwrap();
    registry.install(varflow_cpu::provider()).unwrap();
    registry
}

fn runtime() -> Runtime {
    Runtime::new(Engine::serial(), registry())
}

fn within_two_minutes(body: impl FnOnce() + Send + 'static) {
    let (done, wait) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        body();
        done.send(()).unwrap();
    });
    match wait.recv_timeout(Duration::from_secs(120)) {
        Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        _ => thread.join().unwrap_or_else(|p| std::panic::resume_unwind(p)),
    }
}

/// Operators of one input that keep values small, and of two.
const ONE: &[(&str, &[(&str, &str)])] = &[
    ("relu", &[]),
    ("sigmoid", &[]),
    ("tanh", &[]),
    ("sin", &[]),
    ("negative", &[]),
    ("_copy", &[]),
    ("BlockGrad", &[]),
    ("Activation", &[("act_type", "softrelu")]),
    ("Activation", &[("act_type", "softsign")]),
    ("LeakyReLU", &[("act_type", "elu"), ("slope", "0.3")]),
    ("LeakyReLU", &[("act_type", "leaky"), ("slope", "-0.5")]),
    ("clip", &[("a_min", "-0.5"), ("a_max", "0.7")]),
    ("_mul_scalar", &[("scalar", "1")]),
    ("_mul_scalar", &[("scalar", "0.75")]),
    ("_rminus_scalar", &[("scalar", "1")]),
    ("Dropout", &[("p", "0.3")]),
    ("zeros_like", &[]),
];
const TWO: &[&str] =
    &["elemwise_add", "elemwise_mul", "elemwise_sub", "_maximum", "broadcast_add", "_minimum", "add_n"];

const LEN: usize = 40;

fn op_of(op: &str, inputs: impl IntoIterator<Item = Symbol>) -> OpBuilder {
    inputs.into_iter().fold(sym::op(op), OpBuilder::input)
}

type Choice = (usize, usize, usize);

fn network(choices: &[Choice], heads: &[usize]) -> Symbol {
    let mut open: Vec<Symbol> = ["data", "weight0", "weight1"].map(|n| sym::var(n).build()).to_vec();
    for (n, &(op, a, b)) in choices.iter().enumerate() {
        let recent = |i: usize| open[open.len() - 1 - (i * i / 1000) * open.len() / 1000].clone();
        let name = format!("node{n}");
        let made = if op < 3 * ONE.len() / 2 {
            let (op, attrs) = ONE[op % ONE.len()];
            let made = op_of(op, [recent(a)]).name(&name);
            attrs.iter().fold(made, |made, (k, v)| made.attr(k, *v)).build()
        } else {
            let op = TWO[op % TWO.len()];
            let made = op_of(op, [recent(a), recent(b)]).name(&name);
            if op == "add_n" { made.attr("num_args", 2) } else { made }.build()
        };
        open.push(made);
    }
    let mut outputs: Vec<Symbol> = heads.iter().map(|h| open[open.len() - 1 - h % open.len().min(6)].clone()).collect();
    // So that all variables are used and have a shape.
    outputs.push(op_of("add_n", open[..3].to_vec()).attr("num_args", 3).name("all").build());
    Symbol::group(outputs)
}

/// Outputs by name, and gradients by name.
type Found = (Vec<(String, Vec<f64>)>, Vec<(String, Vec<f64>)>);

fn values(rt: &Runtime, net: &Symbol, passes: Passes, for_training: bool, dtype: DType) -> Found {
    let dtypes = ["data", "weight0", "weight1"].map(|n| (n.to_string(), dtype)).to_vec();
    let options = BindOptions { for_training, passes, dtypes, seed: 3, ..BindOptions::default() };
    let given = [("data".to_string(), Shape::new(&[LEN]))];
    let mut executor = Executor::bind(rt, net, &given, &options).unwrap();
    let start = |k: usize| (0..LEN).map(move |i| ((i * 7 + k * 5) % 23) as f64 / 12.0 - 0.9);
    for (k, (_, tensor)) in executor.args().iter().enumerate() {
        match dtype {
            DType::F32 => tensor.set(start(k).map(|v| v as f32).collect()).unwrap(),
            _ => tensor.set(start(k).collect::<Vec<f64>>()).unwrap(),
        }
    }
    if for_training {
        executor.forward_backward(1).unwrap();
    } else {
        executor.forward(false, 1).unwrap();
    }
    let read = |(name, tensor): &varflow_symbol::Named| {
        let values = match dtype {
            DType::F32 => tensor.to_vec::<f32>().unwrap().into_iter().map(f64::from).collect(),
            _ => tensor.to_vec::<f64>().unwrap(),
        };
        (name.clone(), values)
    };
    (executor.outputs().iter().map(read).collect(), executor.grads().iter().map(read).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn passes_change_no_value(
        choices in prop::collection::vec((0..2 * ONE.len() + 4, 0..1000_usize, 0..1000_usize), 1..30),
        heads in prop::collection::vec(0..1000_usize, 1..3),
        double in any::<bool>(),
    ) {
        within_two_minutes(move || {
            let (rt, net) = (runtime(), network(&choices, &heads));
            let dtype = if double { DType::F64 } else { DType::F32 };
            for for_training in [false, true] {
                let plain = values(&rt, &net, Passes::none(), for_training, dtype);
                for pass in Passes::all() {
                    let one = values(&rt, &net, Passes::named(pass.name).unwrap(), for_training, dtype);
                    assert_eq!(one, plain, "{} {for_training} {dtype}", pass.name);
                }
                let all = values(&rt, &net, Passes::default(), for_training, dtype);
                assert_eq!(all, plain, "all {for_training} {dtype}");
            }
        });
    }
}

/// The graph of a network for inference once these passes have run.
fn graph(net: &Symbol, passes: &str) -> Graph {
    let registry = registry();
    let graph = net.resolve(&registry).unwrap();
    let data = graph.arguments().into_iter().map(|i| graph.nodes[i].name.clone());
    let given: Vec<_> = data.map(|n| (n, PartialShape::from(Shape::new(&[LEN])))).collect();
    let shapes = infer_shapes(&graph, &given).unwrap();
    let dtypes = infer_dtypes(&graph, &[] as &[(&str, DType)]).unwrap();
    let desc = |e: Entry| TensorDesc::new(shapes[e.node][e.output].clone(), dtypes[e.node][e.output]);
    let descs = EntryMap::from_fn(&graph, |e| Some(desc(e)));
    let mut draft = Draft::new(graph, descs);
    Passes::named(passes).unwrap().run(&mut draft, &registry, Stage::Inference).unwrap();
    draft.complete_descs().unwrap();
    draft.graph
}

/// How many nodes there are of each operator.
fn count(graph: &Graph) -> BTreeMap<String, usize> {
    let mut count = BTreeMap::new();
    for op in graph.nodes.iter().filter_map(|n| n.op.as_ref()) {
        *count.entry(op.name().to_string()).or_default() += 1;
    }
    count
}

fn one(op: &str, name: &str, input: &Symbol) -> Symbol {
    op_of(op, [input.clone()]).name(name).build()
}

#[test]
fn a_chain_becomes_one_node() {
    let x = sym::var("data").build();
    let y = one("tanh", "y", &one("sigmoid", "s", &one("relu", "r", &x)));
    let fused = graph(&y, "fuse_elementwise");
    assert_eq!(count(&fused), BTreeMap::from([("_FusedElementwise".to_string(), 1)]));
    assert_eq!(fused.nodes[1].attrs["program"], "relu 0; sigmoid 1; tanh 2");
    assert_eq!(fused.list_outputs(), ["y_output"]);
}

#[test]
fn what_is_read_elsewhere_or_is_an_output_is_not_fused() {
    let x = sym::var("data").build();
    let r = one("relu", "r", &x);
    let net = Symbol::group([one("tanh", "t", &r), one("sin", "s", &r)]);
    assert_eq!(count(&graph(&net, "fuse_elementwise")).len(), 3);
    let net = Symbol::group([one("tanh", "t", &r), r]);
    assert_eq!(count(&graph(&net, "fuse_elementwise")).len(), 2);
}

#[test]
fn nodes_of_different_groups_stay_apart() {
    let x = sym::var("data").build();
    let r = op_of("relu", [x]).name("r").attr("__ctx_group__", "a").build();
    let t = op_of("tanh", [r]).name("t").attr("__ctx_group__", "b").build();
    assert_eq!(count(&graph(&t, "all")).len(), 2);
}

#[test]
fn random_nodes_are_not_merged() {
    let x = sym::var("data").build();
    let net = |op: &str| {
        let made = |name: &str| op_of(op, [x.clone()]).name(name).build();
        op_of("elemwise_add", [made("a"), made("b")]).name("sum").build()
    };
    assert_eq!(count(&graph(&net("sin"), "cse"))["sin"], 1);
    assert_eq!(count(&graph(&net("Dropout"), "cse"))["Dropout"], 2);
}

#[test]
fn identities_are_passed_through_but_for_outputs() {
    let x = sym::var("data").build();
    let y = one("sin", "s", &one("_copy", "c", &one("Dropout", "d", &x)));
    assert_eq!(count(&graph(&y, "dead_code")), BTreeMap::from([("sin".to_string(), 1)]));
    assert_eq!(count(&graph(&one("_copy", "c", &x), "dead_code")).len(), 1);
}

#[test]
fn constants_are_computed_once() {
    let fixed = sym::op("_arange").attr("start", 0).attr("stop", LEN).name("range").build();
    let fixed = one("square", "sq", &fixed);
    let net = op_of("elemwise_add", [sym::var("data").build(), fixed]).name("sum").build();
    let folded = graph(&net, "fold_constants");
    assert_eq!(count(&folded), BTreeMap::from([("elemwise_add".to_string(), 1)]));
    assert_eq!(folded.list_arguments(), ["data"]);
    assert_eq!(folded.constants["sq"].to_vec::<f32>().unwrap()[3], 9.0);
    assert_eq!(folded.constants.len(), 1);
}

#[test]
fn unknown_passes_are_refused_with_those_that_there_are() {
    let text = Passes::named("cse,fuse").unwrap_err().to_string();
    assert!(text.contains("there is no pass \"fuse\": wanted some of dead_code, "), "{text}");
}
