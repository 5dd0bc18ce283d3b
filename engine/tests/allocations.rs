//! In steady state a task allocates nothing: not as it is described, pushed, run or finished, nor does a run of a schedule.
#![allow(clippy::unwrap_used)]
#![expect(unsafe_code, reason = "counts what the system allocator is asked for")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use support::deadline;
use varflow_engine::{Engine, Var};

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

/// The fewest allocations of any of several rounds: a queue may still grow in the first ones.
fn fewest(engine: &Engine, mut round: impl FnMut()) -> usize {
    let mut counts = (0..20).map(|_| {
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        round();
        engine.wait_all().unwrap();
        ALLOCATIONS.load(Ordering::Relaxed) - before
    });
    counts.by_ref().min().unwrap()
}

// One test, since the count is the whole process's.
#[test]
fn tasks_and_runs_allocate_nothing() {
    const TASKS: usize = 2000;
    deadline(60, || {
        for workers in [1, 2] {
            let engine = Engine::builder().cpu_workers(workers).build().unwrap();
            let vars: Vec<Var> = (0..100).map(|_| engine.var()).collect();
            let var = |i: usize| &vars[i % 100];
            let pushed = fewest(&engine, || {
                for i in 0..TASKS {
                    let captured = [i; 8];
                    let task = engine.raw("task").read(var(i)).read(var(i * 7 + 1)).read(var(i * 3 + 2));
                    task.write(var(i * 11 + 3)).run(move |_| assert_eq!(captured[7], captured[0]));
                }
            });
            // What a wait needs, but nothing a task.
            assert!(pushed < 20, "{pushed} allocations for {TASKS} tasks, {workers} workers");

            let mut recorder = engine.recorder("step");
            for i in 0..TASKS {
                engine.raw("task").read(var(i)).write(var(i * 11 + 3)).record(&mut recorder, |_| ());
            }
            let schedule = recorder.finish().unwrap();
            let runs = fewest(&engine, || (0..10).for_each(|_| schedule.submit()));
            assert!(runs < 20, "{runs} allocations for 10 runs, {workers} workers");
        }
    });
}
