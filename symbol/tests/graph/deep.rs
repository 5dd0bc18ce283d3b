//! Very deep and very wide graphs: no recursion over depth, no quadratic time.

use crate::support::registry;
use std::sync::mpsc;
use std::time::Duration;
use varflow_ops::{DType, PartialShape};
use varflow_symbol::{Graph, Symbol, gradient, infer_dtypes, infer_shapes, json, sym};

const DEPTH: usize = 100_000;

/// Runs the test in a thread of a small stack, which recursion would overflow, and fails if it takes too long.
fn within_seconds(limit: u64, test: impl FnOnce() + Send + 'static) {
    let (done, wait) = mpsc::channel();
    let thread = std::thread::Builder::new().stack_size(256 << 10).spawn(move || {
        test();
        let _ = done.send(());
    });
    match wait.recv_timeout(Duration::from_secs(limit)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it takes more than {limit} s"),
        _ => thread.unwrap().join().unwrap(),
    }
}

fn whole_way(net: Symbol, wrt: &str) -> Graph {
    let registry = registry();
    let graph = net.resolve(&registry).unwrap();
    drop(net);
    let text = json::to_string(&graph);
    let again = json::from_str(&text).unwrap().resolve(&registry).unwrap();
    assert_eq!(json::to_string(&again), text);
    let wrt = graph.nodes.iter().position(|n| n.name == wrt).unwrap();
    let grads = gradient(&graph, &registry, &[wrt]).unwrap();
    assert!(grads.grads[0].is_some());
    let shapes = infer_shapes(&grads.graph, &[("x", PartialShape::new([Some(2), Some(3)]))]).unwrap();
    assert!(shapes.iter().flatten().all(|s| s.dims() == [2, 3]));
    let none: [(&str, DType); 0] = [];
    assert!(infer_dtypes(&grads.graph, &none).unwrap().iter().flatten().all(|d| *d == DType::F32));
    graph
}

#[test]
fn deep_chains_pass_through_everything() {
    within_seconds(60, || {
        let mut x: Symbol = sym::var("x").into();
        for _ in 0..DEPTH {
            x = sym::relu(x).into();
        }
        let graph = whole_way(x, "x");
        assert_eq!(graph.nodes.len(), DEPTH + 1);
        assert_eq!(graph.nodes[DEPTH].name, format!("activation{}", DEPTH - 1));
    });
}

#[test]
fn a_variable_used_everywhere_is_no_trouble() {
    within_seconds(60, || {
        let (mut x, w): (Symbol, Symbol) = (sym::var("x").into(), sym::var("w").into());
        for _ in 0..DEPTH / 4 {
            x = (x + &w).into();
        }
        whole_way(x, "w");
    });
}

#[test]
fn shapes_known_only_at_the_end_flow_back() {
    within_seconds(60, || {
        let mut x: Symbol = sym::var("first").into();
        for _ in 0..DEPTH {
            x = sym::relu(x).into();
        }
        let graph = (x + sym::var("x")).build().resolve(&registry()).unwrap();
        let shapes = infer_shapes(&graph, &[("x", PartialShape::new([Some(4)]))]).unwrap();
        assert_eq!(shapes[0][0].dims(), [4]);
    });
}

#[test]
fn many_variables_of_open_dtype_are_settled_once_each() {
    within_seconds(60, || {
        let vars = (0..DEPTH).map(|i| Symbol::from(sym::var(&format!("v{i}"))));
        let graph = Symbol::group(vars).resolve(&registry()).unwrap();
        let none: [(&str, DType); 0] = [];
        assert_eq!(infer_dtypes(&graph, &none).unwrap().len(), DEPTH);
        assert_eq!(graph.arguments().len(), DEPTH);
    });
}
