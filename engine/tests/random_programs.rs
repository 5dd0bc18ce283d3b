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
