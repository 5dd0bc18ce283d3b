//! Operators of a plug-in take part in memory plans as built-in ones do.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock};
use tempfile::TempDir;
use varflow_engine::Engine;
use varflow_ops::{Entry, Operator, Params, Registry, Result, Runtime, Schema, Shape, Shapes, defs};
use varflow_symbol::plan::{Place, Plan};
use varflow_symbol::{
    BindOptions, Executor, GradReq, Node, Passes, PlannedNetwork, Recompute, Symbol, check_plan, planned, sym,
};

/// Compiled once; the folder stays for the process.
static PLUGIN: LazyLock<PathBuf> = LazyLock::new(|| {
    let ops = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ops");
    let file = TempDir::new().unwrap().keep().join("libplanning.so");
    let mut gcc = Command::new("gcc");
    gcc.args(["-std=gnu11", "-O1", "-shared", "-fPIC", "-I"]).arg(ops.join("abi/include")).arg("-o").arg(&file);
    let output = gcc.arg(ops.join("tests/plugin/c/planning.c")).output().expect("the plug-in tests need a C compiler");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    file
});

fn registry() -> Registry {
    let mut registry = Registry::new();
    registry.install(defs::provider()).unwrap();
    registry.install(varflow_cpu::provider()).unwrap();
    registry.load(&*PLUGIN).unwrap();
    registry
}

fn op(name: &str, input: impl Into<Symbol>) -> Symbol {
    sym::op(name).input(input).build()
}

fn chain(name: &str, n: usize) -> Symbol {
    (0..n).fold(sym::var("data").build(), |x, _| op(name, x))
}

fn given(dims: &[usize]) -> [(String, Shape); 1] {
    [("data".to_string(), Shape::new(dims))]
}

fn plan(net: &Symbol, dims: &[usize], options: &BindOptions) -> PlannedNetwork {
    let registry = registry();
    let planned = planned(&registry, &net.resolve(&registry).unwrap(), &given(dims), options).unwrap();
    check_plan(&planned.input(), &planned.plan).unwrap();
    planned
}

/// Outputs, and the gradient of data if there is one.
fn run(net: &Symbol, dims: &[usize], options: &BindOptions) -> Vec<Vec<f32>> {
    let rt = Runtime::new(Engine::serial(), registry());
    let mut executor = Executor::bind(&rt, net, &given(dims), options).unwrap();
    for (name, tensor) in executor.args().iter().chain(executor.head_grads()) {
        let value = |i: usize| if name == "data" { ((i * 7) % 11) as f32 / 8.0 - 0.5 } else { 1.0 };
        tensor.set((0..tensor.shape().len()).map(value).collect()).unwrap();
    }
    if options.for_training {
        executor.forward_backward(1).unwrap();
    } else {
        executor.forward(false, 1).unwrap();
    }
    executor.outputs().iter().chain(executor.grads()).map(|(_, t)| t.to_vec().unwrap()).collect()
}

fn training() -> BindOptions {
    let grad_req = BTreeMap::from([("data".to_string(), GradReq::Write)]);
    BindOptions { for_training: true, grad_req, ..BindOptions::default() }
}

fn plain() -> BindOptions {
    BindOptions { passes: Passes::none(), ..BindOptions::default() }
}

fn squared(n: usize, times: u32) -> Vec<f32> {
    let value = |i: usize| ((i * 7) % 11) as f32 / 8.0 - 0.5;
    (0..n).map(|i| (0..times).fold(value(i), |x, _| x * x)).collect()
}

#[test]
fn outputs_take_the_place_of_inputs() {
    let pairs = |name: &str| plan(&chain(name, 4), &[64], &plain()).plan;
    let (bend, silent) = (pairs("Bend"), pairs("Silent"));
    // The first reads a variable, which has memory of its own; all that follows lies in the memory of the output.
    assert_eq!((bend.inplace.len(), bend.planned_bytes), (3, 0));
    assert_eq!((silent.inplace.len(), silent.planned_bytes), (0, 512));
    assert_eq!(run(&chain("Bend", 4), &[64], &plain()), [squared(64, 4)]);
}

#[test]
fn a_view_takes_no_memory() {
    let net = op("Bend", op("Tail", op("Bend", sym::var("data"))));
    let views = |dims: &[usize]| {
        let planned = plan(&net, dims, &plain());
        planned.plan.places.iter().filter(|(_, p)| matches!(p, Place::View(_))).count()
    };
    assert_eq!(views(&[4, 16]), 1);
    assert_eq!(run(&net, &[4, 16], &plain()), [squared(64, 2)[32..].to_vec()]);
    // A plug-in reads it, whose tensors are aligned to 64 bytes: rows of 12 bytes are copied.
    assert_eq!(views(&[4, 3]), 0);
    assert_eq!(run(&net, &[4, 3], &plain()), [squared(12, 2)[6..].to_vec()]);
}

#[test]
fn a_view_of_a_built_in_operator_is_aligned_for_a_plugin() {
    let slice = sym::op("slice_axis").input(sym::var("data")).set("axis", "0").set("begin", "1").set("end", "3");
    let net = op("Bend", slice.build());
    assert_eq!(run(&net, &[4, 5], &plain()), [squared(20, 1)[5..15].to_vec()]);
}

#[test]
fn a_batch_is_computed_in_parts() {
    let parts = |name: &str| {
        let options = BindOptions { samples_at_a_time: Some(3), ..BindOptions::default() };
        let graph = plan(&chain(name, 3), &[7, 5], &options).graph;
        let outputs = run(&chain(name, 3), &[7, 5], &options);
        (graph.nodes.iter().filter(|n| n.name.ends_with("_part2") && n.place().starts_with(name)).count(), outputs)
    };
    assert_eq!(parts("Bend"), (3, vec![squared(35, 3)]));
    assert_eq!(parts("Silent"), (0, vec![squared(35, 3)]));
}

#[test]
fn what_is_cheap_is_computed_again() {
    let options = |recompute| BindOptions { recompute, ..training() };
    // The backward pass reads what each of them gives.
    let net = (0..4).fold(sym::var("data").build(), |x, _| op("Bend", op("Silent", x)));
    let plans = [Recompute::None, Recompute::Cheap].map(|recompute| plan(&net, &[1024], &options(recompute)));
    let again = |op: &str| {
        let is = |n: &&Node| n.name.ends_with("_recomputed") && n.place().starts_with(op);
        plans[1].graph.nodes.iter().filter(is).count()
    };
    // The last one's output is the network's.
    assert_eq!((again("Bend"), again("Silent")), (3, 0));
    let [kept, cheap] = plans.each_ref().map(|p| p.plan.planned_bytes);
    assert!(cheap < kept, "{cheap} bytes instead of {kept}");
    assert_eq!(run(&net, &[64], &options(Recompute::Cheap)), run(&net, &[64], &options(Recompute::None)));
}

#[test]
fn equal_uses_are_merged_unless_they_draw() {
    let sum = |name: &str| {
        let data = sym::var("data").build();
        let [a, b] = ["a", "b"].map(|node| sym::op(name).name(node).input(data.clone()).build());
        sym::op("elemwise_add").input(a).input(b).build()
    };
    let uses = |name: &str| {
        let graph = plan(&sum(name), &[16], &BindOptions::default()).graph;
        graph.nodes.iter().filter(|n| n.place().starts_with(name)).count()
    };
    assert_eq!((uses("Bend"), uses("Noise")), (1, 2));
    let rt = Runtime::new(Engine::serial(), registry());
    let mut executor = Executor::bind(&rt, &sum("Secret"), &given(&[16]), &BindOptions::default()).unwrap();
    let ran = executor.forward(false, 1).and_then(|()| executor.outputs()[0].1.to_vec::<f32>());
    let text = ran.unwrap_err().to_string();
    assert!(text.contains("operator Secret") && text.contains("wanted its flag VF_RANDOM"), "{text}");
}

/// An operator that has these in-place pairs, whatever else it is.
struct Declares(Arc<dyn Operator>, Vec<(usize, usize)>);

impl Operator for Declares {
    fn name(&self) -> &str {
        self.0.name()
    }
    fn doc(&self) -> &str {
        self.0.doc()
    }
    fn schema(&self) -> &Schema {
        self.0.schema()
    }
    fn inputs(&self, params: &Params) -> Vec<String> {
        self.0.inputs(params)
    }
    fn outputs(&self, params: &Params) -> Vec<String> {
        self.0.outputs(params)
    }
    fn infer_shape(&self, params: &Params, shapes: &mut Shapes) -> Result<()> {
        self.0.infer_shape(params, shapes)
    }
    fn inplace(&self, _: &Params) -> Vec<(usize, usize)> {
        self.1.clone()
    }
}

/// The same network, the operator of whose last node but one declares other pairs.
fn declaring(planned: &mut PlannedNetwork, pairs: &[(usize, usize)]) {
    let node = planned.plan.inplace.last().unwrap().node;
    let op = planned.graph.nodes[node].op.clone().unwrap();
    planned.graph.nodes[node].op = Some(Arc::new(Declares(op, pairs.to_vec())));
}

#[test]
fn the_checker_names_who_does_not_declare_what_a_plan_uses() {
    let named = sym::op("Bend").name("bend").input(chain("Bend", 1)).build();
    let mut planned = plan(&op("Silent", named), &[64], &plain());
    assert_eq!(planned.plan.inplace.len(), 1);
    let refused = |planned: &PlannedNetwork| check_plan(&planned.input(), &planned.plan).unwrap_err().to_string();
    let right = planned.plan.clone();

    declaring(&mut planned, &[]);
    let wanted = "Bend \"bend\": output 0 is planned in the place of input 0, which the operator does not declare: its pairs (input, output) are []";
    assert_eq!(refused(&planned), wanted);
    // Though the plan does not say so, the bytes are the same.
    planned.plan.inplace.clear();
    let text = refused(&planned);
    assert!(text.starts_with("Bend \"bend\": ") && text.ends_with("share bytes, which it does not allow"), "{text}");

    planned.plan = right.clone();
    declaring(&mut planned, &[(0, 0)]);
    planned.plan.inplace[0].input = 3;
    let text = refused(&planned);
    assert!(text.ends_with("in the place of input 3, and it has 1 inputs and 1 outputs"), "{text}");
    planned.plan.inplace[0].node = 99;
    assert!(refused(&planned).contains("node 99 in place, which is no operator of the graph"));

    planned.plan = right;
    let node = planned.plan.inplace[0].node;
    let output = Entry { node, output: 0 };
    planned.descs[output].shape = Shape::new(&[32]);
    let text = refused(&planned);
    let wanted = "which has 256 bytes of float32, and the output has 128 bytes of float32: the pair does not fit here";
    assert!(text.starts_with("Bend \"bend\": ") && text.ends_with(wanted), "{text}");
}

#[test]
fn pairs_that_cannot_be_are_refused_when_planning() {
    let mut planned = plan(&chain("Bend", 3), &[64], &plain());
    for (pairs, wanted) in [
        (&[(0, 0), (7, 0)][..], "output 0 may take the memory of input 7, wanted an input below 1"),
        (&[(0, 1)], "output 1 may take the memory of input 0, wanted an output below 1"),
    ] {
        declaring(&mut planned, pairs);
        let text = Plan::new(&planned.input()).unwrap_err().to_string();
        assert!(text.starts_with("Bend \"") && text.ends_with(wanted), "{text}");
    }
}
