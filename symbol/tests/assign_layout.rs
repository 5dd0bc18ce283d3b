//! Layouts that backends want: the same results, with as few conversions as there can be.
#![allow(clippy::unwrap_used)]

mod layout_support;

use layout_support::{backend, channels_last, last, layout, permutation, runtime};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;
use varflow_ops::{Attrs, KernelCall, Layout, Permutation, Provider, Result, Runtime, Shape};
use varflow_symbol::{BindOptions, Executor, GradReq, Graph, Passes, Symbol, passed, sym};

const DATA: [usize; 4] = [2, 3, 9, 7];

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

fn conv(x: impl Into<Symbol>, filters: usize, name: &str) -> Symbol {
    sym::convolution(x).kernel([3, 3]).pad([1, 1]).num_filter(filters).name(name).build()
}

fn relu(x: impl Into<Symbol>, name: &str) -> Symbol {
    sym::relu(x).name(name).build()
}

fn pool(x: impl Into<Symbol>, name: &str) -> Symbol {
    sym::pooling(x).kernel([2, 2]).stride([2, 2]).pool_type("max").name(name).build()
}

fn op(name: &str, inputs: &[&Symbol], given: &[(&str, &str)], named: &str) -> Symbol {
    let made = inputs.iter().fold(sym::op(name), |made, x| made.input((*x).clone()));
    given.iter().fold(made, |made, (k, v)| made.set(k, *v)).name(named).build()
}

fn data() -> Symbol {
    sym::var("data").build()
}

fn given() -> [(String, Shape); 1] {
    [("data".to_string(), Shape::new(&DATA))]
}

fn options(passes: &str, for_training: bool) -> BindOptions {
    let passes = Passes::named(passes).unwrap();
    let grad_req = BTreeMap::from([("data".to_string(), GradReq::Write)]);
    BindOptions { passes, for_training, grad_req, seed: 3, samples_at_a_time: Some(2), ..BindOptions::default() }
}

/// The graph once the pass has run.
fn relaid(rt: &Runtime, net: &Symbol, for_training: bool) -> Result<Graph> {
    let graph = net.resolve(&rt.registry)?;
    Ok(passed(&graph, &rt.registry, &given(), &options("assign_layout", for_training))?.graph)
}

/// How many conversions there are of variables other than data, and of all else.
fn conversions(graph: &Graph) -> (usize, usize) {
    let transposes = graph.nodes.iter().filter(|n| n.op.as_ref().is_some_and(|op| op.name() == "transpose"));
    let (weights, others): (Vec<_>, Vec<_>) = transposes.partition(|n| {
        let from = &graph.nodes[n.inputs[0].node];
        from.op.is_none() && from.name != "data"
    });
    (weights.len(), others.len())
}

type Found = Vec<(String, Vec<usize>, Vec<f32>)>;

fn values(rt: &Runtime, net: &Symbol, passes: &str, for_training: bool) -> Found {
    let mut executor = Executor::bind(rt, net, &given(), &options(passes, for_training)).unwrap();
    for (k, (name, tensor)) in executor.args().iter().chain(executor.auxes()).enumerate() {
        let least = if name.ends_with("_var") { 0.5 } else { -0.9 };
        let value = |i: usize| least + ((i * 7 + k * 5 + i / 11) % 23) as f32 / 12.0;
        tensor.set((0..tensor.shape().len()).map(value).collect()).unwrap();
    }
    if for_training {
        executor.forward_backward(1).unwrap();
    } else {
        executor.forward(false, 1).unwrap();
    }
    let found = executor.outputs().iter().chain(executor.grads());
    found.map(|(name, t)| (name.clone(), t.shape().dims().to_vec(), t.to_vec::<f32>().unwrap())).collect()
}

fn assert_close(found: &Found, wanted: &Found) {
    assert_eq!(found.len(), wanted.len());
    for ((name, shape, found), (wanted_name, wanted_shape, wanted)) in found.iter().zip(wanted) {
        assert_eq!((name, shape), (wanted_name, wanted_shape));
        let scale = wanted.iter().fold(1.0_f32, |max, v| max.max(v.abs()));
        let close = found.iter().zip(wanted).all(|(a, b)| (a - b).abs() <= 1e-6 * scale);
        assert!(close, "{name}: {found:?}, wanted {wanted:?}");
    }
}

/// Inference and training in the layouts that `provider` wants give what they give without; the graph for inference.
fn check(provider: impl Fn() -> Provider, net: &Symbol) -> Graph {
    let rt = runtime(provider());
    for for_training in [false, true] {
        let plain = values(&rt, net, "none", for_training);
        assert_close(&values(&rt, net, "assign_layout", for_training), &plain);
        for passes in ["dead_code,cse,fuse_batch_norm_relu,fuse_elementwise,assign_layout", "all"] {
            assert_close(&values(&rt, net, passes, for_training), &plain);
        }
    }
    let graph = relaid(&rt, net, false).unwrap();
    let resolved = net.resolve(&rt.registry).unwrap();
    assert_eq!(graph.list_outputs(), resolved.list_outputs());
    assert_eq!(graph.list_arguments(), resolved.list_arguments());
    graph
}

#[test]
fn a_chain_is_converted_at_its_ends() {
    within_two_minutes(|| {
        let x = relu(conv(data(), 4, "conv1"), "relu1");
        let net = pool(relu(conv(x, 5, "conv2"), "relu2"), "pool");
        let graph = check(channels_last, &net);
        assert_eq!(conversions(&graph), (2, 2));
        let names: Vec<_> = graph.nodes.iter().filter(|n| n.op.is_some()).map(|n| n.name.as_str()).collect();
        let wanted = [
            "data_as_0231",
            "conv1_weight_as_0231",
            "conv1_relaid",
            "relu1_relaid",
            "conv2_weight_as_0231",
            "conv2_relaid",
            "relu2_relaid",
            "pool_relaid",
            "pool",
        ];
        assert_eq!(names, wanted);
    });
}

#[test]
fn branches_that_meet_stay_in_their_layout() {
    within_two_minutes(|| {
        let norm = |x: &Symbol, name: &str| sym::batch_norm(x.clone()).fix_gamma(false).name(name).build();
        let x = relu(conv(data(), 4, "a"), "ar");
        let y = relu(norm(&conv(&x, 4, "b"), "bn"), "br");
        let sum = op("elemwise_add", &[&y, &x], &[], "sum");
        let joined = op("Concat", &[&sum, &conv(&sum, 3, "c"), &y], &[("num_args", "3"), ("dim", "1")], "joined");
        let scores = op("softmax", &[&joined], &[("axis", "1")], "scores");
        let half = sym::op("_mul_scalar").input(scores).set("scalar", "0.5").name("half").build();
        let net = pool(op("broadcast_add", &[&half, &half], &[], "twice"), "pool");
        let graph = check(channels_last, &net);
        assert_eq!(conversions(&graph), (3, 2));
        let joined = graph.nodes.iter().find(|n| n.name == "joined_relaid").unwrap();
        assert_eq!(joined.attrs["dim"], "3");
    });
}

#[test]
fn an_output_within_is_converted_once() {
    within_two_minutes(|| {
        let x = relu(conv(data(), 4, "conv1"), "relu1");
        let net = Symbol::group([pool(conv(&x, 5, "conv2"), "pool"), x]);
        let graph = check(channels_last, &net);
        assert_eq!(conversions(&graph), (2, 3));
        assert_eq!(graph.list_outputs(), ["pool_output", "relu1_output"]);
        // What wants it as it was reads the same conversion.
        let x = relu(conv(data(), 4, "conv1"), "relu1");
        let flat = sym::flatten(x.clone()).build();
        let net = Symbol::group([sym::fully_connected(flat).num_hidden(3).name("fc").build(), x]);
        assert_eq!(conversions(&check(channels_last, &net)), (1, 2));
    });
}

#[test]
fn sums_are_taken_where_fewer_bytes_move() {
    within_two_minutes(|| {
        // One operand as it was, and a reader who wants the sum so: only the convolution's output is converted.
        let (data, side) = (data(), sym::var("side").build());
        let side = op("elemwise_add", &[&data, &side], &[], "s");
        let sum = op("elemwise_add", &[&conv(data, 3, "conv"), &side], &[], "sum");
        let graph = check(channels_last, &sym::flatten(sum).name("flat").build());
        assert_eq!(conversions(&graph), (1, 2));
        assert!(graph.nodes.iter().any(|n| n.name == "sum"));
    });
}

#[test]
fn transposes_of_the_graph_meet_their_inverses() {
    within_two_minutes(|| {
        // As a network for channels last: each convolution between two transposes.
        let to = |x: &Symbol, name: &str| op("transpose", &[x], &[("axes", "(0, 3, 1, 2)")], name);
        let from = |x: &Symbol, name: &str| op("transpose", &[x], &[("axes", "(0, 2, 3, 1)")], name);
        let x = from(&conv(to(&from(&data(), "t0"), "t1"), 4, "conv1"), "t2");
        let x = op("relu", &[&x], &[], "relu1");
        let net = from(&conv(to(&x, "t3"), 4, "conv2"), "t4");
        let net = op("tanh", &[&net], &[], "tanh");
        let graph = check(channels_last, &net);
        // Data goes in by one conversion, and the output is as the convolution gives it.
        assert_eq!(conversions(&graph), (2, 1));
        assert_eq!(graph.list_outputs(), ["tanh_output"]);
    });
}

#[test]
fn constants_are_converted_when_binding() {
    within_two_minutes(|| {
        let range = sym::op("_arange").set("start", "0").set("stop", "7").name("range").build();
        let row = op("Reshape", &[&range], &[("shape", "(1, 1, 1, 7)")], "row");
        let x = op("broadcast_add", &[&conv(data(), 4, "conv1"), &row], &[], "sum");
        let net = conv(x, 2, "conv2");
        let rt = runtime(channels_last());
        let passes = "fold_constants,assign_layout";
        assert_close(&values(&rt, &net, passes, false), &values(&rt, &net, "none", false));
        let graph = net.resolve(&rt.registry).unwrap();
        let graph = passed(&graph, &rt.registry, &given(), &options(passes, false)).unwrap().graph;
        assert_eq!(conversions(&graph), (2, 2));
        let constants: Vec<_> = graph.constants.iter().map(|(name, v)| (name.as_str(), v.desc.shape.clone())).collect();
        assert_eq!(constants, [("row_as", Shape::new(&[1, 1, 7, 1]))]);
        assert_eq!(graph.list_arguments(), net.resolve(&rt.registry).unwrap().list_arguments());
    });
}

#[test]
fn groups_keep_to_themselves() {
    let conv = |x: Symbol, name: &str, group: &str| {
        let conv = sym::convolution(x).kernel([3, 3]).pad([1, 1]).num_filter(4).no_bias(true).name(name);
        conv.attr("__ctx_group__", group).attr("__note__", name).build()
    };
    let x = conv(data(), "a", "one");
    let net = conv(conv(x, "b", "two"), "c", "two");
    let graph = check(channels_last, &net);
    // In and out of each group.
    assert_eq!(conversions(&graph).1, 4);
    for node in graph.nodes.iter().filter(|n| n.op.is_some()) {
        let group = node.attrs.get("__ctx_group__").map(String::as_str);
        let of_one = ["data_as_0231", "a_weight_as_0231", "a_relaid", "a"].contains(&node.name.as_str());
        assert_eq!(group, Some(if of_one { "one" } else { "two" }), "{}", node.name);
    }
    let note = |name: &str| graph.nodes.iter().find(|n| n.name == name).unwrap().attrs["__note__"].clone();
    assert_eq!([note("a_relaid"), note("b_relaid")], ["a", "b"]);
}

#[test]
fn without_wishes_nothing_changes() {
    let net = pool(op("transpose", &[&conv(data(), 4, "conv")], &[("axes", "(0, 1, 3, 2)")], "t"), "pool");
    let nothing = || backend(|_| Ok(None));
    for provider in [Provider::new("none"), nothing()] {
        let rt = runtime(provider);
        let graph = relaid(&rt, &net, false).unwrap();
        let names = |graph: &Graph| graph.nodes.iter().map(|n| n.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&graph), names(&net.resolve(&rt.registry).unwrap()));
    }
}

/// What is made of the right answer.
type Wish = fn(&KernelCall<'_>, Layout) -> Layout;

#[test]
fn wrong_answers_are_refused() {
    let refused = |wish: Wish, for_training: bool| {
        let provider = backend(move |call| {
            Ok((call.op.name() == "Convolution")
                .then(|| wish(call, layout(call, [Some(last()), Some(last()), Some(last())]))))
        });
        relaid(&runtime(provider), &conv(data(), 4, "conv1"), for_training).unwrap_err().to_string()
    };
    let start = "pass assign_layout: Convolution \"conv1\": the layout that provider \"backend\" wants: ";
    let cases: [(Wish, &str); 5] = [
        (
            |_, layout| Layout { outputs: vec![None], ..layout },
            "gives output as (2, 9, 7, 4) of float32, wanted (2, 4, 9, 7) of float32",
        ),
        (|_, layout| Layout { inputs: vec![], ..layout }, "has the orders of 0 inputs, wanted 3: data, weight, bias"),
        (
            |_, layout| Layout { outputs: vec![Some(permutation(&[1, 0]))], ..layout },
            "has the order [1, 0] for the output output of shape (2, 4, 9, 7), wanted one of 4 axes",
        ),
        (
            |_, layout| Layout { operator: Some("Missing".to_string()), ..layout },
            "nobody provides operator \"Missing\"",
        ),
        (|_, layout| Layout { operator: None, ..layout }, "unknown parameter \"data_axes\""),
    ];
    for (wish, wanted) in cases {
        for for_training in [false, true] {
            let text = refused(wish, for_training);
            assert!(text.starts_with(&format!("{start}{wanted}")), "{text}");
        }
    }
    let text = refused(
        |call, _| Layout {
            attrs: Attrs::from([("num_filter".into(), "9".into())]),
            ..layout(call, [None, None, None])
        },
        false,
    );
    assert!(text.starts_with(start) && text.contains("bias has shape (4,), wanted (9,)"), "{text}");
}

#[test]
fn long_chains_take_no_long_time() {
    within_two_minutes(|| {
        let mut x = conv(data(), 3, "conv0");
        for n in 0..10_000 {
            let y = if n % 100 == 0 { conv(&x, 3, &format!("conv{}", n + 1)) } else { relu(&x, &format!("relu{n}")) };
            x = op("elemwise_add", &[&y, &x], &[], &format!("sum{n}"));
        }
        let rt = runtime(channels_last());
        assert_eq!(conversions(&relaid(&rt, &x, false).unwrap()), (101, 2));
    });
}

/// All permutations of some axes, and none.
fn orders(rank: usize, choice: usize) -> Option<Permutation> {
    let mut left: Vec<usize> = (0..rank).collect();
    let mut choice = choice % 30;
    if choice >= 24 {
        return None;
    }
    let axes = (1..=rank).rev().map(|n| {
        let axis = left.remove(choice % n);
        choice /= n;
        axis
    });
    Some(permutation(&axes.collect::<Vec<_>>()))
}

const UNARY: [(&str, &[(&str, &str)]); 10] = [
    ("relu", &[]),
    ("tanh", &[]),
    ("_mul_scalar", &[("scalar", "0.5")]),
    ("softmax", &[("axis", "-3")]),
    ("log_softmax", &[("axis", "2")]),
    ("transpose", &[("axes", "(0, 1, 3, 2)")]),
    ("transpose", &[("axes", "(1, 0, 2, 3)")]),
    ("Dropout", &[]),
    ("LeakyReLU", &[("act_type", "leaky")]),
    ("BatchNorm", &[("fix_gamma", "False"), ("axis", "1")]),
];

/// Random networks of tensors of one square shape, in which a sum or a product of all shapes fits.
fn network(choices: &[(usize, usize, usize)], heads: &[usize]) -> Symbol {
    let mut open = vec![data(), sym::var("other").build()];
    for (n, &(choice, a, b)) in choices.iter().enumerate() {
        let recent = |i: usize| open[open.len() - 1 - (i * i / 1000) * open.len() / 1000].clone();
        let name = format!("node{n}");
        let made = match choice {
            0..4 => sym::convolution(recent(a)).kernel([3, 3]).pad([1, 1]).num_filter(3).name(&name).build(),
            4 => sym::pooling(recent(a)).kernel([3, 3]).pad([1, 1]).stride([1, 1]).pool_type("avg").name(&name).build(),
            5 | 6 => op("elemwise_add", &[&recent(a), &recent(b)], &[], &name),
            7 => op("broadcast_mul", &[&recent(a), &recent(b)], &[], &name),
            8 => {
                let joined =
                    op("Concat", &[&recent(a), &recent(b)], &[("num_args", "2"), ("dim", "1")], &format!("{name}_all"));
                op("slice_axis", &[&joined], &[("axis", "1"), ("begin", "1"), ("end", "4")], &name)
            }
            _ => {
                let (of, given) = UNARY[choice % UNARY.len()];
                op(of, &[&recent(a)], given, &name)
            }
        };
        open.push(made);
    }
    let mut outputs: Vec<Symbol> = heads.iter().map(|h| open[open.len() - 1 - h % open.len().min(6)].clone()).collect();
    outputs.push(op("elemwise_add", &[&open[0], &open[1]], &[], "all"));
    Symbol::group(outputs)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn random_wishes_change_no_value(
        choices in prop::collection::vec((0..19_usize, 0..1000_usize, 0..1000_usize), 1..16),
        heads in prop::collection::vec(0..1000_usize, 1..3),
        salt in 0..1000_usize,
        few in any::<bool>(),
    ) {
        within_two_minutes(move || {
            let provider = backend(move |call| {
                let number: usize = call.node.bytes().map(usize::from).sum::<usize>() * 31 + salt;
                let choose = |k: usize| if few { [0, 24, 3, 0][(number / k) % 4] } else { number / k };
                let weight = if call.op.name() == "Convolution" { orders(4, choose(7)) } else { None };
                Ok((!number.is_multiple_of(5)).then(|| layout(call, [orders(4, choose(1)), weight, orders(4, choose(3))])))
            });
            let (rt, net) = (runtime(provider), network(&choices, &heads));
            let shape = [("data".to_string(), Shape::new(&[3; 4]))];
            for for_training in [false, true] {
                let run = |passes: &str| {
                    let mut executor = Executor::bind(&rt, &net, &shape, &options(passes, for_training)).unwrap();
                    for (k, (name, tensor)) in executor.args().iter().chain(executor.auxes()).enumerate() {
                        let least = if name.ends_with("_var") { 0.5 } else { -0.4 };
                        let value = |i: usize| least + ((i * 7 + k * 5 + i / 11) % 23) as f32 / 30.0;
                        tensor.set((0..tensor.shape().len()).map(value).collect()).unwrap();
                    }
                    if for_training { executor.forward_backward(1).unwrap() } else { executor.forward(false, 1).unwrap() };
                    let found = executor.outputs().iter().chain(executor.grads());
                    found.map(|(n, t)| (n.clone(), t.shape().dims().to_vec(), t.to_vec::<f32>().unwrap())).collect::<Found>()
                };
                let plain = run("none");
                for passes in ["assign_layout", "dead_code,cse,fuse_elementwise,assign_layout,split_batch"] {
                    let found = run(passes);
                    assert_eq!(found.len(), plain.len());
                    for ((name, shape, found), (wanted_name, wanted_shape, wanted)) in found.iter().zip(&plain) {
                        assert_eq!((name, shape), (wanted_name, wanted_shape));
                        let scale = wanted.iter().fold(1.0_f32, |max, v| max.max(v.abs()));
                        for (a, b) in found.iter().zip(wanted) {
                            let is_close = (a - b).abs() <= 1e-4 * scale || (a.is_nan() && b.is_nan());
                            assert!(is_close, "{name} {passes} {for_training}: {a}, wanted {b}");
                        }
                    }
                }
            }
        });
    }
}
