//! Model checks of the var queue under its lock and of the wait and wake protocol: every interleaving of small programs.
//! Run with `RUSTFLAGS="--cfg loom" cargo test --release -p varflow-engine --test loom`.
#![cfg(loom)]
#![allow(clippy::unwrap_used)]
#![expect(unsafe_code, reason = "loom watches a bare cell")]

use loom::cell::UnsafeCell;
use loom::sync::Notify;
use loom::thread;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use varflow_engine::{Engine, Serial, Var, WatchOptions};

/// A counter that loom watches: touching it without the engine's ordering fails the check.
#[derive(Clone)]
struct Counter(Arc<UnsafeCell<u32>>, Var);

// SAFETY: loom itself checks that accesses are ordered.
unsafe impl Send for Counter {}
// SAFETY: as above.
unsafe impl Sync for Counter {}

impl Counter {
    fn new(engine: &Engine) -> Self {
        Counter(Arc::new(UnsafeCell::new(0)), engine.var())
    }

    fn add(&self) {
        // SAFETY: the task that calls this writes the var.
        self.0.with_mut(|c| unsafe { *c += 1 });
    }

    fn look(&self) -> u32 {
        // SAFETY: the caller reads the var, or has waited for it.
        self.0.with(|c| unsafe { *c })
    }
}

/// A task that another thread finishes, after it has added one.
fn add_elsewhere(engine: &Engine, counter: &Counter) {
    let inner = counter.clone();
    engine.raw("device").write(&counter.1).run_async(move |_, token| {
        thread::spawn(move || {
            inner.add();
            token.complete(Ok(()));
        });
    });
}

fn check(body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(body);
}

#[test]
fn two_pushers_name_two_vars_in_opposite_order() {
    check(|| {
        let engine = Engine::serial();
        let (a, b) = (Counter::new(&engine), Counter::new(&engine));
        let push = |engine: &Engine, x: &Counter, y: &Counter| {
            let (p, q) = (x.clone(), y.clone());
            engine.raw("add").write(&x.1).write(&y.1).run(move |_| {
                p.add();
                q.add();
            });
        };
        let other = {
            let (engine, a, b) = (engine.clone(), a.clone(), b.clone());
            thread::spawn(move || push(&engine, &b, &a))
        };
        push(&engine, &a, &b);
        other.join().unwrap();
        a.1.wait().unwrap();
        b.1.wait().unwrap();
        assert_eq!((a.look(), b.look()), (2, 2));
    });
}

#[test]
fn readers_run_between_writers() {
    check(|| {
        let engine = Engine::serial();
        let a = Counter::new(&engine);
        let (reader, writer) = (a.clone(), a.clone());
        let other = {
            let (engine, inner) = (engine.clone(), reader.clone());
            thread::spawn(move || engine.raw("look").read(&reader.1).run(move |_| assert!(inner.look() <= 1)))
        };
        engine.raw("add").write(&a.1).run(move |_| writer.add());
        other.join().unwrap();
        engine.wait_all().unwrap();
        assert_eq!(a.look(), 1);
    });
}

#[test]
fn a_token_completed_elsewhere_wakes_the_waiter() {
    check(|| {
        let engine = Engine::serial();
        let a = Counter::new(&engine);
        add_elsewhere(&engine, &a);
        a.1.wait().unwrap();
        assert_eq!(a.look(), 1);
    });
}

#[test]
fn a_dropped_token_wakes_the_waiter() {
    check(|| {
        let engine = Engine::serial();
        let a = engine.var();
        engine.raw("device").write(&a).run_async(move |_, token| {
            thread::spawn(move || drop(token));
        });
        assert!(a.wait().is_err());
    });
}

#[test]
fn dropping_the_engine_waits_for_all() {
    check(|| {
        let engine = Engine::serial();
        let a = Counter::new(&engine);
        add_elsewhere(&engine, &a);
        drop(engine);
        assert_eq!(a.look(), 1);
    });
}

struct Wakeup(Notify);

impl Wake for Wakeup {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

fn block_on<F: Future + Unpin>(mut future: F) -> F::Output {
    let wakeup = Arc::new(Wakeup(Notify::new()));
    let waker = wakeup.clone().into();
    loop {
        if let Poll::Ready(out) = Pin::new(&mut future).poll(&mut Context::from_waker(&waker)) {
            return out;
        }
        wakeup.0.wait();
    }
}

/// An engine with room for one task, and that task, which a thread finishes.
fn full_engine() -> (Engine, Counter) {
    let engine = Engine::builder().lane(Serial::new("serial")).max_pending_tasks(1).build().unwrap();
    let a = Counter::new(&engine);
    add_elsewhere(&engine, &a);
    (engine, a)
}

#[test]
fn a_pusher_that_waits_for_room_is_woken() {
    check(|| {
        let (engine, a) = full_engine();
        let b = Counter::new(&engine);
        let inner = b.clone();
        engine.raw("waits for room").write(&b.1).run(move |_| inner.add());
        b.1.wait().unwrap();
        a.1.wait().unwrap();
        assert_eq!((a.look(), b.look()), (1, 1));
    });
}

#[test]
fn room_that_is_waited_for_comes() {
    check(|| {
        let (engine, a) = full_engine();
        let inner = a.clone();
        let room = block_on(engine.room());
        engine.raw("add").room(room).write(&a.1).run(move |_| inner.add());
        a.1.wait().unwrap();
        assert_eq!(a.look(), 2);
    });
}

#[test]
fn a_future_dropped_as_room_comes_passes_it_on() {
    check(|| {
        let (engine, a) = full_engine();
        let mut future = engine.room();
        let first = poll(&mut future);
        drop(future);
        drop(first);
        engine.raw("waits for room").write(&a.1).run(|_| ());
        a.1.wait().unwrap();
    });
}

#[test]
fn awaiting_the_engine_wakes() {
    check(|| {
        let engine = Engine::serial();
        let a = Counter::new(&engine);
        add_elsewhere(&engine, &a);
        block_on((&engine).into_future()).unwrap();
        assert_eq!(a.look(), 1);
    });
}

#[test]
fn several_await_the_engine_and_one_gives_up() {
    check(|| {
        let engine = Engine::serial();
        let a = Counter::new(&engine);
        add_elsewhere(&engine, &a);
        let mut gives_up = (&engine).into_future();
        let _ = poll(&mut gives_up);
        let waits = (&engine).into_future();
        drop(gives_up);
        block_on(waits).unwrap();
        assert_eq!(a.look(), 1);
    });
}

#[test]
fn a_task_that_waits_on_the_serial_lane_gives_way() {
    check(|| {
        let engine = Engine::serial();
        let (a, b) = (Counter::new(&engine), Counter::new(&engine));
        let (first, second, seen) = (a.clone(), a.clone(), a.clone());
        engine.raw("device").write(&a.1).run_async(move |_, token| {
            thread::spawn(move || {
                first.add();
                token.complete(Ok(()));
            });
        });
        engine.raw("after").write(&a.1).run(move |_| second.add());
        engine.raw("waits").write(&b.1).run(move |_| {
            seen.1.wait().unwrap();
            assert_eq!(seen.look(), 2);
        });
        b.1.wait().unwrap();
    });
}

#[test]
fn what_a_shuffled_lane_keeps_back_runs_when_waits_begin() {
    check(|| {
        let engine = Engine::shuffled(0);
        let a = Counter::new(&engine);
        let other = {
            let (engine, a) = (engine.clone(), a.clone());
            thread::spawn(move || {
                let inner = a.clone();
                engine.raw("add").write(&a.1).run(move |_| inner.add());
                a.1.wait().unwrap();
            })
        };
        let inner = a.clone();
        engine.raw("add").write(&a.1).run(move |_| inner.add());
        a.1.wait().unwrap();
        other.join().unwrap();
        assert_eq!(a.look(), 2);
    });
}

#[test]
fn a_watch_begins_drains_and_ends_while_tasks_run() {
    check(|| {
        let engine = Engine::serial();
        let a = Counter::new(&engine);
        let other = {
            let (engine, a) = (engine.clone(), a.clone());
            thread::spawn(move || {
                let inner = a.clone();
                engine.raw("add").write(&a.1).run(move |_| inner.add());
            })
        };
        let mut watch = engine.observe(WatchOptions::default()).unwrap();
        let before = watch.drain().events.len();
        other.join().unwrap();
        let trace = watch.stop();
        assert!(before + trace.events.len() <= 4 && trace.lost == 0);
        assert!(a.look() == 1);
    });
}
