//! Cancelling tasks, and waiting for the engine as a future.
#![allow(clippy::unwrap_used)]

mod support;

use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::task::{Context, Poll, Wake, Waker};
use support::{block_on, deadline};
use varflow_engine::{CancelToken, Cancelled, Cause, Completion, Engine, Error, IdleFuture, Var};

fn never() {
    panic!("this task must not run: it was cancelled");
}

fn engines() -> Vec<Engine> {
    let pool = |n| Engine::builder().cpu_workers(n).build().unwrap();
    vec![Engine::serial(), pool(1), pool(2)]
}

fn hold(engine: &Engine, var: &Var) -> Completion {
    let (tx, rx) = channel();
    engine.raw("hold").write(var).run_async(move |_, token| tx.send(token).unwrap());
    rx.recv().unwrap()
}

fn is_cancelled(error: &Error) -> bool {
    matches!(error.failure().unwrap().cause(), Cause::Cancelled)
}

#[test]
fn what_has_not_started_fails_in_its_turn() {
    deadline(20, || {
        for engine in engines() {
            let [a, b, c, d, gate_var] = [0, 1, 2, 3, 4].map(|v| engine.data(v));
            let token = CancelToken::new();
            let (gate, first) = (hold(&engine, gate_var.var()), hold(&engine, a.var()));
            engine.task("typed").cancel_with(&token).write(&a).run(|_| never());
            engine.raw("raw").cancel_with(&token).read(gate_var.var()).overwrite(b.var()).run(|_| never());
            engine.raw("async").cancel_with(&token).read(gate_var.var()).overwrite(d.var()).run_async(|_, _| never());
            let made = engine.task("compute").cancel_with(&token).read(&c).read(&a).compute(|_, _| never());
            engine.task("after").read(&a).write(&c).run(|_, _| never());
            token.cancel();
            // It keeps its turn: what comes before it is not poisoned yet.
            assert!(a.var().poison().is_none());
            gate.complete(Ok(()));
            first.complete(Ok(()));
            for var in [a.var(), b.var(), made.var(), c.var(), d.var()] {
                let e = var.wait().unwrap_err();
                assert!(is_cancelled(&e), "{e}");
            }
            let e = c.var().wait().unwrap_err();
            assert_eq!(e.failure().unwrap().task().name.as_str(), "typed");
            assert_eq!(e.failure().unwrap().skipped_len(), 1);
            engine.raw("replace").overwrite(a.var()).run(|_| ());
            a.var().wait().unwrap();
        }
    });
}

#[test]
fn a_token_that_is_not_cancelled_changes_nothing() {
    deadline(20, || {
        for engine in engines() {
            let token = CancelToken::new();
            let a = engine.data(1);
            engine.task("add").cancel_with(&token).write(&a).run(|a| *a += 1);
            engine.raw("token").cancel_with(&token).write(a.var()).run_async(|_, done| done.complete(Ok(())));
            let large = [3_u64; 100];
            let b = engine.task("large").cancel_with(&token).read(&a).compute(move |a| a + large.iter().sum::<u64>());
            assert_eq!(b.wait().unwrap(), 302);
            engine.task("fails").cancel_with(&token).write(&a).run(|_| Err::<(), _>("by itself"));
            assert!(matches!(a.wait().unwrap_err().failure().unwrap().cause(), Cause::Failed(_)));
            assert!(!token.is_cancelled());
        }
    });
}

#[test]
fn bodies_that_run_give_up_by_themselves() {
    deadline(20, || {
        for engine in engines().into_iter().skip(1) {
            let (a, b) = (engine.data(0_u64), engine.var());
            let token = CancelToken::new();
            let (seen, (tx, rx)) = (token.clone(), channel());
            let other = tx.clone();
            engine.task("search").cancel_with(&token).write(&a).run(move |a| {
                tx.send(()).unwrap();
                loop {
                    seen.check()?;
                    *a += 1;
                    if *a == u64::MAX {
                        return Ok::<(), Cancelled>(());
                    }
                }
            });
            engine.raw("device").cancel_with(&token).write(&b).run_async(move |_, done| {
                other.send(()).unwrap();
                done.complete(Err(Cancelled.into()));
            });
            rx.recv().unwrap();
            token.cancel();
            assert!(is_cancelled(&a.wait().unwrap_err()));
            assert!(is_cancelled(&b.wait().unwrap_err()));
        }
    });
}

#[test]
fn children_are_cancelled_with_their_parents_but_not_the_other_way() {
    let parent = CancelToken::new();
    let (child, other) = (parent.child(), parent.child());
    let grandchild = child.child();
    child.cancel();
    assert!(child.is_cancelled() && grandchild.is_cancelled());
    assert!(!parent.is_cancelled() && !other.is_cancelled());
    parent.clone().cancel();
    assert!(other.is_cancelled());
    assert_eq!(other.check(), Err(Cancelled));
}

#[test]
fn what_a_cancelled_body_holds_is_dropped() {
    deadline(20, || {
        let engine = Engine::serial();
        let (a, token, held) = (engine.var(), CancelToken::new(), Arc::new(()));
        token.cancel();
        let inner = held.clone();
        engine.raw("holds").cancel_with(&token).write(&a).run(move |_| drop(inner));
        assert!(a.wait().is_err());
        assert_eq!(Arc::strong_count(&held), 1);
    });
}

struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn poll(future: &mut IdleFuture, waker: &Waker) -> Poll<Result<(), Error>> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

#[test]
fn awaiting_the_engine_is_as_waiting_for_all() {
    deadline(20, || {
        for engine in engines() {
            block_on(&engine).unwrap();
            let a = engine.data(0);
            for _ in 0..100 {
                engine.task("add").write(&a).run(|a| *a += 1);
            }
            block_on(&engine).unwrap();
            assert!(a.var().poison().is_none());
            engine.raw("fails").write(a.var()).run(|_| Err::<(), _>("no"));
            assert!(block_on(&engine).unwrap_err().to_string().contains("fails"));
            block_on(engine).unwrap();
        }
    });
}

#[test]
fn several_await_the_engine_at_once_and_leave_nothing_behind() {
    deadline(20, || {
        for engine in engines() {
            let a = engine.var();
            let count = Arc::new(Count(AtomicUsize::new(0)));
            let waker: Waker = count.clone().into();
            let token = hold(&engine, &a);
            let mut futures: Vec<_> = (0..4).map(|_| (&engine).into_future()).collect();
            for future in &mut futures {
                assert!(poll(future, &waker).is_pending());
                assert!(poll(future, &waker).is_pending());
            }
            assert_eq!(Arc::strong_count(&count), 6);
            drop(futures.pop());
            assert_eq!(Arc::strong_count(&count), 5);
            let blocked = (0..2).map(|_| {
                let engine = engine.clone();
                std::thread::spawn(move || engine.wait_all())
            });
            let blocked: Vec<_> = blocked.collect();
            token.complete(Ok(()));
            blocked.into_iter().for_each(|t| t.join().unwrap().unwrap());
            block_on(&engine).unwrap();
            assert_eq!(count.0.load(Ordering::SeqCst), 3);
            // It was idle since they asked: what is pushed now is not waited for.
            let token = hold(&engine, &a);
            for future in &mut futures {
                assert!(matches!(poll(future, &waker), Poll::Ready(Ok(()))));
            }
            token.complete(Ok(()));
        }
    });
}

#[test]
fn a_waker_that_panics_stops_nobody() {
    struct Bad;
    impl Wake for Bad {
        fn wake(self: Arc<Self>) {
            std::panic::resume_unwind(Box::new("a bad waker"));
        }
    }
    deadline(20, || {
        for engine in engines() {
            let a = engine.var();
            let token = hold(&engine, &a);
            let mut future = (&engine).into_future();
            assert!(poll(&mut future, &Arc::new(Bad).into()).is_pending());
            token.complete(Ok(()));
            engine.wait_all().unwrap();
        }
    });
}

#[test]
fn awaiting_the_engine_inside_its_own_task_is_reported() {
    deadline(20, || {
        for engine in engines() {
            let (a, other) = (engine.var(), Engine::builder().cpu_workers(1).build().unwrap());
            engine.raw("selfish").write(&a).run(move |ctx| {
                block_on(&other)?;
                other.wait_all()?;
                block_on(ctx.engine())
            });
            let text = a.wait().unwrap_err().to_string();
            assert!(text.contains("engine.await is called inside task \"selfish\""), "{text}");
        }
    });
}

#[test]
fn a_wait_inside_another_engines_task() {
    deadline(20, || {
        let (one, two) = (Engine::serial(), Engine::builder().cpu_workers(1).cpu_workers(1).build().unwrap());
        let last = two.add_lane(varflow_engine::Pool::start("last", 1).unwrap()).unwrap();
        let (a, b) = (one.var(), two.var());
        let token = hold(&one, &a);
        two.raw("waits").lane(&last).write(&b).run(move |_| a.wait());
        token.complete(Ok(()));
        b.wait().unwrap();
    });
}
