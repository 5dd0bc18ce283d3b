//! Every program gives the result of running its tasks one by one in push order.
#![allow(clippy::unwrap_used)]

#[path = "support/machine.rs"]
mod machine;
mod support;
#[path = "support/whole.rs"]
mod whole;

use machine::{KINDS, Lanes, lanes};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestCaseError, TestCaseResult, TestError, TestRng, TestRunner};
use std::hash::{BuildHasher, RandomState};
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::{Act, Step, deadline, programs};
use varflow_engine::{Engine, Mode};

const VARS: usize = 12;

/// Programs in all, and the threads among which they are dealt.
const PROGRAMS: u32 = 10_000;
const THREADS: u32 = 2;
/// The most moves of a program, and on how many kinds of lanes it runs.
const MOVES: usize = 60;
const VISITS: usize = 4;
/// Every kind of lanes is visited by at least so many programs.
const AT_LEAST: usize = 5_000;
/// Set to what a failure prints, it has the same programs made again.
const SEED: &str = "VARFLOW_PROGRAMS_SEED";

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

/// Runs the program on these lanes, and compares all that can be learned with what the interpreter tells.
fn compare(program: &Arc<whole::Program>, lanes: &Lanes) -> TestCaseResult {
    let (p, l) = (program.clone(), lanes.clone());
    let got = catch_unwind(|| deadline(20, move || machine::execute(&l, &p)));
    let got = got.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        TestCaseError::fail(format!("{} on {lanes:?}", text.unwrap_or("a panic")))
    })?;
    let wanted = whole::interpret(program);
    prop_assert_eq!(got.seen.len(), wanted.seen.len());
    for (place, (got, wanted)) in got.seen.iter().zip(&wanted.seen).enumerate() {
        let untold = matches!(got, whole::Seen::Schedule(None));
        prop_assert!(untold || got == wanted, "answer {place} is {got:?} and not {wanted:?} on {lanes:?}");
    }
    for (cell, (got, wanted)) in got.cells.iter().zip(&wanted.cells).enumerate() {
        prop_assert!(wanted.is_err() || got == wanted, "cell {cell} holds {got:?} and not {wanted:?} on {lanes:?}");
    }
    Ok(())
}

/// Tasks of every kind, recorded schedules, devices, errors, cancellation, vars and schedules dropped in between: on every
/// kind of lanes each program ends as if its tasks had run one by one.
#[test]
fn whole_programs_equal_push_order() {
    quiet_panics();
    let seed = std::env::var(SEED).ok().and_then(|text| text.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| RandomState::new().hash_one(SEED));
    println!("{SEED}={seed}");
    let visits: [AtomicUsize; KINDS] = std::array::from_fn(|_| AtomicUsize::new(0));
    let kinds = prop::sample::subsequence((0..KINDS).collect::<Vec<_>>(), VISITS);
    let on = kinds.prop_flat_map(|kinds| kinds.into_iter().map(lanes).collect::<Vec<_>>());
    let visitors = (whole::programs(MOVES).prop_map(Arc::new), on);
    let part = |thread: u32| {
        let cases = PROGRAMS / THREADS;
        let max_shrink_time = 30_000; // milliseconds
        let config = ProptestConfig { cases, max_shrink_time, failure_persistence: None, ..Default::default() };
        let bytes: Vec<u8> = [seed, u64::from(thread), 0, 0].iter().flat_map(|part| part.to_le_bytes()).collect();
        TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)).run(
            &visitors,
            |(program, on)| {
                for lanes in on {
                    visits[lanes.kind()].fetch_add(1, Ordering::Relaxed);
                    compare(&program, &lanes)?;
                }
                Ok(())
            },
        )
    };
    std::thread::scope(|scope| {
        let parts: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || part(thread))).collect();
        for part in parts {
            match part.join().unwrap() {
                Err(TestError::Fail(reason, (program, lanes))) => panic!("{reason}\nby {program:?}\non {lanes:?}"),
                other => other.unwrap(),
            }
        }
    });
    let visits = visits.map(AtomicUsize::into_inner);
    assert!(visits.iter().all(|n| *n >= AT_LEAST), "programs that visited each kind of lanes: {visits:?}");
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
