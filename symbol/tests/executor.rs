//! Executors against an evaluator that gives every value memory of its own and runs node by node.
#![allow(clippy::unwrap_used)]

mod executor_support;

use executor_support::{
    Choice, LEN, SEED, evaluate, first_values, given, options, program, programs, registry, runtime, set_all,
    within_a_minute,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use varflow_engine::{Engine, Pool};
use varflow_ops::{DType, Entry, Shape, Tensor};
use varflow_symbol::{BindOptions, Executor, GradReq, Graph, GroupLanes, HostArray, Monitor, gradient};

fn engines() -> Vec<Engine> {
    let pool = |n| Engine::builder().cpu_workers(n).build().unwrap();
    vec![Engine::serial(), pool(1), pool(2), pool(4)]
}

/// A copy that is made when the tasks pushed so far are done.
fn snapshot(tensor: &Tensor) -> Tensor {
    let copy = Tensor::zeros(tensor.engine(), tensor.shape().clone(), tensor.dtype()).unwrap();
    copy.copy_from(tensor).unwrap();
    copy
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| if v.is_nan() { u32::MAX } else { v.to_bits() }).collect()
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Pass {
    Step,
    ForwardOnly,
    Score,
}

fn passes() -> impl Strategy<Value = Vec<Pass>> {
    let pass = prop_oneof![3 => Just(Pass::Step), 1 => Just(Pass::ForwardOnly), 1 => Just(Pass::Score)];
    prop::collection::vec(pass, 1..6)
}

/// What each pass should leave in outputs, gradients (after a step) and states.
type Expected = (Vec<Vec<f32>>, Option<[Option<Vec<f32>>; 2]>, BTreeMap<String, Vec<f32>>);

fn expected(graph: &Graph, passes: &[Pass]) -> Vec<Expected> {
    let made = gradient(graph, &registry(), &[2, 3]).unwrap();
    let mut values = first_values(graph);
    let mut sum: Option<Vec<f32>> = None;
    let mut all = Vec::new();
    for (step, pass) in passes.iter().enumerate() {
        let before = values.clone();
        let forward = evaluate(graph, &mut values, *pass != Pass::Score, (SEED, step as u64));
        let outputs = graph.outputs.iter().map(|e| forward[e.node][e.output].clone()).collect();
        let mut grads = None;
        if *pass == Pass::Step {
            let mut with_heads = before;
            for (output, head) in graph.outputs.iter().zip(&made.head_grads) {
                if let Some(head) = head {
                    let n = forward[output.node][output.output].len();
                    with_heads.insert(made.graph.nodes[*head].name.clone(), vec![1.0; n]);
                }
            }
            let full = evaluate(&made.graph, &mut with_heads, true, (SEED, step as u64));
            let grad = |i: usize| made.grads[i].map(|e| full[e.node][e.output].clone());
            if let Some(grad) = grad(1) {
                let before = sum.take().unwrap_or(vec![0.0; LEN]);
                sum = Some(before.iter().zip(&grad).map(|(a, b)| a + b).collect());
            }
            grads = Some([grad(0), sum.clone()]);
        }
        all.push((outputs, grads, values.clone()));
    }
    all
}

type Snapshot = (Vec<Tensor>, Vec<(String, Tensor)>, Vec<(String, Tensor)>);

/// Pushes all passes without waiting, then looks at what each left behind.
fn check(engine: &Engine, graph: &Graph, passes: &[Pass], expected: &[Expected]) {
    let mut executor = Executor::bind_graph(&runtime(engine), graph, &given(), &options(true)).unwrap();
    set_all(&executor, &first_values(graph));
    let seen: Vec<_> = (0..).zip(passes).map(|(step, pass)| push(&mut executor, step, *pass)).collect();
    drop(executor); // the tasks keep what they need
    compare(&seen, expected);
}

/// Pushes a pass, and copies of what it leaves behind.
fn push(executor: &mut Executor, step: u64, pass: Pass) -> Snapshot {
    match pass {
        Pass::Step => executor.forward_backward(step).unwrap(),
        Pass::ForwardOnly => executor.forward(true, step).unwrap(),
        Pass::Score => executor.forward(false, step).unwrap(),
    }
    let copies = |named: &[(String, Tensor)]| named.iter().map(|(n, t)| (n.clone(), snapshot(t))).collect::<Vec<_>>();
    let outputs = executor.outputs().iter().map(|(_, t)| snapshot(t)).collect();
    (outputs, copies(executor.grads()), copies(executor.auxes()))
}

fn compare(seen: &[Snapshot], expected: &[Expected]) {
    for (step, ((outputs, grads, states), (want, want_grads, want_states))) in seen.iter().zip(expected).enumerate() {
        for (o, (tensor, want)) in outputs.iter().zip(want).enumerate() {
            assert_eq!(bits(&tensor.to_vec().unwrap()), bits(want), "output {o} of step {step}");
        }
        for (name, tensor) in grads {
            let Some(wants) = want_grads else { continue };
            let want = wants[usize::from(name == "weight1")].clone();
            // No gradient where it is asked for is a zero one.
            let want = want.unwrap_or(vec![0.0; LEN]);
            assert_eq!(bits(&tensor.to_vec().unwrap()), bits(&want), "gradient of {name} at step {step}");
        }
        for (name, tensor) in states {
            assert_eq!(bits(&tensor.to_vec().unwrap()), bits(&want_states[name]), "{name} after step {step}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(250))]

    #[test]
    fn random_programs_give_what_the_evaluator_gives((choices, heads) in programs(20), passes in passes()) {
        within_a_minute(move || {
            let graph = program(&choices, &heads);
            let expected = expected(&graph, &passes);
            engines().iter().for_each(|engine| check(engine, &graph, &passes, &expected));
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    /// Nodes on lanes of groups, with copies between them, give the same bits.
    #[test]
    fn groups_change_nothing((choices, heads) in programs(20), groups in prop::collection::vec(0..3_usize, 24), passes in passes()) {
        within_a_minute(move || {
            let mut graph = program(&choices, &heads);
            let expected = expected(&graph, &passes);
            let group = |i: usize| ["a", "b", "other"][groups[i % 24]].to_string();
            for (i, node) in graph.nodes.iter_mut().enumerate().filter(|(_, n)| n.op.is_some()) {
                std::sync::Arc::make_mut(&mut node.attrs).insert("__ctx_group__".to_string(), group(i));
            }
            for engine in engines() {
                let lane = |name: &str| engine.add_lane(Pool::start(name, 1).unwrap()).unwrap();
                let named: Vec<_> = ["a", "b"].into_iter().filter(|g| {
                    graph.nodes.iter().any(|n| n.attrs.get("__ctx_group__").is_some_and(|of| of == g))
                }).collect();
                let lanes = |g: &str| GroupLanes { compute: lane(g), copy: lane(&format!("copy to {g}")) };
                let groups = named.into_iter().map(|g| (g.to_string(), lanes(g))).collect();
                let options = BindOptions { groups, ..options(true) };
                let mut executor = Executor::bind_graph(&runtime(&engine), &graph, &given(), &options).unwrap();
                set_all(&executor, &first_values(&graph));
                let seen: Vec<_> = (0..).zip(&passes).map(|(step, pass)| push(&mut executor, step, *pass)).collect();
                compare(&seen, &expected);
            }
        });
    }

    /// Executors that use one memory in turn do not disturb each other.
    #[test]
    fn memory_can_be_shared(
        (choices, heads) in programs(16),
        (other_choices, other_heads) in programs(16),
        passes in passes(),
        other_passes in passes(),
        turns in any::<u16>(),
    ) {
        within_a_minute(move || {
            let one = program(&choices, &heads);
            let mut other = program(&other_choices, &other_heads);
            for node in other.nodes.iter_mut().filter(|n| n.name.starts_with("node")) {
                node.name = node.name.replace("node", "other");
            }
            let wanted = (expected(&one, &passes), expected(&other, &other_passes));
            for engine in engines() {
                let rt = runtime(&engine);
                let mut first = Executor::bind_graph(&rt, &one, &given(), &options(true)).unwrap();
                let fresh = |name: &str| (name.to_string(), Tensor::zeros(&engine, [LEN], DType::F32).unwrap());
                let grads = ["weight0", "weight1"].map(fresh).into();
                let sharing = Some(first.sharing());
                let options = BindOptions { grads, sharing, ..options(true) };
                let mut second = Executor::bind_graph(&rt, &other, &given(), &options).unwrap();
                set_all(&first, &first_values(&one));
                set_all(&second, &first_values(&other));
                let (mut seen, mut other_seen) = (Vec::new(), Vec::new());
                for turn in 0..16 {
                    let (executor, passes, seen) = match turns >> turn & 1 {
                        0 => (&mut first, &passes, &mut seen),
                        _ => (&mut second, &other_passes, &mut other_seen),
                    };
                    if let Some(pass) = passes.get(seen.len()) {
                        seen.push(push(executor, seen.len() as u64, *pass));
                    }
                }
                compare(&seen, &wanted.0);
                compare(&other_seen, &wanted.1);
            }
        });
    }
}

/// A monitor sees every result that anybody reads, as it is computed.
#[test]
fn monitors_see_results() {
    within_a_minute(|| {
        let choices: Vec<Choice> = (0..30).map(|i| (2 + (i * 5) % 9, i % 40, (i * 7) % 50)).collect();
        let graph = program(&choices, &[0, 5]);
        let values = first_values(&graph);
        for engine in engines() {
            let mut executor = Executor::bind_graph(&runtime(&engine), &graph, &given(), &options(true)).unwrap();
            set_all(&executor, &values);
            let seen = Arc::new(Mutex::new(Vec::new()));
            let into = seen.clone();
            let see = move |name: &str, array: &HostArray| {
                into.lock().unwrap().push((name.to_string(), array.to_vec::<f32>().unwrap()));
            };
            let monitor = Monitor::new(|name| name.starts_with("node") && !name.contains("grad"), see);
            executor.set_monitor(Some(&monitor)).unwrap();
            executor.forward(true, 3).unwrap();
            executor.set_monitor(None).unwrap();
            executor.forward(true, 4).unwrap();
            engine.wait_all().unwrap();
            let wanted = evaluate(&graph, &mut values.clone(), true, (SEED, 3));
            let seen = std::mem::take(&mut *seen.lock().unwrap());
            assert!(seen.len() > 20, "{}", seen.len());
            for (name, got) in seen {
                let (_, e) = graph.internals().into_iter().find(|(n, _)| *n == name).unwrap();
                assert_eq!(bits(&got), bits(&wanted[e.node][e.output]), "{name}");
            }
        }
    });
}

/// One long program, many steps in flight: where a missing edge would show.
#[test]
fn many_steps_in_flight() {
    within_a_minute(|| {
        let choices: Vec<Choice> = (0..120).map(|i| (2 + (i * 5) % 9, i % 40, (i * 7) % 50)).collect();
        let graph = program(&choices, &[0, 5]);
        let passes = [Pass::Step, Pass::Score, Pass::Step, Pass::ForwardOnly].repeat(10);
        let expected = expected(&graph, &passes);
        engines().iter().for_each(|engine| check(engine, &graph, &passes, &expected));
    });
}

/// `check` of the data, times a weight, counted: fails for data above 1e30.
fn fallible() -> Graph {
    let choices = [(3, 970, 0), (10, 0, 0), (3, 970, 970)];
    let mut graph = program(&choices, &[0]);
    let registry = registry();
    let mut node = graph.nodes[0].clone();
    (node.op, node.name) = (Some(registry.operator("check").unwrap().clone()), "check".to_string());
    node.inputs = vec![Entry { node: 0, output: 0 }];
    // The check goes in front of everything that reads data0.
    graph.nodes.insert(4, node);
    let moved = |e: &mut Entry| {
        e.node += usize::from(e.node >= 4);
        if e.node == 0 {
            e.node = 4;
        }
    };
    graph.nodes[5..].iter_mut().flat_map(|n| &mut n.inputs).for_each(moved);
    graph.outputs.iter_mut().for_each(moved);
    graph
}

#[test]
fn a_failed_step_poisons_and_the_next_one_heals() {
    within_a_minute(|| {
        for engine in engines() {
            let graph = fallible();
            let options = BindOptions { for_training: true, ..BindOptions::default() };
            let mut executor = Executor::bind_graph(&runtime(&engine), &graph, &given(), &options).unwrap();
            let mut values = first_values(&graph);
            set_all(&executor, &values);
            let data = |executor: &Executor| executor.args()[0].1.clone();
            executor.forward_backward(0).unwrap();
            executor.outputs().iter().for_each(|(_, t)| t.wait().unwrap());

            data(&executor).set(vec![2e30_f32; LEN]).unwrap();
            executor.forward_backward(1).unwrap();
            let all = executor.outputs().iter().chain(executor.grads());
            let errors: Vec<String> = all.filter_map(|(_, t)| t.wait().err().map(|e| e.to_string())).collect();
            assert!(errors.len() >= 2, "{errors:?}");
            assert!(errors.iter().all(|e| e.contains("task \"check\"") && e.contains("above 1e30")), "{errors:?}");

            data(&executor).set(values["data0"].clone()).unwrap();
            // States are updated, not replaced: they stay poisoned until they are set.
            for (name, state) in executor.auxes() {
                assert!(state.wait().is_err(), "{name} was written by a step that failed");
                state.set(values[name].clone()).unwrap();
            }
            executor.forward_backward(2).unwrap();
            let want = evaluate(&graph, &mut values, true, (0, 2));
            for ((name, tensor), e) in executor.outputs().iter().zip(&graph.outputs) {
                assert_eq!(bits(&tensor.to_vec().unwrap()), bits(&want[e.node][e.output]), "{name}");
            }
            executor.grads().iter().for_each(|(_, t)| t.wait().unwrap());
        }
    });
}

#[test]
fn a_step_waits_for_nothing() {
    within_a_minute(|| {
        let engine = Engine::builder().cpu_workers(2).build().unwrap();
        let graph = program(&[(2, 500, 500), (4, 0, 0), (5, 0, 0)], &[0]);
        let mut executor = Executor::bind_graph(&runtime(&engine), &graph, &given(), &options(true)).unwrap();
        set_all(&executor, &first_values(&graph));
        let (send, receive) = std::sync::mpsc::channel();
        engine.raw("gate").write(executor.args()[0].1.var()).run_async(move |_, token| send.send(token).unwrap());
        (0..10).for_each(|step| executor.forward_backward(step).unwrap());
        receive.recv().unwrap().complete(Ok(()));
        executor.grads().iter().for_each(|(_, t)| t.wait().unwrap());
    });
}

/// weight1 · (weight0 · data0): the gradient of weight0 comes last, on a lane that is kept busy.
#[test]
fn a_gradient_is_free_before_the_backward_pass_ends() {
    within_a_minute(|| {
        let engine = Engine::builder().cpu_workers(2).build().unwrap();
        let mut graph = program(&[], &[0]);
        let first = graph.nodes.iter().position(|n| n.name == "use2").unwrap();
        std::sync::Arc::make_mut(&mut graph.nodes[first].attrs).insert("__ctx_group__".to_string(), "late".to_string());
        let inputs = vec![Entry { node: first, output: 0 }, Entry { node: 3, output: 0 }];
        let op = Some(registry().operator("mul").unwrap().clone());
        graph.nodes.push(varflow_symbol::Node { op, name: "top".to_string(), inputs, ..graph.nodes[0].clone() });
        let other = graph.nodes.iter().position(|n| n.name == "use3").unwrap();
        graph.outputs = [graph.nodes.len() - 1, other].map(|node| Entry { node, output: 0 }).to_vec();
        let lane = |name| engine.add_lane(Pool::start(name, 1).unwrap()).unwrap();
        let (late, copy) = (lane("late"), lane("copy"));
        let groups = BTreeMap::from([("late".to_string(), GroupLanes { compute: late.clone(), copy })]);
        let options = BindOptions { for_training: true, groups, ..BindOptions::default() };
        let mut executor = Executor::bind_graph(&runtime(&engine), &graph, &given(), &options).unwrap();
        let values = first_values(&graph);
        set_all(&executor, &values);
        executor.forward(true, 0).unwrap();
        executor.outputs().iter().for_each(|(_, t)| t.wait().unwrap());
        let (go, gate) = std::sync::mpsc::channel::<()>();
        let busy = engine.var();
        engine.raw("busy").write(&busy).lane(&late).run(move |_| gate.recv().unwrap());
        executor.backward(0).unwrap();
        let [(_, last), (_, first)] = executor.grads() else { panic!("{:?}", executor.grads()) };
        let wanted: Vec<f32> =
            (0..LEN).map(|i| values["data0"][i] * values["weight0"][i] + values["data1"][i]).collect();
        assert_eq!(first.to_vec::<f32>().unwrap(), wanted);
        go.send(()).unwrap(); // only now can the other one be computed
        let wanted: Vec<f32> = (0..LEN).map(|i| values["data0"][i] * values["weight1"][i]).collect();
        assert_eq!(last.to_vec::<f32>().unwrap(), wanted);
    });
}

#[test]
fn head_gradients_can_be_set() {
    let engine = Engine::serial();
    let graph = program(&[], &[0]); // weight · data, twice
    let mut executor = Executor::bind_graph(&runtime(&engine), &graph, &given(), &options(true)).unwrap();
    set_all(&executor, &first_values(&graph));
    let names: Vec<&str> = executor.head_grads().iter().map(|(n, _)| n.as_str()).collect();
    assert!(names.contains(&"use2_out_grad"), "{names:?}");
    let head = &executor.head_grads().iter().find(|(n, _)| n == "use2_out_grad").unwrap().1;
    head.set(vec![3.0_f32; LEN]).unwrap();
    executor.forward_backward(0).unwrap();
    let values = first_values(&graph);
    let want: Vec<f32> = values["data0"].iter().map(|x| 3.0 * x).collect();
    let (name, grad) = &executor.grads()[0];
    assert_eq!((name.as_str(), grad.to_vec::<f32>().unwrap()), ("weight0", want));
}

#[test]
fn two_arguments_with_one_gradient_get_a_tensor_each() {
    let engine = Engine::serial();
    let mut graph = program(&[], &[0]);
    // weight0 + weight1: both gradients are the head gradient itself.
    let inputs = vec![Entry { node: 2, output: 0 }, Entry { node: 3, output: 0 }];
    let op = Some(registry().operator("add").unwrap().clone());
    graph.nodes.push(varflow_symbol::Node { op, name: "sum".to_string(), inputs, ..graph.nodes[0].clone() });
    graph.outputs = vec![Entry { node: graph.nodes.len() - 1, output: 0 }];
    let options = BindOptions { for_training: true, ..BindOptions::default() };
    let given: Vec<_> = ["data0", "weight0"].map(|n| (n.to_string(), Shape::new(&[LEN]))).to_vec();
    let options = BindOptions { grad_req: BTreeMap::from([("weight0".to_string(), GradReq::Write)]), ..options };
    let given = [given, vec![("data1".to_string(), Shape::new(&[LEN]))]].concat();
    let mut executor = Executor::bind_graph(&runtime(&engine), &graph, &given, &options).unwrap();
    executor.forward_backward(0).unwrap();
    let [(_, a), (_, b)] = executor.grads() else { panic!("{:?}", executor.grads()) };
    a.set(vec![5.0_f32; LEN]).unwrap();
    assert_eq!((a.to_vec::<f32>().unwrap()[0], b.to_vec::<f32>().unwrap()[0]), (5.0, 1.0));
    let (_, head) = &executor.head_grads()[0];
    assert_eq!(head.to_vec::<f32>().unwrap()[0], 1.0);
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let engine = Engine::serial();
    let rt = runtime(&engine);
    let graph = program(&[(3, 0, 0)], &[0]);
    let refuse = |given: &[(String, Shape)], options: &BindOptions| {
        Executor::bind_graph(&rt, &graph, given, options).err().map(|e| e.to_string()).unwrap_or_default()
    };
    let plain = BindOptions::default();
    let says = |text: &str, parts: &[&str]| assert!(parts.iter().all(|p| text.contains(p)), "{text}");
    says(&refuse(&[("dota".to_string(), Shape::new(&[LEN]))], &plain), &["\"dota\"", "data0"]);
    says(&refuse(&given()[..1], &plain), &["data1", "shape"]);
    let bad = [given()[0].clone(), given()[1].clone(), ("weight0".to_string(), Shape::new(&[3]))];
    says(&refuse(&bad, &plain), &["(3,)", "(24,)"]);
    let share = |name: &str, tensor: Tensor| BindOptions {
        shared: BTreeMap::from([(name.to_string(), tensor)]),
        ..BindOptions::default()
    };
    let small = |engine: &Engine| Tensor::from_slice(engine, [3], &[0_f32; 3]).unwrap();
    says(&refuse(&given(), &share("weight0", small(&engine))), &["\"weight0\"", "(3,)", "(24,)"]);
    says(&refuse(&given(), &share("weight9", small(&engine))), &["\"weight9\"", "weight0"]);
    says(&refuse(&given(), &share("weight0", small(&Engine::serial()))), &["\"weight0\"", "another engine"]);
    let reqs = BindOptions { grad_req: BTreeMap::from([("weight9".to_string(), GradReq::Add)]), ..options(true) };
    says(&refuse(&given(), &reqs), &["\"weight9\"", "weight0"]);
}

#[test]
fn passes_out_of_turn_are_refused() {
    let engine = Engine::serial();
    let graph = program(&[(3, 0, 0)], &[0]);
    let mut score = Executor::bind_graph(&runtime(&engine), &graph, &given(), &BindOptions::default()).unwrap();
    assert!(score.forward(true, 0).unwrap_err().to_string().contains("for_training"));
    assert!(score.backward(0).is_err());
    let mut train = Executor::bind_graph(&runtime(&engine), &graph, &given(), &options(true)).unwrap();
    assert!(train.backward(0).is_err());
    train.forward_backward(0).unwrap();
    assert!(train.backward(0).is_err(), "the results it reads are gone");
    train.forward(false, 0).unwrap();
    assert!(train.backward(0).is_err());
    train.forward(true, 0).unwrap();
    train.backward(0).unwrap();
}
