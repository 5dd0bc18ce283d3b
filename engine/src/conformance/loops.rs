//! Rule 5: loops that a task shares with idle threads.

use super::bench::Bench;
use crate::task::TaskCtx;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::yield_now;

pub(super) fn complete(bench: &Bench) -> Result<(), String> {
    bench.want("a loop calls its body once for each index, then returns");
    for _ in 0..2 * bench.width() {
        let progress = bench.progress.clone();
        bench.engine.raw("loops").run(move |ctx| {
            progress.count();
            [0, 1, 2, 3, 100, 1000].into_iter().try_for_each(|n| count_calls(ctx, n))?;
            let inner = Mutex::new(Ok(()));
            ctx.parallel_for(4, &|_| {
                if let Err(seen) = count_calls(ctx, 50) {
                    *inner.lock().unwrap_or_else(PoisonError::into_inner) = Err(format!("inside a loop, {seen}"));
                }
            });
            inner.into_inner().unwrap_or_else(PoisonError::into_inner)
        });
    }
    bench.finish()
}

fn count_calls(ctx: &TaskCtx<'_>, n: usize) -> Result<(), String> {
    let calls: Vec<_> = (0..n).map(|_| AtomicUsize::new(0)).collect();
    let (running, stray) = (AtomicUsize::new(0), AtomicUsize::new(0));
    ctx.parallel_for(n, &|i| {
        running.fetch_add(1, Ordering::SeqCst);
        yield_now();
        calls.get(i).unwrap_or(&stray).fetch_add(1, Ordering::SeqCst);
        running.fetch_sub(1, Ordering::SeqCst);
    });
    let running = running.load(Ordering::SeqCst);
    if running > 0 {
        return Err(format!("a loop over {n} indices returned while {running} calls ran"));
    }
    let stray = stray.load(Ordering::SeqCst);
    if stray > 0 {
        return Err(format!("a loop over {n} indices called its body {stray} times for an index beyond them"));
    }
    match calls.iter().map(|c| c.load(Ordering::SeqCst)).enumerate().find(|(_, calls)| *calls != 1) {
        Some((i, calls)) => Err(format!("a loop over {n} indices called its body {calls} times for index {i}")),
        None => Ok(()),
    }
}

pub(super) fn pass_panics_on(bench: &Bench) -> Result<(), String> {
    const TEXT: &str = "told to panic at 57";
    struct Running<'a>(&'a AtomicUsize);
    impl Drop for Running<'_> {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }
    bench.want("a loop panics with the payload of a call that panicked, when no call runs any more");
    let progress = bench.progress.clone();
    bench.engine.raw("loop").run(move |ctx| {
        progress.count();
        let running = AtomicUsize::new(0);
        let body = |i| {
            running.fetch_add(1, Ordering::SeqCst);
            let _running = Running(&running);
            yield_now();
            if i == 57 {
                resume_unwind(Box::new(TEXT));
            }
        };
        let Err(panic) = catch_unwind(AssertUnwindSafe(|| ctx.parallel_for(100, &body))) else {
            return Err("it returned as if nothing had happened".to_string());
        };
        if panic.downcast_ref::<&str>() != Some(&TEXT) {
            return Err("it panicked with another payload".to_string());
        }
        match running.load(Ordering::SeqCst) {
            0 => Ok(()),
            n => Err(format!("it panicked while {n} calls ran")),
        }
    });
    bench.finish()?;
    bench.want("the lane runs loops after one has panicked");
    bench.engine.raw("loop").run(|ctx| count_calls(ctx, 100));
    bench.finish()
}
