//! Lanes that go or misbehave: whatever they do, each task runs or fails, and nothing hangs.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use support::deadline;
use varflow_engine::{Cause, Completion, Engine, Error, Lane, LaneHandle, Pool, ReadyTask, Serial};

fn pool(n: usize) -> Engine {
    Engine::builder().cpu_workers(n).build().unwrap()
}

fn never() {
    panic!("this task must not run: its lane was removed");
}

fn is_removed(error: &Error, lane: &str) -> bool {
    matches!(error.failure().unwrap().cause(), Cause::LaneRemoved(name) if name == lane)
}

fn with_lane(n: usize) -> (Engine, LaneHandle) {
    let engine = pool(1);
    let lane = engine.add_lane(Pool::start("second", n).unwrap()).unwrap();
    (engine, lane)
}

#[test]
fn removing_a_lane_lets_its_running_task_finish_and_fails_the_rest() {
    deadline(20, || {
        for priority in [0, 1, -1] {
            let (engine, lane) = with_lane(1);
            let (running, queued, later) = (engine.data(0), engine.var(), engine.var());
            let ((started, is_started), (go, wait)) = (channel(), channel::<()>());
            engine.task("running").lane(&lane).write(&running).run(move |x| {
                started.send(()).unwrap();
                wait.recv().unwrap();
                *x = 1;
            });
            is_started.recv().unwrap();
            engine.raw("queued").lane(&lane).priority(priority).write(&queued).run(|_| never());
            engine
                .raw("becomes ready")
                .lane(&lane)
                .priority(priority)
                .read(running.var())
                .write(&later)
                .run(|_| never());
            let (inner, gone) = (engine.clone(), lane.clone());
            let remover = std::thread::spawn(move || inner.remove_lane(&gone));
            // Queued tasks fail before the running one is done.
            assert!(is_removed(&queued.wait().unwrap_err(), "second"));
            go.send(()).unwrap();
            remover.join().unwrap().unwrap();
            assert_eq!(running.wait().unwrap(), 1);
            assert!(is_removed(&later.wait().unwrap_err(), "second"));
            engine.raw("names it").lane(&lane).overwrite(&later).run(|_| never());
            let e = later.wait().unwrap_err();
            assert!(is_removed(&e, "second") && e.to_string().contains("\"second\", which was removed"), "{e}");
            assert_eq!(lane.name(), "second");
        }
    });
}

#[test]
fn which_lanes_can_be_removed() {
    deadline(20, || {
        let (engine, lane) = with_lane(1);
        let (other, foreign) = with_lane(1);
        let refused = |lane: &LaneHandle| engine.remove_lane(lane).unwrap_err().to_string();
        assert_eq!(refused(&engine.default_lane()), "lane \"cpu\": the default lane cannot be removed");
        assert_eq!(refused(&foreign), "lane \"second\": belongs to another engine");
        engine.remove_lane(&lane).unwrap();
        assert_eq!(refused(&lane), "lane \"second\": was removed before");
        drop(other);
    });
}

#[test]
fn a_running_task_that_waits_for_a_queued_one_hears_of_the_removal() {
    deadline(20, || {
        let (engine, lane) = with_lane(1);
        let (a, b) = (engine.var(), engine.var());
        let (inner, gone) = (b.clone(), lane.clone());
        engine.raw("waits").lane(&lane).write(&a).run(move |ctx| {
            ctx.engine().raw("own queue").lane(&gone).write(&inner).run(|_| ());
            ctx.engine().remove_lane(&gone)?;
            inner.wait()
        });
        // What it waits for may have been started by the thread that takes its place, before the lane has stopped.
        if let Err(e) = a.wait() {
            assert!(is_removed(&b.wait().unwrap_err(), "second"), "{e}");
        }
    });
}

#[test]
fn removal_inside_a_task_that_the_lane_waits_for() {
    deadline(20, || {
        let (engine, lane) = with_lane(1);
        let (a, b) = (engine.var(), engine.var());
        let (started, is_started) = channel();
        let gone = lane.clone();
        engine.raw("remover").write(&a).run(move |ctx| {
            is_started.recv().unwrap();
            ctx.engine().remove_lane(&gone)
        });
        let inner = a.clone();
        engine.raw("waits").lane(&lane).write(&b).run(move |_| {
            started.send(()).unwrap();
            inner.wait()
        });
        engine.wait_all().unwrap();
    });
}

#[test]
fn a_long_chain_on_a_removed_lane_fails_without_recursion() {
    deadline(60, || {
        let (engine, lane) = with_lane(1);
        let (gate, a) = (engine.var(), engine.var());
        let (tx, rx) = channel::<Completion>();
        engine.raw("gate").write(&gate).run_async(move |_, token| tx.send(token).unwrap());
        for _ in 0..100_000 {
            engine.raw("link").lane(&lane).read(&gate).overwrite(&a).run(|_| never());
        }
        engine.remove_lane(&lane).unwrap();
        rx.recv().unwrap().complete(Ok(()));
        assert!(is_removed(&a.wait().unwrap_err(), "second"));
    });
}

#[test]
fn removal_races_with_submitters() {
    deadline(60, || {
        for round in 0..40 {
            let (engine, lane) = with_lane(2);
            let ran = Arc::new(AtomicUsize::new(0));
            let vars: Vec<_> = (0..4).map(|_| engine.var()).collect();
            std::thread::scope(|s| {
                for var in &vars {
                    let (engine, lane, ran) = (&engine, &lane, &ran);
                    s.spawn(move || {
                        for i in 0..200 {
                            let ran = ran.clone();
                            let task = engine.raw("step").lane(lane).priority(i % 3 - 1).overwrite(var);
                            task.run(move |_| {
                                ran.fetch_add(1, Ordering::Relaxed);
                            });
                        }
                    });
                }
                let (engine, lane) = (&engine, &lane);
                s.spawn(move || {
                    (0..round * 20).for_each(|_| std::thread::yield_now());
                    engine.remove_lane(lane).unwrap();
                });
            });
            let _ = engine.wait_all();
            for var in vars {
                assert!(var.wait().map_or_else(|e| is_removed(&e, "second"), |()| true));
            }
            assert!(ran.load(Ordering::Relaxed) <= 800);
        }
    });
}

#[test]
fn late_pushers_race_with_the_end() {
    deadline(60, || {
        for round in 0..60 {
            let engine = pool(1);
            let a = engine.var();
            let (tx, rx) = channel();
            engine.raw("keep").write(&a).run(move |ctx| tx.send(ctx.engine()).unwrap());
            let late = rx.recv().unwrap();
            let pusher = std::thread::spawn(move || {
                let vars: Vec<_> = (0..100).map(|_| late.var()).collect();
                for (i, var) in vars.iter().enumerate() {
                    late.raw("late").priority((i % 2) as i32).overwrite(var).run(|_| ());
                }
                for var in &vars {
                    let _ = var.wait(); // it ran, was refused or given up: in no case lost
                }
            });
            (0..round).for_each(|_| std::thread::yield_now());
            drop(engine);
            pusher.join().unwrap();
        }
    });
}

/// A lane that panics wherever the engine calls it, before or after it has taken the task.
struct Panics {
    when: When,
    kept: Arc<Mutex<Vec<ReadyTask>>>,
}

#[derive(Clone, Copy, PartialEq)]
enum When {
    Before,
    AfterKeeping,
    AfterRunning,
    WhileNamed,
}

impl Lane for Panics {
    fn name(&self) -> &str {
        if self.when == When::WhileNamed {
            std::panic::resume_unwind(Box::new("no name"));
        }
        "bad"
    }

    fn submit(&self, task: ReadyTask) {
        match self.when {
            When::Before => std::panic::resume_unwind(Box::new("before")),
            When::AfterKeeping => self.kept.lock().unwrap().push(task),
            When::AfterRunning => task.run(),
            When::WhileNamed => return drop(task),
        }
        std::panic::resume_unwind(Box::new("after"));
    }

    fn shutdown(&self) {
        std::panic::resume_unwind(Box::new("as it ends"));
    }
}

#[test]
fn a_lane_that_panics_loses_no_task_and_harms_no_pusher() {
    deadline(20, || {
        for when in [When::Before, When::AfterKeeping, When::AfterRunning, When::WhileNamed] {
            let engine = pool(1);
            let kept = Arc::new(Mutex::new(Vec::new()));
            let lane = engine.add_lane(Panics { when, kept: kept.clone() }).unwrap();
            let (a, b, gate) = (engine.var(), engine.var(), engine.var());
            engine.raw("pushed").lane(&lane).overwrite(&a).run(|_| ());
            engine.raw("gate").overwrite(&gate).run(|_| ());
            engine.raw("released by a worker").lane(&lane).read(&gate).overwrite(&b).run(|_| ());
            gate.wait().unwrap();
            for var in [&a, &b] {
                if when == When::AfterKeeping {
                    let task = std::iter::repeat_with(|| kept.lock().unwrap().pop()).find_map(|t| t);
                    task.unwrap().run();
                }
                let runs = matches!(when, When::AfterKeeping | When::AfterRunning);
                if when != When::AfterKeeping {
                    assert_eq!(var.wait().is_ok(), runs);
                }
            }
            assert!(matches!(engine.wait_all(), Ok(()) | Err(Error::Task(_))));
            engine.remove_lane(&lane).unwrap();
        }
    });
}

#[test]
fn a_lane_that_panics_while_a_task_waits_fails_that_task() {
    struct NoHelp(Serial, AtomicBool);
    impl Lane for NoHelp {
        fn name(&self) -> &str {
            "no help"
        }
        fn submit(&self, task: ReadyTask) {
            self.0.submit(task);
        }
        fn begin_block(&self) -> Result<(), Error> {
            if self.1.swap(false, Ordering::SeqCst) {
                std::panic::resume_unwind(Box::new("not now"));
            }
            Ok(())
        }
    }
    deadline(20, || {
        let engine = pool(1);
        let lane = engine.add_lane(NoHelp(Serial::new("inner"), AtomicBool::new(true))).unwrap();
        let (a, b) = (engine.var(), engine.var());
        let (tx, rx) = channel::<Completion>();
        engine.raw("gate").write(&a).run_async(move |_, token| tx.send(token).unwrap());
        let token = rx.recv().unwrap();
        let inner = a.clone();
        engine.raw("waits").lane(&lane).write(&b).run(move |_| inner.wait());
        assert!(matches!(b.wait().unwrap_err().failure().unwrap().cause(), Cause::Panicked(m) if m == "not now"));
        token.complete(Ok(()));
        a.wait().unwrap();
    });
}

/// Runs or drops each task as it is handed over.
struct AtOnce {
    runs: bool,
}

impl Lane for AtOnce {
    fn name(&self) -> &str {
        "at once"
    }
    fn submit(&self, task: ReadyTask) {
        if self.runs {
            task.run();
        }
    }
}

#[test]
fn a_long_chain_on_a_lane_that_acts_at_once_does_not_nest() {
    deadline(60, || {
        for runs in [true, false] {
            let engine = pool(1);
            let lane = engine.add_lane(AtOnce { runs }).unwrap();
            let (gate, a, b) = (engine.var(), engine.var(), engine.var());
            let (tx, rx) = channel::<Completion>();
            engine.raw("gate").write(&gate).run_async(move |_, token| tx.send(token).unwrap());
            let ran = Arc::new(AtomicUsize::new(0));
            for i in 0..50_000 {
                let (ran, engine_lane) = (ran.clone(), lane.clone());
                let inner = b.clone();
                engine.raw("link").lane(&engine_lane).read(&gate).overwrite(&a).run(move |_| {
                    ran.fetch_add(1, Ordering::Relaxed);
                    // Waits for what was left for later, too.
                    if i == 1000 { inner.wait() } else { Ok(()) }
                });
                if i == 900 {
                    engine.raw("branch").lane(&lane).read(&a).overwrite(&b).run(|_| ());
                }
            }
            rx.recv().unwrap().complete(Ok(()));
            assert_eq!(a.wait().is_ok(), runs);
            assert_eq!(ran.load(Ordering::Relaxed), if runs { 50_000 } else { 0 });
            let _ = engine.wait_all();
        }
    });
}

#[test]
fn a_pool_that_is_asked_for_no_threads_has_one() {
    deadline(20, || {
        let (engine, lane) = with_lane(0);
        assert_eq!(lane.width(), 1);
        assert_eq!(engine.task("answer").lane(&lane).compute(|| 42).wait().unwrap(), 42);
    });
}
