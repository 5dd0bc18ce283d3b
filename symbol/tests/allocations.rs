//! In steady state a step allocates nothing beside what its kernels do.
#![allow(clippy::unwrap_used)]
#![expect(unsafe_code, reason = "counts what the system allocator is asked for")]

mod executor_support;

use executor_support::{LEN, build, registry};
use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;
use varflow_engine::Engine;
use varflow_ops::{Entry, Runtime, Shape};
use varflow_symbol::{BindOptions, Executor, GradReq, Node};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: passed on.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: passed on.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// A chain of nodes whose kernels allocate nothing, over `weight0`.
fn chain(rt: &Runtime, nodes: usize) -> Executor {
    let mut graph = build(&rt.registry, &[], &[0]);
    let neg = rt.registry.operator("neg").unwrap().clone();
    let mut last = Entry { node: 2, output: 0 };
    for i in 0..nodes {
        let template = graph.nodes[0].clone();
        graph.nodes.push(Node { op: Some(neg.clone()), name: format!("neg{i}"), inputs: vec![last], ..template });
        last = Entry { node: graph.nodes.len() - 1, output: 0 };
    }
    graph.outputs = vec![last];
    let given = ["data0", "data1", "weight0", "weight1"].map(|n| (n.to_string(), Shape::new(&[LEN]))).to_vec();
    let grad_req = BTreeMap::from([("weight0".to_string(), GradReq::Write)]);
    let options = BindOptions { for_training: true, grad_req, ..BindOptions::default() };
    Executor::bind_graph(rt, &graph, &given, &options).unwrap()
}

fn check() {
    const STEPS: u64 = 10;
    for engine in [Engine::serial(), Engine::builder().cpu_workers(2).build().unwrap()] {
        let rt = Runtime::new(engine, registry());
        let mut executor = chain(&rt, 200);
        // The fewest of several rounds: a queue may still grow in the first ones.
        let round = |_| {
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            for step in 0..STEPS {
                executor.forward_backward(step).unwrap();
                executor.forward(false, step).unwrap();
            }
            rt.engine.wait_all().unwrap();
            ALLOCATIONS.load(Ordering::Relaxed) - before
        };
        let fewest = (0..20).map(round).min().unwrap();
        // What the wait needs; not one a step.
        assert!(fewest < STEPS as usize, "{fewest} allocations in {STEPS} steps");
    }
}

// One test, since the count is the whole process's.
#[test]
fn a_step_allocates_nothing() {
    let (done, wait) = channel();
    let thread = std::thread::spawn(move || {
        check();
        done.send(()).unwrap();
    });
    match wait.recv_timeout(Duration::from_secs(60)) {
        Err(RecvTimeoutError::Timeout) => panic!("it hangs"),
        _ => thread.join().unwrap_or_else(|p| std::panic::resume_unwind(p)),
    }
}
