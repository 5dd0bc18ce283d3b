//! Whole engines with real pools under shuttle's schedulers, which choose at each step who goes on: at random, or so that
//! a bug that needs few well placed switches is likely to be found (PCT). Times are made up too, see `sync.rs`.
//!
//! Run with `RUSTFLAGS="--cfg shuttle" cargo test --release -p varflow-engine --test shuttle --target-dir target/shuttle`.
//! A failure prints its schedule, in which random programs are contained. To see it again, run the one test with the
//! schedule in the environment variable `SHUTTLE_REPLAY`.
#![cfg(shuttle)]
#![allow(clippy::unwrap_used)]

mod support;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler, ReplayScheduler};
use shuttle::sync::mpsc::channel;
use shuttle::thread;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::{Act, Memory, Step, deadline, execute, interpret, programs};
use varflow_engine::{Cause, Completion, Engine, Error, Mode, OnDrop};

const VARS: usize = 4;
/// Switches that PCT places.
const DEPTH: usize = 4;
const SEED: u64 = 7;

/// Runs `body` in so many schedules of each kind.
fn check(schedules: usize, body: impl Fn() + Send + Sync + 'static) {
    deadline(300, move || {
        let mut config = shuttle::Config::new();
        config.stack_size = 1 << 18;
        let body = Arc::new(body);
        let run = || {
            let body = body.clone();
            move || body()
        };
        if let Ok(schedule) = std::env::var("SHUTTLE_REPLAY") {
            shuttle::Runner::new(ReplayScheduler::new_from_encoded(&schedule), config).run(run());
            return;
        }
        shuttle::Runner::new(RandomScheduler::new_from_seed(SEED, schedules), config.clone()).run(run());
        shuttle::Runner::new(PctScheduler::new_from_seed(SEED, DEPTH, schedules), config).run(run());
    });
}

fn pool(n: usize) -> Engine {
    Engine::builder().cpu_workers(n).build().unwrap()
}

/// A random program, made from the schedule's own randomness.
fn program(len: usize) -> Vec<Step> {
    let seed: [u8; 32] = thread_rng().r#gen();
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    programs(VARS, len).new_tree(&mut TestRunner::new_with_rng(Config::default(), rng)).unwrap().current()
}

#[test]
fn random_programs_equal_the_interpreter() {
    check(6000, || {
        let program = program(12);
        let engine = pool(thread_rng().gen_range(2..4));
        assert_eq!(execute(&engine, &program, VARS), interpret(&program, VARS), "{program:?}");
    });
}

#[test]
fn two_threads_push_and_drop_the_engine_last() {
    check(2000, || {
        let engine = pool(2);
        let memory = Memory::new(&engine, 3);
        let pushers = [0_usize, 1].map(|t| {
            let (engine, memory) = (engine.clone(), memory.clone());
            thread::spawn(move || {
                for i in 0..4 {
                    let accesses = (0..2).map(|k| ((i + t + k * (1 + t)) % 3, Mode::Write)).collect();
                    memory.push(&engine, i, &Step { accesses, act: Act::Mix, priority: t as i32 - 1 });
                }
            })
        });
        drop(engine);
        pushers.into_iter().for_each(|p| p.join().unwrap());
        assert!(memory.vars.iter().all(|v| v.wait().is_ok()));
    });
}

#[test]
fn tasks_wait_for_the_tasks_that_they_push() {
    fn sum(engine: &Engine, from: u64, to: u64) -> u64 {
        if to - from == 1 {
            return from;
        }
        let mid = from.midpoint(to);
        let parts = [(from, mid), (mid, to)].map(|(a, b)| {
            let out = engine.data(0);
            engine.task("part").write(&out).run_with(move |ctx, out| *out = sum(&ctx.engine(), a, b));
            out
        });
        parts.iter().map(|p| p.wait().unwrap()).sum()
    }
    check(1200, || {
        let engine = pool(thread_rng().gen_range(1..3));
        let out = engine.data(0);
        engine.task("root").write(&out).run_with(|ctx, out| *out = sum(&ctx.engine(), 0, 4));
        assert_eq!(out.wait().unwrap(), 6);
        engine.wait_all().unwrap();
    });
}

#[test]
fn tasks_that_wait_for_each_other_are_told_once() {
    check(1200, || {
        let engine = pool(2);
        let (a, b) = (engine.var(), engine.var());
        let both = Arc::new(shuttle::sync::Barrier::new(2));
        let cycles = Arc::new(AtomicUsize::new(0));
        for (own, other) in [(&a, &b), (&b, &a)] {
            let (other, both, cycles) = (other.clone(), both.clone(), cycles.clone());
            engine.raw("waits").write(own).run(move |_| {
                both.wait();
                if let Err(Error::WaitCycle(_)) = other.wait() {
                    cycles.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        engine.wait_all().unwrap();
        assert_eq!(cycles.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn loops_beside_tasks() {
    check(1600, || {
        let engine = pool(3);
        let (a, b) = (engine.data(0_usize), engine.data(0_usize));
        for data in [&a, &b] {
            engine.task("loop").write(data).run_with(|ctx, sum| {
                let part = shuttle::sync::atomic::AtomicUsize::new(0);
                ctx.parallel_for(5, &|i| {
                    part.fetch_add(i, Ordering::Relaxed);
                });
                *sum = part.into_inner();
            });
            engine.task("after").write(data).run(|sum| *sum += 1);
        }
        let bad = engine.var();
        engine.raw("bad loop").write(&bad).run(|ctx| {
            ctx.parallel_for(3, &|i| {
                if i == 1 {
                    std::panic::resume_unwind(Box::new("iteration 1"));
                }
            });
        });
        assert_eq!((a.wait().unwrap(), b.wait().unwrap()), (11, 11));
        assert!(bad.wait().unwrap_err().to_string().contains("iteration 1"));
    });
}

#[test]
fn a_drop_in_the_middle_drains_or_cancels() {
    check(1600, || {
        let on_drop = if thread_rng().r#gen() { OnDrop::Drain } else { OnDrop::Cancel };
        let engine = Engine::builder().cpu_workers(2).on_drop(on_drop).build().unwrap();
        let (a, b) = (engine.var(), engine.var());
        let ran = Arc::new(AtomicUsize::new(0));
        for _ in 0..4 {
            for var in [&a, &b] {
                let ran = ran.clone();
                engine.raw("count").write(var).run(move |_| {
                    thread::yield_now();
                    ran.fetch_add(1, Ordering::Relaxed);
                });
            }
        }
        drop(engine);
        let ran = ran.load(Ordering::Relaxed);
        let waits = [a.wait(), b.wait()];
        if on_drop == OnDrop::Drain {
            assert_eq!(ran, 8);
        }
        assert_eq!(ran < 8, waits.iter().any(Result::is_err));
        for e in waits.iter().filter_map(|w| w.as_ref().err()) {
            assert!(matches!(e.failure().unwrap().cause(), Cause::Cancelled), "{e}");
        }
    });
}

#[test]
fn dropped_inside_its_own_task() {
    check(1200, || {
        let engine = pool(2);
        let a = engine.var();
        let (inside, ran) = (engine.clone(), Arc::new(AtomicUsize::new(0)));
        engine.raw("last owner").write(&a).run(move |_| drop(inside));
        let count = ran.clone();
        engine.raw("after").write(&a).run(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        drop(engine);
        a.wait().unwrap();
        assert_eq!(ran.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn tokens_completed_elsewhere() {
    check(1600, || {
        let engine = pool(2);
        let a = engine.data(1);
        let (tx, rx) = channel::<Completion>();
        let device = thread::spawn(move || rx.into_iter().for_each(|token| token.complete(Ok(()))));
        for _ in 0..3 {
            let tx = tx.clone();
            engine.raw("device").write(a.var()).run_async(move |_, token| tx.send(token).unwrap());
            engine.task("host").write(&a).run(|a| *a += 1);
        }
        engine.raw("lost").write(a.var()).priority(1).run_async(|_, token| drop(thread::spawn(move || drop(token))));
        drop(tx);
        assert!(matches!(a.wait().unwrap_err().failure().unwrap().cause(), Cause::TokenDropped));
        device.join().unwrap();
    });
}

/// However short tasks have been, one that blocks on what the engine knows nothing of holds up no other.
#[test]
fn a_task_that_blocks_on_the_outside_does_not_hold_up_others() {
    check(1600, || {
        let workers = thread_rng().gen_range(2..4);
        let engine = pool(workers);
        let vars: Vec<_> = (0..3).map(|_| engine.var()).collect();
        for i in 0..64 {
            engine.raw("short").write(&vars[i % 3]).run(|_| ());
        }
        engine.wait_all().unwrap();
        // Some workers fall asleep, or all.
        (0..thread_rng().gen_range(0..60)).for_each(|_| thread::yield_now());
        let gate = engine.var();
        if thread_rng().r#gen() {
            engine.raw("gate").write(&gate).run(|_| ());
        }
        // Each of the blocked tasks needs a worker, and one is left for the task that they wait for.
        let inside: bool = thread_rng().r#gen();
        let mut signals = Vec::new();
        for var in &vars[1..workers - usize::from(inside)] {
            let (tx, rx) = channel::<()>();
            signals.push(tx);
            engine.raw("blocks").read(&gate).write(var).run(move |_| rx.recv().unwrap());
        }
        let told = Arc::new(AtomicUsize::new(0));
        let count = told.clone();
        engine.raw("signals").read(&gate).write(&vars[0]).run(move |ctx| {
            let tell = move || {
                signals.iter().for_each(|s| s.send(()).unwrap());
                count.fetch_add(1, Ordering::Relaxed);
            };
            if !inside {
                return tell();
            }
            let (tx, rx) = channel();
            ctx.engine().raw("inner").run(move |_| {
                tx.send(()).unwrap();
                tell();
            });
            rx.recv().unwrap();
        });
        engine.wait_all().unwrap();
        assert_eq!(told.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn waiting_for_all_waits_for_what_tasks_push() {
    check(1600, || {
        let engine = pool(2);
        let ran = Arc::new(AtomicUsize::new(0));
        let count = ran.clone();
        engine.raw("outer").run(move |ctx| {
            for _ in 0..2 {
                let count = count.clone();
                ctx.engine().raw("inner").run(move |_| {
                    thread::yield_now();
                    count.fetch_add(1, Ordering::Relaxed);
                });
            }
        });
        engine.wait_all().unwrap();
        assert_eq!(ran.load(Ordering::Relaxed), 2);
    });
}
