//! What lanes without threads of their own share: tasks take turns on the threads that hand them over and wait.

use crate::dice::Dice;
use crate::sync::{Mutex, MutexGuard, lock};
use crate::task::ReadyTask;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// At most about this many tasks are kept back while nobody waits.
const MAX_KEPT: usize = 32;

/// Ready tasks, of which one runs at a time.
///
/// Who finds that none runs takes the turn, and runs tasks until none is left or the rest is kept back; who finds that one
/// runs leaves its task to that thread. A task that waits gives the turn up. When it goes on, another may be running:
/// then that thread stops after its task.
pub(super) struct Turns<R = fn(ReadyTask)> {
    state: Mutex<State>,
    /// What is done with a task whose turn it is.
    call: R,
}

struct State {
    /// Highest priority first; among equals by lot, or oldest first without dice.
    ready: BTreeMap<(Reverse<i32>, u64, u64), ReadyTask>,
    next_rank: u64,
    /// Threads that run a task which does not wait. Each looks at `ready` again before it stops.
    running: usize,
    /// Waits that have begun and not ended: nothing is kept back meanwhile.
    waits: usize,
    dice: Option<Dice>,
    stopped: bool,
}

impl Turns {
    /// Runs each task as soon as it can, or, with a seed, keeps tasks back and picks among them by lot.
    pub(super) fn new(seed: Option<u64>) -> Self {
        Turns::calling(seed, ReadyTask::run)
    }
}

impl<R: Fn(ReadyTask)> Turns<R> {
    /// The same, where `call` runs each task.
    pub(super) fn calling(seed: Option<u64>, call: R) -> Self {
        let dice = seed.map(Dice::new);
        let state = State { ready: BTreeMap::new(), next_rank: 0, running: 0, waits: 0, dice, stopped: false };
        Turns { state: Mutex::new(state), call }
    }

    pub(super) fn submit(&self, task: ReadyTask) {
        let mut state = lock(&self.state);
        if state.stopped {
            drop(state); // dropping a task lets others go, which come here
            return drop(task);
        }
        if state.running > 0 {
            state.keep(task);
        } else if state.ready.is_empty() && state.dice.is_none() {
            state.running = 1;
            drop(state);
            (self.call)(task);
            self.run(lock(&self.state), State::next);
        } else {
            state.keep(task);
            state.running = 1;
            self.run(state, State::next);
        }
    }

    /// Runs the tasks that `next` names, then lets the turn go. The caller has the turn.
    fn run<'a>(&'a self, mut state: MutexGuard<'a, State>, next: impl Fn(&mut State) -> Option<ReadyTask>) {
        while state.running == 1
            && let Some(task) = next(&mut state)
        {
            drop(state);
            (self.call)(task);
            state = lock(&self.state);
        }
        state.running -= 1;
    }

    /// Runs one task above the one that the calling thread runs.
    pub(super) fn help(&self) -> bool {
        let task = lock(&self.state).pop();
        let found = task.is_some();
        task.into_iter().for_each(&self.call);
        found
    }

    /// The task of the calling thread waits: from now on whoever hands a task over runs it.
    pub(super) fn begin_block(&self) {
        self.run(lock(&self.state), State::pop);
    }

    pub(super) fn end_block(&self) {
        lock(&self.state).running += 1;
    }

    /// Runs what was kept back until `is_over`; while any wait lasts nothing is kept back.
    pub(super) fn begin_wait(&self, is_over: &dyn Fn() -> bool) {
        let mut state = lock(&self.state);
        state.waits += 1;
        if state.running == 0 {
            state.running = 1;
            self.run(state, |state| if state.waits == 1 && !state.stopped && is_over() { None } else { state.pop() });
        }
    }

    pub(super) fn end_wait(&self) {
        lock(&self.state).waits -= 1;
    }

    pub(super) fn stop(&self) {
        let mut state = lock(&self.state);
        state.stopped = true;
        // A running thread still comes to what is ready.
        let left = if state.running == 0 { std::mem::take(&mut state.ready) } else { BTreeMap::new() };
        drop(state);
        drop(left);
    }
}

impl State {
    fn keep(&mut self, task: ReadyTask) {
        let lot = self.dice.as_mut().map_or(0, Dice::roll);
        self.ready.insert((Reverse(task.priority()), lot, self.next_rank), task);
        self.next_rank += 1;
    }

    fn pop(&mut self) -> Option<ReadyTask> {
        self.ready.pop_first().map(|(_, task)| task)
    }

    /// The next task, unless it is kept back.
    fn next(&mut self) -> Option<ReadyTask> {
        let go_on = self.stopped || self.waits > 0 || self.ready.len() > MAX_KEPT;
        let keeps_back = !go_on && self.dice.as_mut().is_some_and(|dice| dice.roll() % 2 == 0);
        if keeps_back { None } else { self.pop() }
    }
}
