//! In steady state a step of a network allocates nothing, its kernels included.
#![allow(clippy::unwrap_used)]
#![expect(unsafe_code, reason = "counts what the system allocator is asked for")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;
use varflow::engine::Engine;
use varflow::ops::{PartialShape, Runtime, Shape};
use varflow::symbol::{BindOptions, Executor, infer_shapes};
use varflow::{registry, zoo};

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
        // The fewest of three rounds: a worker's queue may still grow.
        let round = |_| {
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            for step in 0..STEPS {
                executor.forward_backward(step).unwrap();
                executor.forward(false, step).unwrap();
            }
            rt.engine.wait_all().unwrap();
            ALLOCATIONS.load(Ordering::Relaxed) - before
        };
        let fewest = (0..3).map(round).min().unwrap();
        // What the wait and the threads that it wakes need; not one a step.
        assert!(fewest < STEPS as usize, "{network}: {fewest} allocations in {STEPS} steps");
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
    match wait.recv_timeout(Duration::from_secs(300)) {
        Ok(()) | Err(RecvTimeoutError::Disconnected) => thread.join().unwrap(),
        Err(RecvTimeoutError::Timeout) => panic!("no end after 300 s"),
    }
}
