//! Rules 7 and 8: waits inside tasks, and tasks that end elsewhere.

use super::bench::{Bench, join};
use crate::engine::Engine;
use crate::error::Error;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};

pub(super) fn waiting_tasks(bench: &Bench) -> Result<(), String> {
    let n = bench.width() + 3;
    bench.want("a task starts");
    let late = bench.engine.var();
    let (to, token) = channel();
    let own = late.clone();
    let pusher = bench.aside(move |bench| {
        bench.engine.raw("late").write(&own).run_async(move |_, token| drop(to.send(token)));
        own.wait()
    });
    let token = token.recv().map_err(|_| "it was dropped".to_string())?;
    bench.want(format!("{n} tasks start that wait for one that has not ended, though the width is {}", n - 3));
    let (started, has_started) = channel();
    let wait = |_| {
        let (late, started) = (late.clone(), started.clone());
        bench.aside(move |bench| {
            let own = bench.engine.var();
            bench.engine.raw("waits").write(&own).run(move |_| {
                let _ = started.send(());
                late.wait()
            });
            own.wait()
        })
    };
    let waiting: Vec<_> = (0..n).map(wait).collect();
    let _ = has_started.iter().take(n).count();
    bench.want(format!("a task runs that is handed over while {n} tasks wait"));
    let free = bench.aside(|bench| {
        let own = bench.engine.var();
        bench.push(&own, || ());
        own.wait()
    });
    join(free)?.map_err(|e| e.to_string())?;
    bench.want(format!("{n} tasks go on when what they wait for is there"));
    token.complete(Ok(()));
    let ends = waiting.into_iter().chain([pusher]);
    ends.map(join).try_for_each(|end| end?.map_err(|e| e.to_string()))
}

/// Sums `from..to` by tasks that push tasks and wait for them.
fn sum(engine: &Engine, from: u64, to: u64) -> Result<u64, Error> {
    if to - from == 1 {
        return Ok(from);
    }
    let mid = from.midpoint(to);
    let part = |from, to| {
        let out = engine.data(0);
        engine.task("part").write(&out).run_with(move |ctx, out| {
            *out = sum(&ctx.engine(), from, to)?;
            Ok::<_, Error>(())
        });
        out
    };
    let (left, right) = (part(from, mid), part(mid, to));
    Ok(left.wait()? + right.wait()?)
}

pub(super) fn nested(bench: &Bench) -> Result<(), String> {
    bench.want("tasks that push tasks and wait for them end");
    match sum(&bench.engine, 0, 32).map_err(|e| e.to_string())? {
        496 => Ok(()),
        sum => Err(format!("the sum of 0..32 came out as {sum}")),
    }
}

pub(super) fn nothing_is_kept_back(bench: &Bench) -> Result<(), String> {
    bench.want("a task runs that somebody waits for, though no other comes after it");
    for _ in 0..20 {
        let var = bench.engine.var();
        bench.push(&var, || ());
        var.wait().map_err(|e| e.to_string())?;
    }
    Ok(())
}

pub(super) fn tokens(bench: &Bench) -> Result<(), String> {
    const PAIRS: usize = 50;
    bench.want(format!("{PAIRS} tasks that end on another thread alternate with as many that end here"));
    let (to, tokens) = channel::<crate::task::Completion>();
    let device = std::thread::spawn(move || tokens.into_iter().for_each(|token| token.complete(Ok(()))));
    let log = Arc::new(Mutex::new(Vec::new()));
    let var = bench.engine.var();
    let note = |i| {
        let (log, progress) = (log.clone(), bench.progress.clone());
        move || {
            progress.count();
            log.lock().unwrap_or_else(PoisonError::into_inner).push(i);
        }
    };
    for i in 0..PAIRS {
        let (to, note_async) = (to.clone(), note(2 * i));
        bench.engine.raw("elsewhere").write(&var).run_async(move |_, token| {
            note_async();
            let _ = to.send(token);
        });
        bench.push(&var, note(2 * i + 1));
    }
    drop(to);
    bench.finish()?;
    join(device)?;
    let log = log.lock().unwrap_or_else(PoisonError::into_inner);
    if log.iter().copied().eq(0..2 * PAIRS) { Ok(()) } else { Err(format!("they ran as {log:?}")) }
}
