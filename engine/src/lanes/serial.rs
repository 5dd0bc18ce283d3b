//! Lanes without threads of their own.

use crate::lane::Lane;
use crate::sync::{Mutex, lock};
use crate::task::ReadyTask;
use std::collections::VecDeque;

/// Runs tasks one by one in the order in which they become ready, on the thread that hands them over. With one pushing
/// thread and synchronous tasks that is push order.
pub struct Serial {
    name: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    ready: VecDeque<ReadyTask>,
    draining: bool,
}

impl Serial {
    /// A lane of this name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Serial { name: name.to_string(), state: Mutex::new(State::default()) }
    }

    fn next(&self) -> Option<ReadyTask> {
        lock(&self.state).ready.pop_front()
    }
}

impl Lane for Serial {
    fn name(&self) -> &str {
        &self.name
    }

    fn submit(&self, task: ReadyTask) {
        {
            let mut state = lock(&self.state);
            state.ready.push_back(task);
            if std::mem::replace(&mut state.draining, true) {
                return; // whoever drains will come to it
            }
        }
        loop {
            let task = {
                let mut state = lock(&self.state);
                let task = state.ready.pop_front();
                state.draining = task.is_some();
                task
            };
            match task {
                Some(task) => task.run(),
                None => return,
            }
        }
    }

    fn help(&self) -> bool {
        let task = self.next();
        let found = task.is_some();
        task.into_iter().for_each(ReadyTask::run);
        found
    }
}
