//! Executors that share parameters and memory.
#![allow(clippy::unwrap_used)]

mod executor_support;

use executor_support::{
    LEN, evaluate, first_values, given, options, program, registry, runtime, set_all, within_a_minute,
};
use std::collections::BTreeMap;
use varflow_engine::Engine;
use varflow_ops::{DType, Shape, Tensor};
use varflow_symbol::{BindOptions, Executor, GradReq, Graph, Symbol, sym};

#[test]
fn shapes_change_without_new_memory() {
    let engine = Engine::serial();
    let graph = program(&[(3, 970, 970), (4, 0, 0)], &[0]);
    let bind = |len: usize, sharing| {
        let given = ["data0", "data1", "weight0", "weight1"].map(|n| (n.to_string(), Shape::new(&[len]))).to_vec();
        let grad_req = ["weight0", "weight1"].map(|n| (n.to_string(), GradReq::Write)).into();
        let options = BindOptions { for_training: true, grad_req, sharing, ..BindOptions::default() };
        Executor::bind_graph(&runtime(&engine), &graph, &given, &options).unwrap()
    };
    let mut large = bind(LEN, None);
    let mut small = bind(LEN / 2, Some(large.sharing()));
    for (large, small) in large.args().iter().zip(small.args()) {
        assert!(large.1.overlaps(&small.1), "{}", large.0);
        assert_eq!(small.1.shape().dims(), [LEN / 2]);
    }
    small.forward(true, 0).unwrap();
    large.forward_backward(0).unwrap();
    let error = small.backward(0).unwrap_err().to_string();
    assert_eq!(error, "backward comes too late: another executor has run since, in the memory that both share");
    let larger = bind(2 * LEN, Some(large.sharing()));
    assert!(!larger.args()[0].1.overlaps(&large.args()[0].1));
    let options = BindOptions { grads: [("weight9".to_string(), large.args()[0].1.clone())].into(), ..options(true) };
    let error = Executor::bind_graph(&runtime(&engine), &graph, &given(), &options).err().unwrap();
    assert_eq!(error.to_string(), "grads names \"weight9\", wanted one of data0, data1, weight0, weight1");
}

#[test]
fn executors_share_parameters() {
    let engine = Engine::serial();
    let graph = program(&[(3, 0, 0)], &[0]);
    let train = Executor::bind_graph(&runtime(&engine), &graph, &given(), &options(true)).unwrap();
    let shared: BTreeMap<_, _> = train.args()[2..].iter().cloned().collect();
    let options = BindOptions { shared, ..BindOptions::default() };
    let mut score = Executor::bind_graph(&runtime(&engine), &graph, &given(), &options).unwrap();
    let mut values = first_values(&graph);
    set_all(&train, &values);
    score.args()[..2].iter().for_each(|(n, t)| t.set(values[n].clone()).unwrap());
    score.forward(false, 0).unwrap();
    let want = evaluate(&graph, &mut values, false, (0, 0));
    let e = graph.outputs[0];
    assert_eq!(score.outputs()[0].1.to_vec::<f32>().unwrap(), want[e.node][e.output]);
    assert!(score.grads().is_empty());
}

fn resolved(symbol: &Symbol) -> Graph {
    symbol.resolve(&registry()).unwrap()
}

/// `a⁴ · b`, with intermediate results.
fn with_intermediates(a: &str, b: &str) -> Graph {
    let fourth: Symbol = sym::op("square").input(sym::op("square").input(sym::var(a))).build();
    resolved(&sym::op("mul").input(fourth).input(sym::var(b)).build())
}

fn of_length(names: &[&str], len: usize) -> Vec<(String, Shape)> {
    names.iter().map(|n| (n.to_string(), Shape::new(&[len]))).collect()
}

/// One that has nothing in the shared memory does not make the next one forget who had.
#[test]
fn an_executor_without_intermediate_results_changes_nothing() {
    within_a_minute(|| {
        let engine = Engine::builder().cpu_workers(4).build().unwrap();
        let rt = runtime(&engine);
        let bind = |graph: &Graph, names: &[&str], options: &BindOptions| {
            Executor::bind_graph(&rt, graph, &of_length(names, LEN), options).unwrap()
        };
        let mut first = bind(&with_intermediates("a", "a_late"), &["a", "a_late"], &BindOptions::default());
        let share = BindOptions { sharing: Some(first.sharing()), ..BindOptions::default() };
        let mut without = bind(&resolved(&sym::op("neg").input(sym::var("b")).build()), &["b"], &share);
        let mut second = bind(&with_intermediates("c", "c_late"), &["c", "c_late"], &share);
        assert!(first.plan().planned_bytes > 0 && without.plan().planned_bytes == 0);
        for (executor, value) in [(&first, 2.0_f32), (&second, 3.0)] {
            executor.args()[0].1.set(vec![value; LEN]).unwrap();
            executor.args()[1].1.set(vec![1.0_f32; LEN]).unwrap();
        }
        // The first executor's last task waits for this, with its intermediate results in memory.
        let (send, receive) = std::sync::mpsc::channel();
        let late = first.args().iter().find(|(n, _)| n == "a_late").unwrap().1.clone();
        engine.raw("late").write(late.var()).run_async(move |_, token| send.send(token).unwrap());
        first.forward(false, 0).unwrap();
        without.forward(false, 0).unwrap();
        second.forward(false, 0).unwrap();
        without.outputs()[0].1.wait().unwrap();
        receive.recv().unwrap().complete(Ok(()));
        assert_eq!(first.outputs()[0].1.to_vec::<f32>().unwrap(), vec![16.0; LEN]);
        assert_eq!(second.outputs()[0].1.to_vec::<f32>().unwrap(), vec![81.0; LEN]);
    });
}

#[test]
fn memory_of_another_engine_is_refused() {
    let (ours, other) = (Engine::serial(), Engine::serial());
    let (graph, names) = (with_intermediates("a", "b"), ["a", "b"]);
    let given = of_length(&names, LEN);
    let theirs = Executor::bind_graph(&runtime(&other), &graph, &given, &BindOptions::default()).unwrap();
    let shared = names.map(|n| (n.to_string(), Tensor::zeros(&ours, [LEN], DType::F32).unwrap())).into();
    let options = BindOptions { sharing: Some(theirs.sharing()), shared, ..BindOptions::default() };
    let error = Executor::bind_graph(&runtime(&ours), &graph, &given, &options).err().unwrap().to_string();
    assert!(error.contains("belongs to another engine"), "{error}");
}

/// A bucket of another length needs the data's shape only: labels follow it, and share memory as data do. Parameters do not.
#[test]
fn labels_follow_the_data_of_a_bucket() {
    let engine = Engine::serial();
    let hidden: Symbol = sym::op("mul").input(sym::var("data")).input(sym::var("scale")).build();
    let graph = resolved(&sym::op("loss").input(hidden).input(sym::op("neg").input(sym::var("label"))).build());
    let label = graph.nodes.iter().position(|n| n.name == "label").unwrap();
    assert_eq!(graph.labels(), [label]);
    for for_training in [true, false] {
        let bind = |names: &[&str], len: usize, sharing| {
            let options = BindOptions { for_training, sharing, ..BindOptions::default() };
            Executor::bind_graph(&runtime(&engine), &graph, &of_length(names, len), &options)
        };
        let large = bind(&["data", "scale"], LEN, None).unwrap();
        let small = bind(&["data", "scale"], LEN / 2, Some(large.sharing())).unwrap();
        for (name, tensor) in small.args() {
            assert_eq!(tensor.shape().dims(), [LEN / 2], "{name}");
            let (_, theirs) = large.args().iter().find(|(n, _)| n == name).unwrap();
            assert!(tensor.overlaps(theirs), "{name}");
        }
        let error = bind(&["data"], LEN / 2, Some(large.sharing())).err().unwrap().to_string();
        assert!(error.contains("\"scale\" is float32 (24,), the network wants float32 (12,)"), "{error}");
    }
}
