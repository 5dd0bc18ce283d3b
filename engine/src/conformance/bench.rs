//! What every check has at hand: an engine with the lane under test.

use crate::engine::Engine;
use crate::error::{Cause, Error};
use crate::lane::Lane;
use crate::var::Var;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

pub(super) struct Bench {
    pub(super) engine: Engine,
    pub(super) progress: Arc<Progress>,
}

/// How far a check has come, for those who wait for it.
#[derive(Default)]
pub(super) struct Progress {
    wanted: Mutex<String>,
    bodies: AtomicUsize,
}

impl Progress {
    pub(super) fn wanted(&self) -> String {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn bodies(&self) -> usize {
        self.bodies.load(Ordering::Relaxed)
    }

    /// Called by every body.
    pub(super) fn count(&self) {
        self.bodies.fetch_add(1, Ordering::Relaxed);
    }
}

impl Bench {
    pub(super) fn new(engine: Engine) -> Self {
        Bench { engine, progress: Arc::default() }
    }

    pub(super) fn lane(&self) -> Arc<dyn Lane> {
        self.engine.core().lane(0).clone()
    }

    pub(super) fn width(&self) -> usize {
        self.lane().width()
    }

    /// Says what the lane should do next: "wanted that ...".
    pub(super) fn want(&self, what: impl Into<String>) {
        *self.progress.wanted.lock().unwrap_or_else(PoisonError::into_inner) = what.into();
    }

    /// Pushes a task that writes `var`.
    pub(super) fn push(&self, var: &Var, body: impl FnOnce() + Send + 'static) {
        self.push_with(var, 0, body);
    }

    pub(super) fn push_with(&self, var: &Var, priority: i32, body: impl FnOnce() + Send + 'static) {
        let progress = self.progress.clone();
        self.engine.raw("task").write(var).priority(priority).run(move |_| {
            progress.count();
            body();
        });
    }

    /// Waits for all tasks; fails with the first failure.
    pub(super) fn finish(&self) -> Result<(), String> {
        self.engine.wait_all().map_err(|e| tell(&e))
    }

    /// A thread that does `body` while the check goes on.
    pub(super) fn aside<R: Send + 'static>(&self, body: impl FnOnce(&Bench) -> R + Send + 'static) -> JoinHandle<R> {
        let bench = Bench { engine: self.engine.clone(), progress: self.progress.clone() };
        std::thread::spawn(move || body(&bench))
    }

    /// Keeps the lane busy: starts as many tasks as it can run at once, each of which ends when it is let.
    ///
    /// Threads of their own push them and wait for them, since a lane may run tasks on such threads only.
    pub(super) fn occupy(&self) -> Gates {
        let width = self.width();
        self.want(format!("as many tasks as its width says ({width}) run side by side"));
        let (started, has_started) = channel();
        let mut gates = Gates { open: Vec::new(), threads: Vec::new() };
        for _ in 0..width {
            let started = started.clone();
            let (open, opened) = channel::<()>();
            gates.open.push(open);
            gates.threads.push(self.aside(move |bench| {
                let own = bench.engine.var();
                bench.push(&own, move || {
                    let _ = started.send(());
                    let _ = opened.recv(); // fails when the gate is let go
                });
                let _ = own.wait();
            }));
        }
        let _ = has_started.iter().take(width).count();
        gates
    }
}

/// Tasks that run until they are let go.
pub(super) struct Gates {
    open: Vec<Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

impl Gates {
    /// Lets one of the tasks end.
    pub(super) fn open_one(&mut self) {
        self.open.pop();
    }
}

impl Drop for Gates {
    fn drop(&mut self) {
        self.open.clear();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Waits for a thread; tells if it panicked, as it does when the lane panics.
pub(super) fn join<R>(thread: JoinHandle<R>) -> Result<R, String> {
    thread.join().map_err(|panic| format!("the lane panicked: {}", crate::foreign::panic_message(&*panic)))
}

/// What a check's own body said, or the whole error.
fn tell(error: &Error) -> String {
    match error.failure().map(crate::error::Failure::cause) {
        Some(Cause::Failed(e)) => e.to_string(),
        _ => error.to_string(),
    }
}
