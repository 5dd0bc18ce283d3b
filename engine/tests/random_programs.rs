//! Every program gives the result of running its tasks one by one in push order.
#![allow(clippy::unwrap_used)]

mod support;

use proptest::prelude::*;
use support::{Act, Step, deadline, execute, interpret, programs};
use varflow_engine::{Engine, Mode};

const VARS: usize = 12;

fn quiet_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.payload().downcast_ref::<&str>() != Some(&"told to panic") {
                usual(info);
            }
        }));
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1200, max_shrink_iters: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn equal_to_push_order(program in programs(VARS, 60)) {
        quiet_panics();
        let wanted = interpret(&program, VARS);
        let program = std::sync::Arc::new(program);
        for workers in 0..4 {
            let (p, w) = (program.clone(), wanted.clone());
            let got = deadline(20, move || {
                let engine =
                    if workers == 0 { Engine::serial() } else { Engine::builder().cpu_workers(workers).build().unwrap() };
                let got = execute(&engine, &p, VARS);
                assert!(workers > 0 || got == w, "the serial lane differs from the interpreter");
                got
            });
            prop_assert_eq!(&got, &wanted, "{} workers", workers);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, max_shrink_iters: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn equal_to_push_order_in_any_order(program in programs(VARS, 60), seed: u64) {
        quiet_panics();
        let wanted = interpret(&program, VARS);
        let got = deadline(20, move || execute(&Engine::shuffled(seed), &program, VARS));
        prop_assert_eq!(&got, &wanted, "seed {}", seed);
    }
}

/// The order in which the tasks of a program ran on the shuffled lane.
fn shuffled_order(program: &[Step], seed: u64) -> Vec<usize> {
    let engine = Engine::shuffled(seed);
    let vars: Vec<_> = (0..VARS).map(|_| engine.var()).collect();
    let order = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    for (index, step) in program.iter().enumerate() {
        let mut task = engine.raw("step").priority(step.priority);
        for (v, mode) in &step.accesses {
            task = task.access(&vars[*v], *mode);
        }
        let order = order.clone();
        task.run(move |_| order.lock().unwrap().push(index));
    }
    engine.wait_all().unwrap();
    std::mem::take(&mut order.lock().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_seed_stands_for_an_order(program in programs(VARS, 60), seed: u64) {
        let (first, again) = (shuffled_order(&program, seed), shuffled_order(&program, seed));
        prop_assert_eq!(first, again);
    }
}

/// Tasks that nothing orders come in orders of their own for different seeds.
#[test]
fn seeds_stand_for_different_orders() {
    let step = |_| Step { accesses: Vec::new(), act: Act::Mix, priority: 0 };
    let program: Vec<_> = (0..30).map(step).collect();
    let orders: std::collections::HashSet<_> = (0..50).map(|seed| shuffled_order(&program, seed)).collect();
    assert_eq!(orders.len(), 50);
}

/// Many threads push at once, each task naming several vars in an order of its own: no deadlock, nothing lost.
#[test]
fn many_pushers() {
    deadline(60, || {
        let engine = Engine::builder().cpu_workers(3).build().unwrap();
        let memory = support::Memory::new(&engine, 5);
        std::thread::scope(|s| {
            for t in 0..4_usize {
                let (engine, memory) = (engine.clone(), memory.clone());
                s.spawn(move || {
                    for i in 0..2000 {
                        let accesses = (0..4).map(|k| ((i * 7 + t * 3 + k * (1 + t)) % 5, Mode::Write)).collect();
                        memory.push(&engine, i, &Step { accesses, act: Act::Mix, priority: 0 });
                    }
                });
            }
        });
        engine.wait_all().unwrap();
    });
}
