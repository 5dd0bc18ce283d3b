//! The lane that runs tests in an order drawn by lot.

use super::turns::Turns;
use crate::error::Error;
use crate::lane::Lane;
use crate::task::ReadyTask;

/// A lane for tests: keeps ready tasks back and picks by seed which of them runs next, and when. Priorities are
/// honoured: the lot decides among tasks of equal priority.
///
/// Tasks run one by one on the threads that push and wait. So with one pushing thread and synchronous tasks the same
/// program runs in the same order for the same seed. A lane that is dropped while its thread panics prints the seed.
///
/// ```
/// use varflow_engine::Engine;
/// let order = |seed| {
///     let engine = Engine::shuffled(seed);
///     let (tx, rx) = std::sync::mpsc::channel();
///     for i in 0..20 {
///         let tx = tx.clone();
///         engine.raw("independent").run(move |_| tx.send(i));
///     }
///     engine.wait_all().unwrap();
///     rx.try_iter().collect::<Vec<_>>()
/// };
/// assert_eq!(order(1), order(1));
/// assert_ne!(order(1), order(2));
/// ```
pub struct Shuffled {
    seed: u64,
    turns: Turns,
}

impl Shuffled {
    /// A lane that draws by this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Shuffled { seed, turns: Turns::new(Some(seed)) }
    }
}

impl Lane for Shuffled {
    fn name(&self) -> &str {
        "shuffled"
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

    fn begin_wait(&self, is_over: &dyn Fn() -> bool) {
        self.turns.begin_wait(is_over);
    }

    fn end_wait(&self) {
        self.turns.end_wait();
    }

    fn shutdown(&self) {
        self.turns.stop();
    }
}

impl Drop for Shuffled {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("tasks ran in the order of Shuffled::new({})", self.seed);
        }
    }
}
