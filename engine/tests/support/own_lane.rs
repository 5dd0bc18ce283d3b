//! A lane as an embedder might write one: a thread with a queue, and more threads while tasks wait. It can be told to
//! break a rule.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};
use varflow_engine::{Error, Lane, ReadyTask};

/// A rule to break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Forgets each hundredth task.
    LosesTasks,
    /// Starts a thread for each task, though its width is 1.
    RunsBeyondItsWidth,
    /// Claims to run two tasks at once.
    OverstatesItsWidth,
    /// Runs the oldest task first.
    IgnoresPriorities,
    /// Returns from `submit` when the task has run.
    BlocksInSubmit,
    /// Leaves the last index out.
    SkipsAnIndex,
    /// Calls the first index twice.
    RepeatsAnIndex,
    /// Catches what a loop's body panics with.
    SwallowsPanics,
    /// Has no thread to spare for one that waits.
    StarvesInWaits,
    /// Keeps tasks until somebody waits, and some longer.
    KeepsTasksBack,
    /// Stops its threads and keeps its tasks.
    ForgetsTasksAtShutdown,
    /// Waits for the thread that calls.
    DeadlocksInShutdown,
}

pub struct Own {
    fault: Option<Fault>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    ready: BTreeMap<(Reverse<i32>, usize), ReadyTask>,
    handed_over: usize,
    /// Threads that do not wait in a task; above one, a thread ends.
    threads: usize,
    /// Tasks that run.
    busy: usize,
    stopped: bool,
}

impl Own {
    pub fn new(fault: Option<Fault>) -> Own {
        let lane = Own { fault, shared: Arc::default() };
        lane.start_thread();
        lane
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn start_thread(&self) {
        self.shared.state.lock().unwrap().threads += 1;
        let shared = self.shared.clone();
        std::thread::spawn(move || shared.work());
    }
}

impl Shared {
    fn work(&self) {
        let mut state = self.state.lock().unwrap();
        while state.threads == 1 && !state.stopped {
            let Some((_, task)) = state.ready.pop_first() else {
                state = self.changed.wait(state).unwrap();
                continue;
            };
            state.busy += 1;
            drop(state);
            task.run();
            state = self.state.lock().unwrap();
            state.busy -= 1;
            self.changed.notify_all();
        }
        state.threads -= 1;
        self.changed.notify_all();
    }
}

impl Lane for Own {
    fn name(&self) -> &str {
        "own"
    }

    fn width(&self) -> usize {
        if self.is(Fault::OverstatesItsWidth) { 2 } else { 1 }
    }

    fn submit(&self, task: ReadyTask) {
        let mut state = self.shared.state.lock().unwrap();
        if state.stopped && !self.is(Fault::ForgetsTasksAtShutdown) {
            drop(state);
            return drop(task);
        }
        state.handed_over += 1;
        let (number, priority) = (state.handed_over, task.priority());
        match self.fault {
            Some(Fault::LosesTasks) if number % 100 == 0 => return std::mem::forget(task),
            Some(Fault::KeepsTasksBack) if number % 2 == 0 => {}
            Some(Fault::RunsBeyondItsWidth) => return drop(std::thread::spawn(move || task.run())),
            _ => self.shared.changed.notify_all(),
        }
        let priority = if self.is(Fault::IgnoresPriorities) { 0 } else { priority };
        state.ready.insert((Reverse(priority), number), task);
        if self.is(Fault::BlocksInSubmit) {
            let is_queued = |s: &mut State| s.ready.contains_key(&(Reverse(priority), number)) && !s.stopped;
            drop(self.shared.changed.wait_while(state, is_queued));
        }
    }

    fn parallel_for(&self, n: usize, body: &(dyn Fn(usize) + Sync)) {
        match self.fault {
            Some(Fault::SkipsAnIndex) => (0..n.saturating_sub(1)).for_each(body),
            Some(Fault::RepeatsAnIndex) => (0..n).chain(0..n.min(1)).for_each(body),
            Some(Fault::SwallowsPanics) => (0..n).for_each(|i| {
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| body(i)));
            }),
            _ => (0..n).for_each(body),
        }
    }

    fn begin_block(&self) -> Result<(), Error> {
        if !self.is(Fault::StarvesInWaits) {
            self.shared.state.lock().unwrap().threads -= 1;
            self.start_thread();
        }
        Ok(())
    }

    fn end_block(&self) {
        if !self.is(Fault::StarvesInWaits) {
            self.shared.state.lock().unwrap().threads += 1;
            self.shared.changed.notify_all(); // one thread too many: the next to see it ends
        }
    }

    fn shutdown(&self) {
        let mut state = self.shared.state.lock().unwrap();
        state.stopped = true;
        self.shared.changed.notify_all();
        if self.is(Fault::DeadlocksInShutdown) {
            state = self.shared.changed.wait_while(state, |s| s.busy > 0).unwrap();
        }
        if !self.is(Fault::ForgetsTasksAtShutdown) {
            let left = std::mem::take(&mut state.ready);
            drop(state); // dropping a task hands others over
            drop(left);
        }
    }
}
