//! Vars and values are futures that any runtime can drive: here tokio, on one thread and on several.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used)]

mod support;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;
use support::deadline;
use tokio::runtime::Builder;
use varflow_engine::{Completion, Engine};

/// Runs the body on a runtime of one thread and on one of three, over every kind of lane.
fn everywhere<F: Future<Output = ()>>(body: impl Fn(Engine) -> F + Send + 'static) {
    deadline(120, move || {
        let runtimes = [Builder::new_current_thread(), Builder::new_multi_thread()]
            .map(|mut b| b.worker_threads(3).enable_time().build());
        for runtime in runtimes {
            let runtime = runtime.unwrap();
            let pool = |n| Engine::builder().cpu_workers(n).build().unwrap();
            for engine in [Engine::serial(), Engine::shuffled(3), pool(1), pool(3)] {
                runtime.block_on(body(engine));
            }
        }
    });
}

/// A task that writes `var` and ends when the token is used that comes out of the receiver.
fn held(engine: &Engine, var: &varflow_engine::Var) -> std::sync::mpsc::Receiver<Completion> {
    let (tx, rx) = channel();
    engine.raw("held").write(var).run_async(move |_, token| drop(tx.send(token)));
    rx
}

#[test]
fn vars_and_values() {
    everywhere(|engine| async move {
        let x = engine.data(20);
        engine.task("add").write(&x).run(|x| *x += 1);
        x.var().await.unwrap();
        (&x.var().clone()).await.unwrap();
        let doubled = engine.task("double").read(&x).compute(|x| x * 2);
        assert_eq!(doubled.clone().await.unwrap(), 42);
        assert_eq!(doubled.await.unwrap(), 42);
    });
}

#[test]
fn failures() {
    everywhere(|engine| async move {
        let x = engine.data(1);
        engine.task("bad").write(&x).run(|_| Err::<(), _>("told to fail"));
        let next = engine.task("next").read(&x).compute(|x| x + 1);
        let error = next.await.unwrap_err();
        assert_eq!(error.failure().unwrap().task().name.as_str(), "bad");
        assert!(x.await.is_err());
    });
}

#[test]
fn many_at_once() {
    everywhere(|engine| async move {
        let total = engine.data(0_u64);
        let add = |i: u64| {
            let (engine, total) = (engine.clone(), total.clone());
            tokio::spawn(async move {
                engine.task("add").write(&total).run(move |total| *total += i);
                total.var().await.unwrap();
                let own = engine.data(i);
                engine.task("double").read(&own).compute(|i| 2 * i).await.unwrap()
            })
        };
        let adding: Vec<_> = (0..1000).map(add).collect();
        for (i, added) in adding.into_iter().enumerate() {
            assert_eq!(added.await.unwrap(), 2 * i as u64);
        }
        assert_eq!(total.await.unwrap(), 499_500);
    });
}

#[test]
fn a_future_that_is_dropped_early() {
    everywhere(|engine| async move {
        let x = engine.data(0);
        let token = held(&engine, x.var());
        let never = tokio::time::timeout(Duration::from_millis(1), x.var());
        assert!(never.await.is_err());
        tokio::select! {
            biased;
            _ = x.var() => panic!("the task has not ended"),
            () = std::future::ready(()) => {}
        }
        drop(std::future::IntoFuture::into_future(x.var())); // never polled
        engine.task("add").write(&x).run(|x| *x += 1);
        token.recv().unwrap().complete(Ok(()));
        assert_eq!(x.await.unwrap(), 1);
    });
}

#[test]
fn tokens_completed_by_the_runtime() {
    everywhere(|engine| async move {
        let (x, runs) = (engine.data(0), Arc::new(AtomicUsize::new(0)));
        for _ in 0..50 {
            let (runtime, runs) = (tokio::runtime::Handle::current(), runs.clone());
            engine.raw("elsewhere").write(x.var()).run_async(move |_, token| {
                runtime.spawn(async move {
                    tokio::task::yield_now().await;
                    runs.fetch_add(1, Ordering::Relaxed);
                    token.complete(Ok(()));
                });
            });
            engine.task("here").write(&x).run(|x| *x += 1);
        }
        assert_eq!(x.await.unwrap(), 50);
        assert_eq!(runs.load(Ordering::Relaxed), 50);
    });
}

#[test]
fn a_future_moves_to_another_task() {
    everywhere(|engine| async move {
        let x = engine.data(0);
        let token = held(&engine, x.var());
        let mut future = Box::pin(std::future::IntoFuture::into_future(x.var()));
        let early = tokio::time::timeout(Duration::from_millis(1), &mut future).await;
        assert!(early.is_err());
        let elsewhere = tokio::spawn(future); // polled with another waker from now on
        tokio::task::yield_now().await;
        token.recv().unwrap().complete(Ok(()));
        elsewhere.await.unwrap().unwrap();
    });
}

#[test]
fn blocking_waits_on_threads_for_such() {
    everywhere(|engine| async move {
        let x = engine.data(1);
        engine.task("add").write(&x).run(|x| *x += 1);
        let blocking = tokio::task::spawn_blocking(move || {
            engine.wait_all().unwrap();
            x.wait().unwrap()
        });
        assert_eq!(blocking.await.unwrap(), 2);
    });
}
