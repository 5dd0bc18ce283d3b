//! The lane that does what a program without an engine would do.

use super::turns::Turns;
use crate::error::Error;
use crate::lane::Lane;
use crate::task::ReadyTask;

/// Runs tasks one by one as they become ready, on the thread that hands them over. With one pushing thread and
/// synchronous tasks that is push order.
///
/// Where several are ready at once (released together, or pushed by a running task) the highest priority runs first, then
/// the oldest. A task that goes on after a wait does so at once, even if another thread runs a task by then.
pub struct Serial {
    name: String,
    turns: Turns,
}

impl Serial {
    /// A lane of this name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Serial { name: name.to_string(), turns: Turns::new(None) }
    }
}

impl Lane for Serial {
    fn name(&self) -> &str {
        &self.name
    }

    fn submit(&self, task: ReadyTask) {
        self.turns.submit(task);
    }

    fn help(&self) -> bool {
        self.turns.help()
    }

    fn begin_block(&self) -> Result<(), Error> {
        self.turns.begin_block();
        Ok(())
    }

    fn end_block(&self) {
        self.turns.end_block();
    }

    fn shutdown(&self) {
        self.turns.stop();
    }
}
