//! Waiting until nothing is pending: `engine.wait_all()`, `engine.await` and the engine's own end.
//!
//! Who waits stands in a line under a lock; who sees the engine idle takes all out of the line and wakes them. To have
//! been taken out is the answer, so a waiter learns that the engine was idle even if more was pushed since.

use crate::engine::Engine;
use crate::error::Error;
use crate::parker::wake_each;
use crate::sync::{AtomicUsize, Mutex, Ordering, Padded, fence, lock};
use crate::waiting::Waiting;
use std::collections::BTreeMap;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// Those who wait for an idle engine.
#[derive(Default)]
pub(crate) struct IdleLine {
    /// How many stand in the line; changed under its lock.
    len: Padded<AtomicUsize>,
    line: Mutex<Line>,
}

#[derive(Default)]
struct Line {
    next_key: u64,
    wakers: BTreeMap<u64, Waker>,
}

impl IdleLine {
    /// Wakes all if the engine is idle. Called after a finished task was counted.
    ///
    /// Either the waiter sees the last task counted, or the one who counted it sees the waiter: both put a SeqCst fence
    /// between their write and their read.
    pub(crate) fn task_counted(&self, is_idle: impl Fn() -> bool) {
        fence(Ordering::SeqCst); // partner: the fence in `poll`
        if self.len.load(Ordering::Relaxed) > 0 && is_idle() {
            self.wake_all(is_idle);
        }
    }

    #[cold]
    fn wake_all(&self, is_idle: impl Fn() -> bool) {
        let mut line = lock(&self.line);
        // Again, now that nobody can join: who joined meanwhile may have pushed tasks before.
        if !is_idle() {
            return;
        }
        let wakers = std::mem::take(&mut line.wakers);
        self.len.fetch_sub(wakers.len(), Ordering::Relaxed);
        drop(line);
        wake_each(wakers.into_values());
    }

    /// Ready if the engine is idle, or was since `key` joined the line; else joins it.
    pub(crate) fn poll(&self, key: &mut Option<u64>, waker: &Waker, is_idle: impl Fn() -> bool) -> Poll<()> {
        // Wakers are foreign code: cloned before the lock is taken, and `_old` dropped when it is free again.
        let mut waker = waker.clone();
        let _old;
        let mut line = lock(&self.line);
        if let Some(own) = *key {
            let Some(place) = line.wakers.get_mut(&own) else {
                *key = None;
                return Poll::Ready(());
            };
            std::mem::swap(place, &mut waker);
            drop(line);
            _old = Some(waker);
            return Poll::Pending;
        }
        let own = line.next_key;
        line.next_key += 1;
        line.wakers.insert(own, waker);
        self.len.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst); // partner: the fence in `task_counted`
        if is_idle() {
            _old = line.wakers.remove(&own);
            self.len.fetch_sub(1, Ordering::Relaxed);
            drop(line);
            return Poll::Ready(());
        }
        *key = Some(own);
        Poll::Pending
    }

    fn leave(&self, key: u64) {
        let mut line = lock(&self.line);
        let waker = line.wakers.remove(&key);
        if waker.is_some() {
            self.len.fetch_sub(1, Ordering::Relaxed);
        }
        drop(line);
    }
}

/// Completes when nothing is pending, with what [`Engine::wait_all`] gives. It is a handle on the engine while it lives.
#[must_use = "a future does nothing until polled"]
pub struct IdleFuture {
    engine: Engine,
    key: Option<u64>,
    /// From the first time that it was polled too early.
    waiting: Option<Waiting>,
}

impl Future for IdleFuture {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let IdleFuture { engine, key, waiting } = &mut *self;
        engine.refuse_inside("engine.await")?;
        let polled = engine.core().poll_idle(key, cx.waker());
        if polled.is_ready() {
            *waiting = None;
        } else if waiting.is_none() {
            // What lanes keep back runs here; that nothing is left is told to the waker.
            *waiting = Some(Waiting::begin(engine.core().clone(), &|| false));
        }
        polled.map(|()| engine.core().take_failure())
    }
}

impl Drop for IdleFuture {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.engine.core().idle.leave(key);
        }
    }
}

/// As [`Engine::wait_all`], without blocking the thread.
///
/// ```
/// # fn block_on<F: IntoFuture>(f: F) -> F::Output {
/// #     use std::task::{Context, Poll, Waker};
/// #     let mut f = Box::pin(f.into_future());
/// #     loop {
/// #         match f.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
/// #             Poll::Ready(out) => return out,
/// #             Poll::Pending => std::thread::yield_now(),
/// #         }
/// #     }
/// # }
/// use varflow_engine::Engine;
/// let engine = Engine::builder().cpu_workers(2).build()?;
/// let x = engine.data(1);
/// engine.task("double").write(&x).run(|x| *x *= 2);
/// block_on(async { (&engine).await })?;
/// assert_eq!(x.wait()?, 2);
/// # Ok::<(), varflow_engine::Error>(())
/// ```
impl IntoFuture for &Engine {
    type Output = Result<(), Error>;
    type IntoFuture = IdleFuture;

    fn into_future(self) -> IdleFuture {
        self.clone().into_future()
    }
}

impl IntoFuture for Engine {
    type Output = Result<(), Error>;
    type IntoFuture = IdleFuture;

    fn into_future(self) -> IdleFuture {
        IdleFuture { engine: self, key: None, waiting: None }
    }
}
