//! Convolutions with what follows them as one node, in networks of residual and of inception units.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use varflow_engine::Engine;
use varflow_ops::{DType, Entry, PartialShape, Registry, Runtime, Shape, TensorDesc, defs};
use varflow_symbol::pass::{Draft, Stage};
use varflow_symbol::plan::EntryMap;
use varflow_symbol::{BindOptions, Executor, Passes, Symbol, infer_dtypes, infer_shapes, sym};

const PASSES: &str = "fold_batch_norm,fuse_convolution";
const DATA: [usize; 4] = [2, 3, 9, 11];

fn registry() -> Registry {
    let mut registry = Registry::new();
    registry.install(defs::provider()).unwrap();
    registry.install(varflow_cpu::provider()).unwrap();
    registry
}

fn convolution(name: &str, data: &Symbol, kernel: i64, stride: i64, filters: i64) -> Symbol {
    let conv = sym::op("Convolution").input(data.clone()).name(name);
    let conv = conv.set("kernel", [kernel; 2]).set("stride", [stride; 2]).set("pad", [kernel / 2; 2]);
    conv.set("num_filter", filters).build()
}

fn norm(name: &str, data: &Symbol, eps: f64) -> Symbol {
    sym::op("BatchNorm").input(data.clone()).name(name).set("fix_gamma", eps > 0.005).set("eps", eps).build()
}

fn of(op: &str, name: &str, inputs: &[&Symbol]) -> Symbol {
    inputs.iter().fold(sym::op(op), |op, input| op.input((*input).clone())).name(name).build()
}

fn unit(name: &str, data: &Symbol, kernel: i64, stride: i64, filters: i64) -> Symbol {
    let conv = convolution(&format!("{name}_conv"), data, kernel, stride, filters);
    norm(&format!("{name}_bn"), &conv, if kernel == 1 { 0.01 } else { 0.001 })
}

/// Two residual units, the second with a projection, and a sum that comes first in its node.
fn residual() -> Symbol {
    let x = of("relu", "r0", &[&unit("u0", &sym::var("data").build(), 3, 1, 8)]);
    let a = of("relu", "r1", &[&unit("u1", &x, 3, 1, 8)]);
    let x = of("relu", "r2", &[&of("elemwise_add", "s2", &[&unit("u2", &a, 3, 1, 8), &x])]);
    let a = of("relu", "r3", &[&unit("u3", &x, 3, 2, 12)]);
    let projected = unit("u5", &x, 1, 2, 12);
    of("relu", "r4", &[&of("broadcast_add", "s4", &[&unit("u4", &a, 3, 1, 12), &projected])])
}

/// Towers that are joined, and one that is clipped.
fn inception() -> Symbol {
    let data = sym::var("data").build();
    let tower = |name: &str, kernel| of("relu", &format!("{name}_relu"), &[&unit(name, &data, kernel, 1, 5)]);
    let clipped = sym::clip(unit("c", &data, 3, 1, 4), -0.25, 0.5).name("clip").build();
    let plain = convolution("plain", &data, 1, 1, 7);
    of("Concat", "joined", &[&tower("a", 1), &tower("b", 3), &tower("d", 5), &clipped, &plain])
}

/// The outputs for inference, with every variable as a fixed draw.
fn outputs(net: &Symbol, passes: Passes, dtype: DType) -> Vec<Vec<f64>> {
    let runtime = Runtime::new(Engine::builder().cpu_workers(2).build().unwrap(), registry());
    let graph = net.resolve(&registry()).unwrap();
    let dtypes = graph.nodes.iter().filter(|n| n.op.is_none()).map(|n| (n.name.clone(), dtype)).collect();
    let options = BindOptions { for_training: false, passes, dtypes, ..BindOptions::default() };
    let mut executor = Executor::bind(&runtime, net, &[("data".to_string(), Shape::new(&DATA))], &options).unwrap();
    for (k, (name, tensor)) in executor.args().iter().chain(executor.auxes()).enumerate() {
        let least = if name.ends_with("_var") { 0.5 } else { -0.8 };
        let value = |i: usize| least + ((i * 7 + k * 5 + i / 3) % 23) as f64 / 14.0;
        let values = (0..tensor.desc().shape.len()).map(value);
        match dtype {
            DType::F32 => tensor.set(values.map(|v| v as f32).collect::<Vec<_>>()).unwrap(),
            _ => tensor.set(values.collect::<Vec<_>>()).unwrap(),
        }
    }
    executor.forward(false, 1).unwrap();
    let read = |tensor: &varflow_ops::Tensor| match dtype {
        DType::F32 => tensor.to_vec::<f32>().unwrap().into_iter().map(f64::from).collect(),
        _ => tensor.to_vec::<f64>().unwrap(),
    };
    executor.outputs().iter().map(|(_, tensor)| read(tensor)).collect()
}

/// How many nodes there are of each operator once the passes have run.
fn count(net: &Symbol, stage: Stage) -> BTreeMap<String, usize> {
    let registry = registry();
    let graph = net.resolve(&registry).unwrap();
    let shapes = infer_shapes(&graph, &[("data".to_string(), PartialShape::from(Shape::new(&DATA)))]).unwrap();
    let dtypes = infer_dtypes(&graph, &[] as &[(&str, DType)]).unwrap();
    let desc = |e: Entry| TensorDesc::new(shapes[e.node][e.output].clone(), dtypes[e.node][e.output]);
    let (names, arguments) = (graph.list_outputs(), graph.list_arguments());
    let auxiliaries = graph.auxiliaries().len();
    let descs = EntryMap::from_fn(&graph, |e| Some(desc(e)));
    let mut draft = Draft::new(graph.clone(), descs);
    Passes::named(PASSES).unwrap().run(&mut draft, &registry, stage).unwrap();
    draft.complete_descs().unwrap();
    assert_eq!((draft.graph.list_outputs(), draft.graph.list_arguments()), (names, arguments));
    assert_eq!(draft.graph.auxiliaries().len(), auxiliaries);
    let mut count = BTreeMap::new();
    for op in draft.graph.nodes.iter().filter_map(|n| n.op.as_ref()) {
        *count.entry(op.name().to_string()).or_default() += 1;
    }
    count
}

fn counts(of: &[(&str, usize)]) -> BTreeMap<String, usize> {
    of.iter().map(|(op, n)| ((*op).to_string(), *n)).collect()
}

#[test]
fn outputs_are_those_of_the_nodes_apart() {
    for net in [residual(), inception()] {
        for (dtype, most) in [(DType::F64, 1e-12), (DType::F32, 1e-4)] {
            let apart = outputs(&net, Passes::none(), dtype);
            for passes in [PASSES, "fold_batch_norm", "fuse_convolution", "all"] {
                let fused = outputs(&net, Passes::named(passes).unwrap(), dtype);
                let scale = apart.concat().iter().fold(1.0_f64, |max, v| max.max(v.abs()));
                for (a, b) in apart.concat().iter().zip(fused.concat()) {
                    assert!((a - b).abs() <= most * scale, "{passes} {dtype}: {b}, wanted {a}");
                }
            }
        }
    }
}

#[test]
fn what_follows_a_convolution_becomes_part_of_it() {
    assert_eq!(count(&residual(), Stage::Inference), counts(&[("_FusedConvolution", 6)]));
    let inception = count(&inception(), Stage::Inference);
    assert_eq!(inception, counts(&[("_FusedConvolution", 4), ("Convolution", 1), ("Concat", 1)]));
    assert_eq!(count(&residual(), Stage::Training)["BatchNorm"], 6);
}

#[test]
fn what_is_read_elsewhere_is_an_output_or_of_another_group_stays() {
    let data = sym::var("data").build();
    let conv = convolution("conv", &data, 3, 1, 3);
    let relu = of("relu", "relu", &[&conv]);
    let both = of("elemwise_mul", "both", &[&relu, &conv]);
    assert_eq!(count(&both, Stage::Inference)["Convolution"], 1);
    assert_eq!(count(&Symbol::group([relu, conv.clone()]), Stage::Inference)["relu"], 1);
    let other = sym::op("relu").input(conv.clone()).name("other").attr("__ctx_group__", "b").build();
    assert_eq!(count(&other, Stage::Inference)["relu"], 1);
    // Another shape: the sum is broadcast.
    let row = convolution(
        "row",
        &sym::op("sum").input(data.clone()).set("axis", [2]).set("keepdims", true).name("sum").build(),
        1,
        1,
        3,
    );
    assert_eq!(count(&of("broadcast_add", "add", &[&conv, &row]), Stage::Inference)["broadcast_add"], 1);
    // A rectifier comes after the sum, not before it.
    let rectified = of("relu", "r", &[&conv]);
    let sum = of("elemwise_add", "s", &[&rectified, &data]);
    assert_eq!(count(&sum, Stage::Inference), counts(&[("_FusedConvolution", 1), ("elemwise_add", 1)]));
}
