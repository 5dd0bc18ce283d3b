//! Code that means no good to the engine: drops that panic or let go of the engine, lanes shared between engines, waits
//! after the end of a task, vars that change hands while they are named.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;
use support::deadline;
use varflow_engine::{Cause, Completion, Engine, Error, Fence, Lane, Pool, ReadyTask, Signal, Var};

fn pool(n: usize) -> Engine {
    Engine::builder().cpu_workers(n).build().unwrap()
}

/// One pool behind lanes of several engines.
struct Shared(Arc<Pool>);

impl Lane for Shared {
    fn name(&self) -> &str {
        self.0.name()
    }
    fn submit(&self, task: ReadyTask) {
        self.0.submit(task);
    }
    fn width(&self) -> usize {
        self.0.width()
    }
    fn begin_block(&self) -> Result<(), Error> {
        self.0.begin_block()
    }
    fn end_block(&self) {
        self.0.end_block();
    }
}

#[test]
fn a_pool_serves_several_engines() {
    deadline(60, || {
        let shared = Arc::new(Pool::start("shared", 2).unwrap());
        let stays = Engine::builder().lane(Shared(shared.clone())).build().unwrap();
        let total = stays.data(0_usize);
        for round in 0..20 {
            let goes = Engine::builder().lane(Shared(shared.clone())).cpu_workers(1).build().unwrap();
            let (sum, other) = (goes.data(0_usize), goes.default_lane());
            for i in 0..500 {
                stays.task("stays").write(&total).run(|n| *n += 1);
                goes.task("goes").lane(&other).write(&sum).run(move |n| *n += i);
            }
            assert_eq!(sum.wait().unwrap(), (0..500).sum::<usize>());
            goes.wait_all().unwrap();
            drop((sum, other, goes));
            assert_eq!(total.wait().unwrap(), 500 * (round + 1));
        }
    });
}

#[test]
fn a_pool_has_at_least_one_worker() {
    deadline(20, || {
        let engine = Engine::builder().lane(Pool::start("none", 0).unwrap()).build().unwrap();
        let x = engine.data(1);
        engine.task("double").write(&x).run(|x| *x *= 2);
        assert_eq!((x.wait().unwrap(), engine.default_lane().width()), (2, 1));
    });
}

/// Waits long enough for the wait to be looked into.
fn wait_long(engine: &Engine, var: &Var) -> Result<(), Error> {
    engine.raw("slow").overwrite(var).run(|_| std::thread::sleep(Duration::from_millis(30)));
    var.wait()
}

#[test]
fn a_body_waits_after_its_token_was_used() {
    deadline(60, || {
        for recorded in [false, true] {
            let engine = pool(2);
            let (told, results) = mpsc::channel();
            let told = Mutex::new(told);
            let body = {
                let slow = engine.var();
                move |ctx: &varflow_engine::TaskCtx<'_>, token: Completion| {
                    token.complete(Ok(()));
                    told.lock().unwrap().send(wait_long(&ctx.engine(), &slow)).unwrap();
                }
            };
            // The vars go with the task, so that there is nothing left to be looked at.
            if recorded {
                let mut recorder = engine.recorder("once");
                let (a, b) = (engine.var(), recorder.var());
                engine.raw("early").write(&a).write(&b).record_async(&mut recorder, body);
                recorder.finish().unwrap().submit();
            } else {
                let (a, b) = (engine.var(), engine.var());
                engine.raw("early").write(&a).write(&b).run_async(body);
            }
            results.recv().unwrap().unwrap();
            engine.wait_all().unwrap();
        }
    });
}

#[test]
fn a_token_is_used_while_the_wait_of_its_body_is_looked_into() {
    deadline(60, || {
        let engine = pool(4);
        for round in 0..60 {
            let (tx, rx) = mpsc::channel::<Completion>();
            let finisher = std::thread::spawn(move || {
                let token = rx.recv().unwrap();
                std::thread::sleep(Duration::from_micros(4700 + 13 * round));
                token.complete(Ok(()));
            });
            let (a, slow, done) = (engine.var(), engine.var(), engine.var());
            let (blocker, unblock) = mpsc::channel::<()>();
            engine.raw("slow").overwrite(&slow).run(move |_| unblock.recv().unwrap_or(()));
            engine.raw("sends").write(&a).run_async(move |_, token| {
                tx.send(token).unwrap();
                slow.wait().unwrap();
            });
            for _ in 0..20 {
                engine.raw("behind").write(&a).run(|_| ());
            }
            engine.raw("behind").read(&a).overwrite(&done).run(|_| ());
            drop(a);
            finisher.join().unwrap();
            drop(blocker);
            done.wait().unwrap();
        }
        engine.wait_all().unwrap();
    });
}

#[test]
fn a_true_cycle_is_told_while_the_token_is_not_used() {
    deadline(30, || {
        let engine = pool(2);
        let (x, y) = (engine.var(), engine.var());
        let (go, start) = mpsc::channel::<()>();
        let behind = y.clone();
        engine.raw("waits").write(&x).run_async(move |_, token| {
            start.recv().unwrap();
            token.complete(behind.wait().map_err(Into::into));
        });
        engine.raw("behind").read(&x).write(&y).run(|_| ());
        go.send(()).unwrap();
        let text = x.wait().unwrap_err().to_string();
        assert!(text.contains("never end"), "{text}");
    });
}

#[test]
fn a_var_kept_inside_between_description_and_push() {
    deadline(60, || {
        let engine = Engine::builder().cpu_workers(2).max_pending_tasks(1).build().unwrap();
        let data = engine.data(0);
        let (tx, rx) = mpsc::channel::<Completion>();
        engine.raw("first").run_async(move |_, token| tx.send(token).unwrap());
        let token = rx.recv().unwrap();
        // Named while outside, pushed when there is room again.
        let intruder = {
            let (engine, data) = (engine.clone(), data.clone());
            std::thread::spawn(move || engine.task("intruder").write(&data).run(|n| *n = 1))
        };
        std::thread::sleep(Duration::from_millis(100));
        let mut recorder = engine.recorder("owner");
        recorder.keep_inside(data.var());
        let out = engine.data(0);
        engine.task("own").write(&data).write(&out).record(&mut recorder, |n, out| *out = *n);
        let owner = recorder.finish().unwrap();
        token.complete(Ok(()));
        intruder.join().unwrap();
        let e = engine.wait_all().unwrap_err();
        assert!(matches!(e.failure().unwrap().cause(), Cause::InsideVar(_)), "{e}");
        drop(owner);
        let e = data.wait().unwrap_err();
        assert_eq!(e.failure().unwrap().task().name.as_str(), "intruder");
    });
}

/// Panics when it is dropped, once.
struct Bomb(Arc<AtomicUsize>);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
        std::panic::resume_unwind(Box::new("dropped"));
    }
}

impl std::fmt::Debug for Bomb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a bomb")
    }
}

impl std::fmt::Display for Bomb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a bomb")
    }
}

impl std::error::Error for Bomb {}

#[test]
fn drops_that_panic() {
    deadline(60, || {
        for engine in [Engine::serial(), pool(1)] {
            let dropped = Arc::new(AtomicUsize::new(0));
            let bomb = || Bomb(dropped.clone());
            let x = engine.var();
            // A closure that runs, one that is skipped, an error, what a panic carries, a schedule's closure.
            let b = bomb();
            engine.raw("runs").overwrite(&x).run(move |_| drop(b));
            let b = bomb();
            engine.raw("skipped").write(&x).run(move |_| drop(b));
            let b = bomb();
            engine.raw("fails").overwrite(&x).run(move |_| Err::<(), _>(b));
            engine.raw("heals").overwrite(&x).run(|_| ());
            let _ = engine.wait_all();
            let b = bomb();
            engine.raw("panics").overwrite(&x).run(move |_| -> () { std::panic::resume_unwind(Box::new(b)) });
            let b = bomb();
            engine.raw("panics").overwrite(&x).run_async(move |_, _| std::panic::resume_unwind(Box::new(b)));
            assert!(x.wait().is_err());
            for is_async in [false, true] {
                let (go, start) = mpsc::channel::<()>();
                let start = Mutex::new(start);
                let mut recorder = engine.recorder("once");
                let b = bomb();
                let task = engine.raw("recorded").overwrite(&x);
                let first = engine.var();
                engine.raw("holds").write(&first).run_async(move |_, token| {
                    std::thread::spawn(move || {
                        start.lock().unwrap().recv().unwrap();
                        token.complete(Ok(()));
                    });
                });
                if is_async {
                    task.read(&first).record_async(&mut recorder, move |_, token| {
                        let _ = &b;
                        token.complete(Ok(()));
                    });
                } else {
                    task.read(&first).record(&mut recorder, move |_| {
                        let _ = &b;
                    });
                }
                let once = recorder.finish().unwrap();
                once.submit();
                drop(once);
                go.send(()).unwrap();
                x.wait().unwrap();
            }
            let _ = engine.wait_all();
            drop((x, engine));
            // On the serial lane a schedule's closure may go a moment after its last task is done.
            while dropped.load(Ordering::SeqCst) < 7 {
                std::thread::yield_now();
            }
        }
    });
}

/// Tells when it is dropped.
struct Told(mpsc::Sender<()>);

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

/// A lane that ends when the engine has closed.
struct Ends(Told, Pool, AtomicBool);

impl Lane for Ends {
    fn name(&self) -> &str {
        "ends"
    }
    fn submit(&self, task: ReadyTask) {
        self.1.submit(task);
    }
    fn shutdown(&self) {
        self.2.store(true, Ordering::Relaxed);
        let _ = self.0.0.send(());
        self.1.shutdown();
    }
}

#[test]
fn the_last_handle_goes_with_a_closure_that_is_dropped() {
    deadline(60, || {
        for way in 0..3 {
            let (tx, closed) = mpsc::channel();
            let lane = Ends(Told(tx), Pool::start("ends", 1).unwrap(), AtomicBool::new(false));
            let engine = Engine::builder().lane(lane).build().unwrap();
            let (go, start) = mpsc::channel::<()>();
            let (x, y) = (engine.var(), engine.var());
            engine.raw("fails").overwrite(&x).run(move |_| {
                start.recv().unwrap();
                Err::<(), _>("fails")
            });
            let last = engine.clone();
            match way {
                0 => engine.raw("skipped").write(&x).run(move |_| drop(last)),
                _ => {
                    let mut recorder = engine.recorder("once");
                    if way == 1 {
                        engine.raw("recorded").write(&x).record(&mut recorder, move |_| {
                            let _ = &last;
                        });
                    } else {
                        engine.raw("recorded").overwrite(&x).record_async(&mut recorder, move |_, token| {
                            let _ = &last;
                            token.complete(Ok(()));
                        });
                    }
                    recorder.finish().unwrap().submit();
                }
            }
            engine.raw("after").read(&x).overwrite(&y).run(|_| ());
            drop((engine, x, y));
            go.send(()).unwrap();
            closed.recv().unwrap();
        }
    });
}

/// A lane whose device fires when it is told to.
struct Device;

struct Event(Mutex<Option<Signal>>);

impl Event {
    fn new() -> Arc<Event> {
        Arc::new(Event(Mutex::new(None)))
    }

    fn fire(&self, result: Result<(), varflow_engine::BoxError>) {
        let signal = self.0.lock().unwrap().take().unwrap();
        signal.fire(result);
    }
}

impl Fence for Event {
    fn on_fire(self: Arc<Self>, signal: Signal) {
        *self.0.lock().unwrap() = Some(signal);
    }
}

impl Lane for Device {
    fn name(&self) -> &str {
        "device"
    }
    fn submit(&self, task: ReadyTask) {
        task.run();
    }
    fn understands(&self, _: &dyn Fence) -> bool {
        true
    }
}

#[test]
fn what_fails_on_the_device_while_the_next_is_issued_reaches_it() {
    deadline(30, || {
        for recorded in [false, true] {
            let engine = Engine::builder().lane(Device).build().unwrap();
            let (x, y) = (engine.var(), engine.var());
            let (first, second) = (Event::new(), Event::new());
            let fence = first.clone();
            engine.raw("kernel").overwrite(&x).run_async(move |_, token| token.fence(fence));
            let (fails, fence) = (first, second.clone());
            let body = move |token: Completion| {
                fails.fire(Err("illegal address".into()));
                token.fence(fence.clone());
            };
            if recorded {
                let mut recorder = engine.recorder("once");
                engine.raw("next").read(&x).overwrite(&y).record_async(&mut recorder, move |_, token| body(token));
                recorder.finish().unwrap().submit();
            } else {
                engine.raw("next").read(&x).overwrite(&y).run_async(move |_, token| body(token));
            }
            second.fire(Ok(()));
            let e = y.wait().unwrap_err();
            assert_eq!(e.failure().unwrap().task().name.as_str(), "kernel");
        }
    });
}

#[test]
fn issued_runs_stay_on_the_ledger_until_their_fences_fire() {
    deadline(30, || {
        let engine = Engine::builder().lane(Device).max_pending_tasks(2).build().unwrap();
        let events = Arc::new(Mutex::new(Vec::new()));
        let mut recorder = engine.recorder("step");
        let (x, issued) = (engine.var(), events.clone());
        engine.raw("kernel").write(&x).record_async(&mut recorder, move |_, token| {
            let event = Event::new();
            issued.lock().unwrap().push(event.clone());
            token.fence(event);
        });
        let step = recorder.finish().unwrap();
        step.submit();
        step.submit();
        let (submitted, third) = mpsc::channel();
        let pusher = std::thread::spawn(move || {
            step.submit();
            submitted.send(()).unwrap();
        });
        assert!(third.recv_timeout(Duration::from_millis(100)).is_err(), "a third run beside two that are pending");
        events.lock().unwrap()[0].fire(Ok(()));
        third.recv().unwrap();
        pusher.join().unwrap();
        for event in events.lock().unwrap().iter().skip(1) {
            event.fire(Ok(()));
        }
        engine.wait_all().unwrap();
    });
}

#[test]
fn a_var_is_one_schedules_own_or_everybodys() {
    deadline(30, || {
        let engine = pool(2);
        let data = engine.data(0);
        let mut uses = engine.recorder("uses");
        engine.task("t").write(&data).record(&mut uses, |n| *n += 1);
        let owns = |name: &str| {
            let mut owner = engine.recorder(name.to_string());
            owner.keep_inside(data.var());
            engine.task("t").write(&data).record(&mut owner, |n| *n += 1);
            owner.finish()
        };
        // Used by one that is being recorded, by one that is recorded, and by nobody.
        assert!(owns("first").unwrap_err().to_string().contains("another schedule"));
        let uses = uses.finish().unwrap();
        assert!(owns("second").unwrap_err().to_string().contains("another schedule"));
        uses.submit();
        uses.wait().unwrap();
        assert_eq!(data.wait().unwrap(), 1);
        drop(uses);
        let owner = owns("third").unwrap();
        owner.submit();
        owner.wait().unwrap();
        drop(owner);
        assert_eq!(data.wait().unwrap(), 2);
    });
}

#[test]
fn a_var_goes_inside_with_what_it_was_left_by() {
    deadline(30, || {
        let engine = Engine::builder().lane(Device).cpu_workers(1).build().unwrap();
        let (x, out) = (engine.var(), engine.var());
        let event = Event::new();
        let fence = event.clone();
        engine.raw("kernel").overwrite(&x).run_async(move |_, token| token.fence(fence));
        let owns = |name: &str| {
            let mut owner = engine.recorder(name.to_string());
            owner.keep_inside(&x);
            engine.raw("next").read(&x).overwrite(&out).record(&mut owner, |_| ());
            owner.finish()
        };
        assert!(owns("early").unwrap_err().to_string().contains("unfinished"));
        event.fire(Err("illegal address".into()));
        let owner = owns("late").unwrap();
        owner.submit();
        assert_eq!(out.wait().unwrap_err().failure().unwrap().task().name.as_str(), "kernel");
        assert!(owner.wait().is_err());
    });
}
