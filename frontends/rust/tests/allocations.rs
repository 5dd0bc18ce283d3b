//! In steady state a step of a network allocates nothing, its kernels included.
#![allow(clippy::unwrap_used)]

#[path = "../../../engine/tests/support/counting.rs"]
mod counting;
mod support;

use counting::fewest;
use varflow::engine::Engine;
use varflow::ops::{PartialShape, Runtime, Shape};
use varflow::symbol::{BindOptions, Executor, infer_shapes};
use varflow::{registry, zoo};

/// A network of the zoo, bound for training.
fn bound(rt: &Runtime, network: &str, batch_size: usize) -> Executor {
    let model = zoo::by_name(network).unwrap();
    let graph = model.symbol.resolve(&rt.registry).unwrap();
    let data: Shape = std::iter::once(batch_size).chain(model.data_shape.dims().iter().copied()).collect();
    let shapes = infer_shapes(&graph, &[("data", PartialShape::from(&data))]).unwrap();
    let labels = graph.labels().into_iter().map(|i| (graph.nodes[i].name.clone(), shapes[i][0].clone()));
    let given: Vec<(String, Shape)> = std::iter::once(("data".to_string(), data)).chain(labels).collect();
    let options = BindOptions { for_training: true, ..BindOptions::default() };
    Executor::bind_graph(rt, &graph, &given, &options).unwrap()
}

fn check() {
    const STEPS: u64 = 4;
    for network in ["mlp", "lenet", "resnet-20", "inception-bn-28-small"] {
        let rt = Runtime::new(Engine::builder().cpu_workers(2).build().unwrap(), registry().unwrap());
        let mut executor = bound(&rt, network, 1);
        let fewest = fewest(3, || {
            for step in 0..STEPS {
                executor.forward_backward(step).unwrap();
                executor.forward(false, step).unwrap();
            }
            rt.engine.wait_all().unwrap();
        });
        // What the wait and the threads that it wakes need; not one a step.
        assert!(fewest < STEPS as usize, "{network}: {fewest} allocations in {STEPS} steps");
    }
}

// One test, since the count is the whole process's.
#[test]
fn a_step_allocates_nothing() {
    support::within(300, check);
}
