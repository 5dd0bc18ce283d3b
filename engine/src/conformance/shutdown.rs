//! Rule 9: what becomes of the tasks of a lane that stops. The engine stops its lanes when it is idle; here they are not.

use super::bench::{Bench, join};
use crate::error::Cause;
use crate::var::Var;
use std::sync::mpsc::channel;
use std::time::Duration;

/// Tasks for a busy lane: some alone, some that follow each other.
fn push_some(bench: &Bench) -> Vec<Var> {
    let alone: Vec<_> = (0..10).map(|_| bench.engine.var()).collect();
    let chain = bench.engine.var();
    alone.iter().for_each(|var| bench.push(var, || ()));
    (0..10).for_each(|_| bench.push(&chain, || ()));
    alone.into_iter().chain([chain]).collect()
}

/// Each task has run, or failed as one that the lane dropped.
fn all_ended(bench: &Bench, vars: &[Var]) -> Result<(), String> {
    bench.want("each task that a lane has when it is shut down runs or is dropped");
    for var in vars {
        match var.wait() {
            Ok(()) => {}
            Err(e) if e.failure().is_some_and(|f| matches!(f.cause(), Cause::LaneGaveUp(_))) => {}
            Err(e) => return Err(e.to_string()),
        }
    }
    Ok(())
}

pub(super) fn from_outside(bench: &Bench) -> Result<(), String> {
    let gates = bench.occupy();
    let vars = push_some(bench);
    bench.want("shutdown returns when the tasks that run have ended");
    let (started, has_started) = channel();
    let stopper = bench.aside(move |bench| {
        let _ = started.send(());
        bench.lane().shutdown();
    });
    let _ = has_started.recv();
    std::thread::sleep(Duration::from_millis(10)); // shutdown should find the lane busy; nothing fails if it does not
    drop(gates);
    join(stopper)?;
    all_ended(bench, &vars)
}

pub(super) fn from_a_task(bench: &Bench) -> Result<(), String> {
    let gates = bench.occupy();
    let stopping = bench.engine.var();
    let (lane, (done, is_done)) = (bench.lane(), channel());
    bench.push_with(&stopping, 1, move || {
        lane.shutdown();
        let _ = done.send(());
    });
    let vars = push_some(bench);
    bench.want("shutdown returns in a task of the lane");
    drop(gates);
    let _ = stopping.wait();
    is_done.recv().map_err(|_| "the task was dropped before the lane was shut down".to_string())?;
    all_ended(bench, &vars)
}

pub(super) fn submitting_afterwards(bench: &Bench) -> Result<(), String> {
    bench.want("shutdown returns, each time");
    bench.lane().shutdown();
    bench.lane().shutdown();
    let vars = push_some(bench);
    all_ended(bench, &vars)
}
