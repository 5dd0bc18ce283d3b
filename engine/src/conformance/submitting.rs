//! Rules 1 to 4 and 6: what becomes of the tasks that are handed over.

use super::bench::{Bench, join};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

const PUSHERS: usize = 4;

pub(super) fn every_task_runs(bench: &Bench) -> Result<(), String> {
    const EACH: usize = 500;
    bench.want(format!("{EACH} tasks by each of {PUSHERS} threads all run"));
    let ran = Arc::new(AtomicUsize::new(0));
    let push = |_| {
        let ran = ran.clone();
        bench.aside(move |bench| {
            let vars = [bench.engine.var(), bench.engine.var()];
            for i in 0..EACH {
                let ran = ran.clone();
                bench.push(&vars[i % 2], move || {
                    ran.fetch_add(1, Ordering::Relaxed);
                });
            }
        })
    };
    let pushers: Vec<_> = (0..PUSHERS).map(push).collect();
    pushers.into_iter().try_for_each(join)?;
    bench.finish()?;
    match ran.load(Ordering::Relaxed) {
        n if n == EACH * PUSHERS => Ok(()),
        n => Err(format!("{n} ran")),
    }
}

pub(super) fn submitting_returns(bench: &Bench) -> Result<(), String> {
    let gates = bench.occupy();
    bench.want("submitting returns while the lane is busy");
    let var = bench.engine.var();
    for _ in 0..100 {
        bench.push(&var, || ());
    }
    drop(gates);
    bench.want("a task may hand tasks over and end before they run");
    let (inner, outer) = (bench.engine.clone(), bench.engine.var());
    bench.push(&outer, move || {
        for _ in 0..100 {
            inner.raw("inner").read(&inner.var()).run(|_| ());
        }
    });
    bench.finish()
}

pub(super) fn priorities(bench: &Bench) -> Result<(), String> {
    const PUSHED: [i32; 8] = [0, -5, 3, 0, 7, -1, 3, i32::MIN];
    const WANTED: [i32; 8] = [7, 3, 3, 0, 0, -1, -5, i32::MIN];
    let mut gates = bench.occupy();
    bench.want(format!("tasks that became ready while the lane was busy run by priority: {WANTED:?}"));
    let (ran, order) = channel();
    let push = |priority| {
        let (var, ran) = (bench.engine.var(), ran.clone());
        bench.push_with(&var, priority, move || {
            let _ = ran.send(priority);
        });
        var
    };
    let vars = PUSHED.map(push);
    drop(ran);
    gates.open_one(); // the other threads stay busy, so one runs them all
    vars.iter().try_for_each(crate::var::Var::wait).map_err(|e| e.to_string())?;
    let order: Vec<_> = order.iter().collect();
    if order == WANTED { Ok(()) } else { Err(format!("they ran as {order:?}")) }
}

pub(super) fn width(bench: &Bench) -> Result<(), String> {
    drop(bench.occupy());
    let width = bench.width();
    if width == 0 {
        return Err("its width is 0".to_string());
    }
    bench.want(format!("no more tasks than its width says ({width}) run side by side"));
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let push = |_| {
        let (now, most) = (now.clone(), most.clone());
        bench.aside(move |bench| {
            for _ in 0..8 * width {
                let (now, most) = (now.clone(), most.clone());
                bench.push(&bench.engine.var(), move || {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(1)); // so that those that can meet do
                    now.fetch_sub(1, Ordering::SeqCst);
                });
            }
        })
    };
    let pushers: Vec<_> = (0..PUSHERS).map(push).collect();
    pushers.into_iter().try_for_each(join)?;
    bench.finish()?;
    let most = most.load(Ordering::SeqCst);
    if most <= width { Ok(()) } else { Err(format!("{most} did")) }
}

pub(super) fn panicking_tasks(bench: &Bench) -> Result<(), String> {
    let n = 4 * bench.width();
    bench.want(format!("tasks run after {n} have panicked"));
    for _ in 0..n {
        let var = bench.engine.var();
        bench.push(&var, || std::panic::resume_unwind(Box::new("told to panic")));
        if var.wait().is_ok() {
            return Err("a task that panicked succeeded".to_string());
        }
    }
    drop(bench.occupy());
    Ok(())
}
