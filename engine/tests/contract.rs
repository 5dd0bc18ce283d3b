//! The engine's contract, line by line: errors, tokens, drops, waits.
#![allow(clippy::unwrap_used)]

mod support;

use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;
use support::deadline;
use varflow_engine::{Cause, Engine, Error, Lane, OnDrop, ReadyTask, Serial};

/// A lane that runs nothing.
struct Hole;

impl Lane for Hole {
    fn name(&self) -> &str {
        "hole"
    }

    fn submit(&self, task: ReadyTask) {
        drop(task);
    }
}

fn never(why: &str) {
    panic!("this task must not run: {why}");
}

fn pool(n: usize) -> Engine {
    Engine::builder().cpu_workers(n).build().unwrap()
}

fn engines() -> Vec<Engine> {
    vec![Engine::serial(), Engine::shuffled(7), pool(1), pool(2), pool(4)]
}

#[test]
fn poison_names_the_root_and_the_chain_each_time_until_overwritten() {
    deadline(20, || {
        for engine in engines() {
            let (a, b, c) = (engine.var(), engine.var(), engine.var());
            engine.raw("load").write(&a).run(|_| Err::<(), _>("no such file"));
            engine.raw("scale").read(&a).write(&b).run(|_| never("it reads poison"));
            engine.raw("add").read(&b).write(&c).run(|_| never("it reads poison"));
            for _ in 0..2 {
                let e = c.wait().unwrap_err();
                let f = e.failure().unwrap();
                assert_eq!(f.task().name.as_str(), "load");
                assert_eq!(f.skipped().map(|t| t.name.as_str()).collect::<Vec<_>>(), ["add", "scale"]);
                let text = e.to_string();
                assert!(
                    text.contains("\"load\"") && text.contains("no such file") && text.contains("contract.rs:"),
                    "{text}"
                );
            }
            engine.raw("touch").write(&b).run(|_| never("a write may look at the poison"));
            assert!(b.wait().is_err());
            engine.raw("replace").overwrite(&b).run(|_| ());
            b.wait().unwrap();
            engine.raw("add").read(&b).overwrite(&c).run(|_| ());
            c.wait().unwrap();
            assert!(a.wait().is_err());
        }
    });
}

#[test]
fn a_task_that_fails_while_replacing_leaves_poison() {
    deadline(20, || {
        let engine = pool(2);
        let a = engine.var();
        engine.raw("replace").overwrite(&a).run(|_| Err::<(), _>("half done"));
        assert!(a.wait().is_err());
    });
}

#[test]
fn panic_becomes_a_failure_and_the_worker_lives_on() {
    deadline(20, || {
        for engine in engines() {
            let a = engine.var();
            engine.raw("boom").write(&a).run(|_| -> () { std::panic::resume_unwind(Box::new("at 3".to_string())) });
            let e = a.wait().unwrap_err();
            assert!(matches!(e.failure().unwrap().cause(), Cause::Panicked(m) if m == "at 3"), "{e}");
            assert!(engine.wait_all().is_err());
            engine.raw("fine").overwrite(&a).run(|_| ());
            a.wait().unwrap();
            engine.wait_all().unwrap();
        }
    });
}

#[test]
fn dropped_token_is_an_error_not_a_hang() {
    deadline(20, || {
        let engine = pool(1);
        let a = engine.var();
        engine.raw("copy").write(&a).run_async(|_, token| drop(token));
        let e = a.wait().unwrap_err();
        assert!(matches!(e.failure().unwrap().cause(), Cause::TokenDropped));
        engine
            .raw("copy")
            .overwrite(&a)
            .run_async(|_, _token| std::panic::resume_unwind(Box::new("before completing")));
        let e = a.wait().unwrap_err();
        assert!(matches!(e.failure().unwrap().cause(), Cause::Panicked(_)), "{e}");
    });
}

#[test]
fn token_completes_from_another_thread() {
    deadline(20, || {
        let engine = pool(1);
        let a = engine.data(1);
        let (tx, rx) = channel::<varflow_engine::Completion>();
        engine.raw("device").write(a.var()).run_async(move |_, token| tx.send(token).unwrap());
        let b = engine.task("after").read(&a).compute(|a| a + 1);
        let token = rx.recv().unwrap();
        std::thread::sleep(Duration::from_millis(20));
        token.complete(Ok(()));
        assert_eq!(b.wait().unwrap(), 2);
    });
}

#[test]
fn two_engines_do_not_mix() {
    deadline(20, || {
        let (one, two) = (pool(1), pool(1));
        let (a, b) = (one.var(), two.var());
        two.raw("mixed").read(&a).overwrite(&b).run(|_| never("it was refused"));
        let e = b.wait().unwrap_err();
        assert!(matches!(e.failure().unwrap().cause(), Cause::ForeignVar(_)), "{e}");
        two.raw("mixed lane").lane(&one.default_lane()).overwrite(&b).run(|_| never("it was refused"));
        assert!(b.wait().is_err());
        a.wait().unwrap();
        drop(one);
        two.raw("alone").overwrite(&b).run(|_| ());
        b.wait().unwrap();
    });
}

#[test]
fn drop_drains_or_cancels() {
    deadline(30, || {
        for on_drop in [OnDrop::Drain, OnDrop::Cancel] {
            let engine = Engine::builder().cpu_workers(2).on_drop(on_drop).build().unwrap();
            let a = engine.var();
            let (ran, started) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
            for _ in 0..100 {
                let (ran, started) = (ran.clone(), started.clone());
                engine.raw("slow").write(&a).run(move |_| {
                    started.store(true, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(1));
                    ran.fetch_add(1, Ordering::SeqCst);
                });
            }
            while !started.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            drop(engine);
            let ran = ran.load(Ordering::SeqCst);
            match on_drop {
                OnDrop::Drain => assert_eq!(ran, 100),
                OnDrop::Cancel => {
                    assert!(ran < 100);
                    assert!(matches!(a.wait().unwrap_err().failure().unwrap().cause(), Cause::Cancelled));
                }
            }
        }
    });
}

#[test]
fn dropped_inside_its_own_task() {
    deadline(20, || {
        let engine = pool(1);
        let a = engine.var();
        let (tx, rx) = channel();
        let (go, wait) = channel::<()>();
        let inside = engine.clone();
        engine.raw("last owner").write(&a).run(move |_| {
            wait.recv().unwrap();
            drop(inside);
        });
        engine.raw("after").write(&a).run(move |_| tx.send(()).unwrap());
        drop(engine);
        go.send(()).unwrap();
        rx.recv().unwrap();
    });
}

#[test]
fn pushing_after_shutdown_fails() {
    deadline(20, || {
        let engine = pool(1);
        let (a, b) = (engine.var(), engine.var());
        let (tx, rx) = channel();
        engine.raw("keep").write(&a).run(move |ctx| tx.send(ctx.engine()).unwrap());
        let late = rx.recv().unwrap();
        drop(engine);
        a.wait().unwrap();
        late.raw("late").overwrite(&b).run(|_| never("it was refused"));
        assert!(matches!(b.wait().unwrap_err().failure().unwrap().cause(), Cause::ShutDown));
    });
}

#[test]
fn tasks_push_tasks_and_wait_for_them() {
    deadline(30, || {
        for engine in engines() {
            fn sum(engine: &Engine, from: u64, to: u64) -> u64 {
                if to - from == 1 {
                    return from;
                }
                let mid = from.midpoint(to);
                let part = |name: &'static str, a, b| {
                    let out = engine.data(0);
                    engine.task(name).write(&out).run_with(move |ctx, out| *out = sum(&ctx.engine(), a, b));
                    out
                };
                let (left, right) = (part("left", from, mid), part("right", mid, to));
                left.wait().unwrap() + right.wait().unwrap()
            }
            let out = engine.data(0);
            engine.task("root").write(&out).run_with(|ctx, out| *out = sum(&ctx.engine(), 0, 32));
            assert_eq!(out.wait().unwrap(), (0..32).sum());
        }
    });
}

#[test]
fn waiting_on_oneself_is_reported() {
    deadline(20, || {
        for engine in engines() {
            let (a, told) = (engine.var(), engine.data(String::new()));
            let (inner, to) = (a.clone(), told.clone());
            engine.raw("selfish").write(&a).write(told.var()).run(move |_| {
                let e = inner.wait().unwrap_err();
                assert!(matches!(e, Error::WaitCycle(_)), "{e}");
                drop(to);
                Err::<(), _>(e)
            });
            let text = a.wait().unwrap_err().to_string();
            assert!(text.contains("would never end") && text.contains("selfish"), "{text}");
        }
    });
}

#[test]
fn two_tasks_waiting_for_each_other_are_reported() {
    deadline(20, || {
        let engine = pool(2);
        let (a, b) = (engine.var(), engine.var());
        let both = Arc::new(std::sync::Barrier::new(2));
        let cycles = Arc::new(AtomicUsize::new(0));
        for (name, own, other) in [("left", &a, &b), ("right", &b, &a)] {
            let (other, both, cycles) = (other.clone(), both.clone(), cycles.clone());
            engine.raw(name).write(own).run(move |_| {
                both.wait();
                if let Err(Error::WaitCycle(text)) = other.wait() {
                    assert!(text.contains("left") && text.contains("right"), "{text}");
                    cycles.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        engine.wait_all().unwrap();
        assert_eq!(cycles.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn a_cycle_through_a_queued_task_is_reported() {
    deadline(20, || {
        let engine = pool(2);
        let (a, b) = (engine.var(), engine.var());
        let (inner, pushed) = (b.clone(), Arc::new(std::sync::Barrier::new(2)));
        let go = pushed.clone();
        engine.raw("holder").write(&a).run(move |_| {
            go.wait();
            inner.wait()
        });
        engine.raw("between").read(&a).write(&b).run(|_| ());
        pushed.wait();
        let text = a.wait().unwrap_err().to_string();
        assert!(text.contains("holder") && text.contains("between"), "{text}");
    });
}

#[test]
fn waiting_tasks_do_not_use_up_the_workers() {
    deadline(30, || {
        let engine = pool(1);
        let last = engine.var();
        let (tx, rx) = channel::<varflow_engine::Completion>();
        engine.raw("late").write(&last).run_async(move |_, token| tx.send(token).unwrap());
        for _ in 0..20 {
            let (own, last) = (engine.var(), last.clone());
            engine.raw("waiter").write(&own).run(move |_| last.wait());
        }
        let free = engine.var();
        engine.raw("free").write(&free).run(|_| ());
        free.wait().unwrap();
        rx.recv().unwrap().complete(Ok(()));
        engine.wait_all().unwrap();
    });
}

#[test]
fn wait_all_inside_a_task_is_reported() {
    deadline(20, || {
        let engine = pool(1);
        let a = engine.var();
        engine.raw("all").write(&a).run(|ctx| ctx.engine().wait_all());
        assert!(a.wait().unwrap_err().to_string().contains("would never end"));
    });
}

#[test]
fn priorities_are_honoured() {
    deadline(20, || {
        let engine = pool(1);
        let gate = engine.var();
        let (tx, rx) = channel::<()>();
        engine.raw("gate").write(&gate).run(move |_| rx.recv().unwrap());
        let order = Arc::new(std::sync::Mutex::new(Vec::new()));
        for p in [0, -5, 3, 0, 7, -1, 3] {
            let (own, order) = (engine.var(), order.clone());
            engine.raw("task").read(&gate).write(&own).priority(p).run(move |_| order.lock().unwrap().push(p));
        }
        tx.send(()).unwrap();
        engine.wait_all().unwrap();
        assert_eq!(*order.lock().unwrap(), [7, 3, 3, 0, 0, -1, -5]);
    });
}

#[test]
fn typed_values() {
    deadline(20, || {
        for engine in engines() {
            let (x, y) = (engine.data(vec![1.0; 1000]), engine.data(vec![2.0; 1000]));
            engine.task("axpy").read(&x).write(&y).run(|x, y| y.iter_mut().zip(x).for_each(|(y, x)| *y += 0.5 * x));
            let sum = engine.task("sum").read(&y).compute(|y| y.iter().sum::<f64>());
            assert_eq!(sum.wait().unwrap(), 2500.0);
            engine.task("twice").read(&y).write(&y).run(|_, _| never("it was refused"));
            let e = y.wait().unwrap_err();
            assert!(matches!(e.failure().unwrap().cause(), Cause::NamedTwice(_)), "{e}");
        }
    });
}

#[test]
fn closures_of_any_size() {
    deadline(20, || {
        for engine in engines() {
            let a = engine.data(0);
            let (small, large) = ([1_u64; 20], [1_u64; 1000]);
            engine.task("small").write(&a).run(move |a| *a += small.iter().sum::<u64>());
            engine.task("large").write(&a).run(move |a| *a += large.iter().sum::<u64>());
            engine.raw("large").write(a.var()).run_async(move |_, token| {
                assert_eq!(large.len(), 1000);
                token.complete(Ok(()));
            });
            assert_eq!(a.wait().unwrap(), 1020);
        }
    });
}

#[test]
fn a_poisoned_value_is_healed_by_replacing_it() {
    deadline(20, || {
        for engine in engines() {
            let a = engine.data(1);
            engine.task("bad").write(&a).run(|a| {
                *a = 2;
                Err::<(), _>("half done")
            });
            engine.task("touch").write(&a).run(|_| never("it may look at the poison"));
            assert!(a.wait().is_err());
            engine.task("replace").overwrite(&a).run(|a| {
                assert!(a.is_none(), "what failed left nothing to be seen");
                *a = Some(3);
            });
            assert_eq!(a.wait().unwrap(), 3);
            engine.task("forget").overwrite(&a).run(|_| ());
            assert!(a.wait().unwrap_err().to_string().contains("never written"));
            let mut recorder = engine.recorder("fill");
            engine.task("fill").overwrite(&a).record(&mut recorder, |a| *a = Some(4));
            recorder.finish().unwrap().submit();
            assert_eq!(a.wait().unwrap(), 4);
        }
    });
}

#[test]
fn a_value_whose_task_failed_was_never_written() {
    deadline(20, || {
        let engine = pool(1);
        let a = engine.data(0);
        engine.task("bad").write(&a).run(|_| Err::<(), _>("bad"));
        let b = engine.task("compute").read(&a).compute(|a| a + 1);
        assert_eq!(b.wait().unwrap_err().failure().unwrap().task().name.as_str(), "bad");
    });
}

#[test]
fn futures() {
    deadline(20, || {
        struct Unpark(std::thread::Thread);
        impl std::task::Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        fn block_on<F: IntoFuture>(f: F) -> F::Output {
            let mut f = Box::pin(f.into_future());
            let waker = Arc::new(Unpark(std::thread::current())).into();
            loop {
                if let std::task::Poll::Ready(out) = f.as_mut().poll(&mut std::task::Context::from_waker(&waker)) {
                    return out;
                }
                std::thread::park();
            }
        }
        let engine = pool(2);
        let a = engine.data(20);
        engine.task("slow").write(&a).run(|a| {
            std::thread::sleep(Duration::from_millis(20));
            *a += 1;
        });
        block_on(a.var()).unwrap();
        let b = engine.task("double").read(&a).compute(|a| a * 2);
        assert_eq!(block_on(b).unwrap(), 42);
    });
}

#[test]
fn a_lane_that_drops_its_tasks_fails_them() {
    deadline(20, || {
        let engine = pool(1);
        let hole = engine.add_lane(Hole).unwrap();
        let a = engine.var();
        engine.raw("lost").lane(&hole).overwrite(&a).run(|_| ());
        let e = a.wait().unwrap_err();
        assert!(matches!(e.failure().unwrap().cause(), Cause::LaneGaveUp(l) if l == "hole"), "{e}");
    });
}

#[test]
fn a_lane_that_drops_a_long_chain_does_so_without_recursion() {
    deadline(60, || {
        let engine = pool(1);
        let hole = engine.add_lane(Hole).unwrap();
        let a = engine.var();
        let (tx, rx) = channel::<varflow_engine::Completion>();
        engine.raw("gate").write(&a).run_async(move |_, token| tx.send(token).unwrap());
        for _ in 0..200_000 {
            engine.raw("lost").lane(&hole).write(&a).run(|_| never("its lane drops it"));
        }
        rx.recv().unwrap().complete(Ok(()));
        assert!(a.wait().is_err());
    });
}

#[test]
fn a_waiting_task_gives_way_on_every_lane_beneath_it() {
    deadline(20, || {
        let engine = pool(1);
        let serial = engine.add_lane(Serial::new("serial")).unwrap();
        let (inner, x, y) = (engine.clone(), engine.var(), engine.var());
        let late = x.clone();
        // The only worker runs both: the task on the serial lane where the other pushes it.
        engine.raw("outer").run(move |_| {
            inner.raw("late").overwrite(&late).run(|_| ());
            let other = late.clone();
            inner.raw("inner").lane(&serial).overwrite(&y).run(move |_| other.wait());
            y.wait()
        });
        engine.wait_all().unwrap();
        x.wait().unwrap();
    });
}

#[test]
fn a_task_that_waits_on_the_serial_lane_lets_later_ones_run() {
    deadline(20, || {
        let engine = Engine::serial();
        let (a, b) = (engine.var(), engine.var());
        let (tx, rx) = channel::<varflow_engine::Completion>();
        engine.raw("device").write(&a).run_async(move |_, token| tx.send(token).unwrap());
        engine.raw("after").read(&a).write(&b).run(|_| ());
        let token = rx.recv().unwrap();
        let device = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(5));
            token.complete(Ok(()));
        });
        let inner = b.clone();
        engine.raw("waits").write(&engine.var()).run(move |_| inner.wait());
        engine.wait_all().unwrap();
        device.join().unwrap();
    });
}

#[test]
fn loops_run_each_iteration_once_and_pass_panics_on() {
    deadline(30, || {
        for engine in engines() {
            let a = engine.data(vec![0_u32; 10_000]);
            engine.task("loop").write(&a).run_with(|ctx, a| {
                let cells: Vec<_> = a.iter().map(|_| AtomicUsize::new(0)).collect();
                for _ in 0..50 {
                    ctx.parallel_for(cells.len(), &|i| {
                        cells[i].fetch_add(1, Ordering::Relaxed);
                    });
                }
                assert!(cells.iter().all(|c| c.load(Ordering::Relaxed) == 50));
            });
            engine.wait_all().unwrap();
            engine.task("bad loop").write(&a).run_with(|ctx, _| {
                ctx.parallel_for(100, &|i| {
                    if i == 57 {
                        std::panic::resume_unwind(Box::new("iteration 57"));
                    }
                });
            });
            assert!(a.wait().unwrap_err().to_string().contains("iteration 57"));
        }
    });
}

#[test]
fn a_pusher_that_nobody_can_follow_is_not_held_up() {
    deadline(60, || {
        let engine = pool(2);
        let gate = engine.var();
        let (tx, rx) = channel::<varflow_engine::Completion>();
        engine.raw("gate").write(&gate).run_async(move |_, token| tx.send(token).unwrap());
        let token = rx.recv().unwrap();
        let ran = Arc::new(AtomicUsize::new(0));
        for _ in 0..50_000 {
            let ran = ran.clone();
            engine.raw("behind").read(&gate).run(move |_| {
                ran.fetch_add(1, Ordering::Relaxed);
            });
        }
        assert_eq!(ran.load(Ordering::Relaxed), 0);
        token.complete(Ok(()));
        engine.wait_all().unwrap();
        assert_eq!(ran.load(Ordering::Relaxed), 50_000);
    });
}

#[test]
fn a_long_failure_chain_is_dropped_without_recursion() {
    deadline(60, || {
        let engine = pool(1);
        let a = engine.var();
        engine.raw("root").write(&a).run(|_| Err::<(), _>("root"));
        for _ in 0..200_000 {
            engine.raw("next").write(&a).run(|_| ());
        }
        assert_eq!(a.wait().unwrap_err().failure().unwrap().skipped_len(), 200_000);
    });
}

#[test]
fn tasks_of_many_vars_find_their_way_back_from_each() {
    deadline(60, || {
        for n in [0, 1, 2, 14, 15, 16, 17, 30, 31, 100, 3000] {
            let engine = pool(2);
            let vars: Vec<_> = (0..n).map(|_| engine.var()).collect();
            let ran = Arc::new(AtomicUsize::new(0));
            for round in 0..20 {
                // One var held up at a time, so that each access in turn is the last to be granted.
                let (gate, ran) = (vars.get(round * n / 20), ran.clone());
                let (tx, rx) = channel::<varflow_engine::Completion>();
                if let Some(gate) = gate {
                    engine.raw("gate").write(gate).run_async(move |_, token| tx.send(token).unwrap());
                }
                let mut task = engine.raw("all");
                for (i, var) in vars.iter().enumerate() {
                    task = if i % 3 == 0 { task.read(var) } else { task.overwrite(var) };
                }
                task.run(move |_| {
                    ran.fetch_add(1, Ordering::SeqCst);
                });
                if gate.is_some() {
                    let token = rx.recv().unwrap();
                    token.complete(Ok(()));
                }
            }
            engine.wait_all().unwrap();
            assert_eq!(ran.load(Ordering::SeqCst), 20, "{n} vars");
        }
    });
}
