//! In steady state a task allocates nothing: not as it is described, pushed, run or finished, nor does a run of a schedule.
#![allow(clippy::unwrap_used)]

#[path = "support/counting.rs"]
mod counting;
mod support;

use counting::fewest;
use support::deadline;
use varflow_engine::{Engine, Var};

/// Of each measurement.
const ROUNDS: usize = 20;

// One test, since the count is the whole process's.
#[test]
fn tasks_and_runs_allocate_nothing() {
    const TASKS: usize = 2000;
    deadline(60, || {
        for workers in [1, 2] {
            let engine = Engine::builder().cpu_workers(workers).build().unwrap();
            let vars: Vec<Var> = (0..100).map(|_| engine.var()).collect();
            let var = |i: usize| &vars[i % 100];
            let pushed = fewest(ROUNDS, || {
                for i in 0..TASKS {
                    let captured = [i; 8];
                    let task = engine.raw("task").read(var(i)).read(var(i * 7 + 1)).read(var(i * 3 + 2));
                    task.write(var(i * 11 + 3)).run(move |_| assert_eq!(captured[7], captured[0]));
                }
                engine.wait_all().unwrap();
            });
            // What a wait needs, but nothing a task.
            assert!(pushed < 20, "{pushed} allocations for {TASKS} tasks, {workers} workers");

            let mut recorder = engine.recorder("step");
            for i in 0..TASKS {
                engine.raw("task").read(var(i)).write(var(i * 11 + 3)).record(&mut recorder, |_| ());
            }
            let schedule = recorder.finish().unwrap();
            let runs = fewest(ROUNDS, || {
                (0..10).for_each(|_| schedule.submit());
                engine.wait_all().unwrap();
            });
            assert!(runs < 20, "{runs} allocations for 10 runs, {workers} workers");
        }
    });
}
