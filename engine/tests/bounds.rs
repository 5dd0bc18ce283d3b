//! Back-pressure: how much may be pending, in tasks and in bytes, and who waits for room.
#![allow(clippy::unwrap_used)]

mod support;

use proptest::prelude::*;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use support::{Memory, deadline, execute, interpret, programs};
use varflow_engine::{Cause, Completion, Engine, Room, RoomFuture, Var};

const A_WHILE: Duration = Duration::from_millis(50);

struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn counter() -> (Arc<Count>, Waker) {
    let count = Arc::new(Count(AtomicUsize::new(0)));
    (count.clone(), count.into())
}

fn poll<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

fn bounded(tasks: usize) -> Engine {
    Engine::builder().cpu_workers(2).max_pending_tasks(tasks).build().unwrap()
}

/// Pushes a task that is pending until its token is used.
fn hold(engine: &Engine, var: &Var) -> Completion {
    let (tx, rx) = channel();
    engine.raw("hold").write(var).run_async(move |_, token| tx.send(token).unwrap());
    rx.recv().unwrap()
}

/// Calls `push` on a thread; checks that it waits until `go` is called.
fn waits_until(push: impl FnOnce() + Send + 'static, go: impl FnOnce()) {
    let (tx, rx) = channel();
    let pusher = std::thread::spawn(move || {
        push();
        let _ = tx.send(());
    });
    assert_eq!(rx.recv_timeout(A_WHILE), Err(RecvTimeoutError::Timeout), "the push did not wait");
    go();
    rx.recv().unwrap();
    pusher.join().unwrap();
}

#[test]
fn a_push_waits_for_a_task_to_finish() {
    deadline(20, || {
        let engine = bounded(2);
        let (a, b, c) = (engine.var(), engine.var(), engine.var());
        let (first, second) = (hold(&engine, &a), hold(&engine, &b));
        let inner = engine.clone();
        waits_until(move || inner.raw("third").write(&c).run(|_| ()), || first.complete(Ok(())));
        second.complete(Ok(()));
        engine.wait_all().unwrap();
    });
}

#[test]
fn sized_vars_that_are_written_count_their_bytes() {
    deadline(20, || {
        let engine = Engine::builder().cpu_workers(2).max_pending_bytes(100).build().unwrap();
        let (a, b, c) = (engine.sized_var(60), engine.sized_var(40), engine.sized_data(0, 1));
        let (first, second) = (hold(&engine, &a), hold(&engine, &b));
        // Neither reads nor vars without a size count.
        let unsized_one = engine.var();
        engine.raw("free").read(&a).overwrite(&unsized_one).run(|_| ());
        let (inner, to) = (engine.clone(), c.clone());
        waits_until(move || inner.task("one more").write(&to).run(|c| *c = 1), || second.complete(Ok(())));
        assert_eq!(c.wait().unwrap(), 1);
        first.complete(Ok(()));
        engine.wait_all().unwrap();
    });
}

#[test]
fn a_task_larger_than_the_bound_goes_alone() {
    deadline(20, || {
        let engine = Engine::builder().cpu_workers(2).max_pending_bytes(100).build().unwrap();
        let (small, large, other) = (engine.sized_var(1), engine.sized_var(usize::MAX), engine.sized_var(1));
        let first = hold(&engine, &small);
        let (inner, to) = (engine.clone(), large.clone());
        waits_until(move || inner.raw("large").write(&to).run(|_| ()), || first.complete(Ok(())));
        large.wait().unwrap();
        let token = hold(&engine, &large);
        let inner = engine.clone();
        waits_until(move || inner.raw("after").write(&other).run(|_| ()), || token.complete(Ok(())));
        engine.wait_all().unwrap();
    });
}

#[test]
fn who_waits_for_bytes_holds_up_nobody_who_needs_none() {
    deadline(20, || {
        let engine = Engine::builder().cpu_workers(2).max_pending_bytes(10).max_pending_tasks(8).build().unwrap();
        let (a, b, c) = (engine.sized_var(10), engine.sized_var(10), engine.var());
        let first = hold(&engine, &a);
        let inner = engine.clone();
        let free = engine.clone();
        waits_until(
            move || inner.raw("large").write(&b).run(|_| ()),
            move || {
                free.raw("free").write(&c).run(|_| ());
                c.wait().unwrap();
                first.complete(Ok(()));
            },
        );
        engine.wait_all().unwrap();
    });
}

#[test]
fn pushes_inside_tasks_and_waits_are_never_held_up() {
    deadline(20, || {
        let engine = bounded(1);
        let (a, x) = (engine.var(), engine.data(5));
        engine.raw("parent").write(&a).run(|ctx| {
            let engine = ctx.engine();
            let vars: Vec<_> = (0..100).map(|_| engine.var()).collect();
            vars.iter().for_each(|v| engine.raw("child").write(v).run(|_| ()));
            vars.iter().try_for_each(Var::wait)
        });
        a.wait().unwrap();
        let token = hold(&engine, &a);
        assert_eq!(x.wait().unwrap(), 5);
        engine.var().wait().unwrap();
        token.complete(Ok(()));
        engine.wait_all().unwrap();
    });
}

#[test]
fn refused_and_failed_tasks_give_their_room_back() {
    deadline(20, || {
        let (engine, other) = (bounded(1), bounded(1));
        let (a, foreign) = (engine.sized_var(3), other.var());
        for _ in 0..20 {
            engine.raw("mixed").read(&foreign).overwrite(&a).run(|_| ());
            engine.raw("fails").overwrite(&a).run(|_| Err::<(), _>("no"));
            engine.raw("skipped").write(&a).run(|_| ());
            drop(engine.raw("never run").write(&a));
        }
        assert!(engine.wait_all().is_err());
    });
}

#[test]
fn room_is_waited_for_in_turn_and_given_back() {
    deadline(20, || {
        let engine = bounded(1);
        let (a, b) = (engine.var(), engine.var());
        let (count, waker) = counter();
        let token = hold(&engine, &a);
        let (mut first, mut second) = (engine.room(), engine.room());
        assert!(poll(&mut first, &waker).is_pending() && poll(&mut second, &waker).is_pending());
        token.complete(Ok(()));
        a.wait().unwrap();
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        assert!(poll(&mut second, &waker).is_pending());
        let Poll::Ready(room) = poll(&mut first, &waker) else { panic!("the first in line has room") };
        engine.raw("takes it").room(room).write(&b).run(|_| ());
        engine.wait_all().unwrap();
        let Poll::Ready(room) = poll(&mut second, &waker) else { panic!("the second in line has room") };
        assert!(poll(&mut engine.room(), &waker).is_pending());
        drop(room);
        assert!(poll(&mut engine.room(), &waker).is_ready());
    });
}

#[test]
fn dropped_futures_leave_nothing_behind() {
    deadline(20, || {
        let engine = bounded(1);
        let a = engine.var();
        let (count, waker) = counter();
        let token = hold(&engine, &a);
        let (mut gone, mut stays, mut granted) = (engine.room(), engine.room(), engine.room());
        for future in [&mut gone, &mut granted, &mut stays] {
            assert!(poll(future, &waker).is_pending());
        }
        drop(gone);
        assert_eq!(Arc::strong_count(&count), 4);
        token.complete(Ok(()));
        a.wait().unwrap();
        // Granted but never asked again: its place passes on to the next.
        drop(granted);
        assert_eq!(count.0.load(Ordering::SeqCst), 2);
        assert!(poll(&mut stays, &waker).is_ready());
    });
}

#[test]
fn a_large_one_that_gives_up_lets_the_smaller_ones_go() {
    deadline(20, || {
        let engine = Engine::builder().cpu_workers(1).max_pending_bytes(10).build().unwrap();
        let a = engine.sized_var(5);
        let (_, waker) = counter();
        let token = hold(&engine, &a);
        let (mut large, mut small) = (engine.room().bytes(10), engine.room().bytes(5));
        assert!(poll(&mut large, &waker).is_pending() && poll(&mut small, &waker).is_pending());
        drop(large);
        assert!(poll(&mut small, &waker).is_ready());
        token.complete(Ok(()));
    });
}

#[test]
fn room_counts_what_the_task_writes() {
    deadline(20, || {
        let engine = Engine::builder().cpu_workers(1).max_pending_bytes(10).build().unwrap();
        let (a, b) = (engine.sized_var(4), engine.sized_var(10));
        let (_, waker) = counter();
        let Poll::Ready(room) = poll(&mut engine.room().bytes(10), &waker) else { panic!("nothing is pending") };
        let (tx, rx) = channel::<Completion>();
        engine.raw("smaller").room(room).write(&a).run_async(move |_, token| tx.send(token).unwrap());
        let token = rx.recv().unwrap();
        let Poll::Ready(room) = poll(&mut engine.room().bytes(6), &waker) else { panic!("6 bytes are free") };
        engine.raw("larger").room(room).write(&b).run(|_| ());
        b.wait().unwrap();
        token.complete(Ok(()));
        engine.wait_all().unwrap();
        assert!(poll(&mut engine.room().bytes(10), &waker).is_ready());
    });
}

#[test]
fn room_of_another_engine_is_refused() {
    deadline(20, || {
        let (one, two) = (bounded(1), bounded(1));
        let (_, waker) = counter();
        let a = two.var();
        let Poll::Ready(room) = poll(&mut one.room(), &waker) else { panic!("nothing is pending") };
        two.raw("stray").room(room).overwrite(&a).run(|_| ());
        let e = a.wait().unwrap_err();
        assert!(matches!(e.failure().unwrap().cause(), Cause::ForeignVar(v) if v.contains("room")), "{e}");
        assert!(poll(&mut one.room(), &waker).is_ready());
    });
}

#[test]
fn without_a_bound_there_always_is_room() {
    let engine = Engine::serial();
    let (_, waker) = counter();
    let rooms: Vec<Poll<Room>> = (0..100).map(|_| poll(&mut engine.room().bytes(1 << 40), &waker)).collect();
    assert!(rooms.iter().all(Poll::is_ready));
}

#[test]
fn futures_and_places_can_be_sent() {
    fn is_send<T: Send + Unpin>() {}
    is_send::<RoomFuture>();
    is_send::<Room>();
    is_send::<varflow_engine::IdleFuture>();
}

#[test]
fn an_engine_that_closes_lets_blocked_pushers_go() {
    deadline(20, || {
        let engine = bounded(1);
        let (a, b) = (engine.var(), engine.var());
        let (tx, rx) = channel();
        engine.raw("hand out").write(&a).run_async(move |ctx, token| tx.send((ctx.engine(), token)).unwrap());
        let (inside, token) = rx.recv().unwrap();
        let (blocked, to) = (Arc::new(AtomicBool::new(true)), b.clone());
        let still = blocked.clone();
        let pusher = std::thread::spawn(move || {
            inside.raw("late").overwrite(&to).run(|_| ());
            still.store(false, Ordering::SeqCst);
        });
        std::thread::sleep(A_WHILE);
        let closer = std::thread::spawn(move || drop(engine));
        assert!(blocked.load(Ordering::SeqCst));
        token.complete(Ok(()));
        pusher.join().unwrap();
        closer.join().unwrap();
        // It ran, or came too late: in no case is it lost.
        let _ = b.wait();
    });
}

/// The most that was ever pending, as the tasks themselves see it.
#[derive(Default)]
struct Gauge {
    pending: AtomicIsize,
    most: AtomicIsize,
}

#[test]
fn the_bound_holds_at_each_sample_with_many_pushers() {
    deadline(60, || {
        for bound in [1, 2, 5, 64] {
            let engine = bounded(bound);
            let gauge = Arc::new(Gauge::default());
            let vars: Vec<_> = (0..3).map(|_| engine.var()).collect();
            std::thread::scope(|s| {
                for t in 0..4 {
                    let (engine, gauge, vars) = (&engine, &gauge, &vars);
                    s.spawn(move || {
                        for i in 0..500 {
                            let inner = gauge.clone();
                            engine.raw("step").write(&vars[(t + i) % 3]).run(move |_| {
                                inner.pending.fetch_sub(1, Ordering::SeqCst);
                            });
                            // Each push has returned, so whoever is counted here and not yet run is pending.
                            let pending = gauge.pending.fetch_add(1, Ordering::SeqCst) + 1;
                            gauge.most.fetch_max(pending, Ordering::SeqCst);
                        }
                    });
                }
            });
            engine.wait_all().unwrap();
            let most = gauge.most.load(Ordering::SeqCst);
            assert!(most <= bound as isize, "{most} tasks were pending, at most {bound} may be");
            assert_eq!(gauge.pending.load(Ordering::SeqCst), 0);
        }
    });
}

const VARS: usize = 6;

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, max_shrink_iters: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn programs_give_the_same_under_any_bound(program in programs(VARS, 40), tasks in 1_usize..8, bytes in 1_usize..40) {
        let wanted = interpret(&program, VARS);
        let got = deadline(20, move || {
            let engine = Engine::builder().cpu_workers(2).max_pending_tasks(tasks).max_pending_bytes(bytes).build().unwrap();
            execute(&engine, &program, VARS)
        });
        prop_assert_eq!(got, wanted);
    }
}

/// Pushers that block and futures that wait, on one engine at once.
#[test]
fn both_forms_together_lose_nobody() {
    deadline(60, || {
        let engine = bounded(3);
        let memory = Memory::new(&engine, 2);
        let ran = Arc::new(AtomicUsize::new(0));
        std::thread::scope(|s| {
            for t in 0..4 {
                let (engine, memory, ran) = (&engine, &memory, &ran);
                s.spawn(move || {
                    for i in 0..300 {
                        let ran = ran.clone();
                        let mut task = engine.raw("step").write(&memory.vars[i % 2]);
                        if t % 2 == 0 {
                            task = task.room(support::block_on(engine.room()));
                        }
                        task.run(move |_| {
                            ran.fetch_add(1, Ordering::SeqCst);
                        });
                    }
                });
            }
        });
        engine.wait_all().unwrap();
        assert_eq!(ran.load(Ordering::SeqCst), 1200);
    });
}
