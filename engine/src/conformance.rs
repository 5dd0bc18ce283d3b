//! Checks whether a lane keeps the contract of [`Lane`]: for those who write one.
//!
//! ```
//! use varflow_engine::{Serial, conformance};
//! conformance::check(|| Serial::new("mine")).unwrap();
//! ```

mod bench;
mod loops;
mod programs;
mod shutdown;
mod submitting;
mod waits;

use crate::engine::Engine;
use crate::lane::Lane;
use bench::Bench;
use std::fmt;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// How long each check of [`check`] may take: far longer than any needs, even on a machine that is busy.
const LIMIT: Duration = Duration::from_secs(60);

/// A rule that a lane was seen to break.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// The number of the rule in the contract of [`Lane`].
    pub rule: u32,
    /// The check that saw it.
    pub check: &'static str,
    /// What the lane should have done.
    pub wanted: String,
    /// What it did.
    pub seen: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {}, check \"{}\": wanted that {}, but {}", self.rule, self.check, self.wanted, self.seen)
    }
}

/// All rules that a lane was seen to break, in the order of the checks.
#[derive(Clone, Debug, thiserror::Error)]
#[error("lane \"{lane}\" breaks the contract of lanes: {}", violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
#[non_exhaustive]
pub struct Violations {
    /// The lane's name.
    pub lane: String,
    /// What was seen; at least one.
    pub violations: Vec<Violation>,
}

/// One check: returns what it saw instead of what the bench says is wanted.
type Body = fn(&Bench) -> Result<(), String>;

const CHECKS: [(u32, &str, Body); 15] = [
    (1, "every task runs", submitting::every_task_runs),
    (2, "submitting returns", submitting::submitting_returns),
    (3, "priorities", submitting::priorities),
    (4, "width", submitting::width),
    (5, "loops are complete", loops::complete),
    (5, "loops pass panics on", loops::pass_panics_on),
    (6, "panicking tasks", submitting::panicking_tasks),
    (7, "waiting tasks", waits::waiting_tasks),
    (7, "tasks that wait for their own", waits::nested),
    (8, "nothing is kept back", waits::nothing_is_kept_back),
    (8, "tokens", waits::tokens),
    (9, "shutdown from outside", shutdown::from_outside),
    (9, "shutdown from a task", shutdown::from_a_task),
    (9, "submitting after shutdown", shutdown::submitting_afterwards),
    (1, "random programs", programs::equal_the_interpreter),
];

/// Checks lanes that `make` makes, a new one for each check. One of the checks runs random programs and compares what they
/// compute with an interpreter.
///
/// A lane that hangs is told of after a minute. The threads that it then holds are left behind.
///
/// # Errors
/// All that was seen to break the contract.
pub fn check<L: Lane>(make: impl Fn() -> L) -> Result<(), Violations> {
    check_within(LIMIT, make)
}

/// As [`check`], with a limit on each check. The checks of a lane that keeps the contract take milliseconds, but on a busy
/// machine a short limit can accuse such a lane.
///
/// # Errors
/// All that was seen to break the contract.
pub fn check_within<L: Lane>(limit: Duration, make: impl Fn() -> L) -> Result<(), Violations> {
    let lane = make();
    let name = lane.name().to_string();
    lane.shutdown();
    drop(lane);
    let run = |(rule, check, body): (u32, &'static str, Body)| {
        run(make(), limit, check, body).err().map(|(wanted, seen)| Violation { rule, check, wanted, seen })
    };
    let violations: Vec<_> = CHECKS.into_iter().filter_map(run).collect();
    if violations.is_empty() { Ok(()) } else { Err(Violations { lane: name, violations }) }
}

/// Runs one check on a thread of its own. Fails with what was wanted and what was seen.
fn run(lane: impl Lane, limit: Duration, check: &'static str, body: Body) -> Result<(), (String, String)> {
    let start = "an engine starts with the lane".to_string();
    let engine = Engine::builder().lane(lane).build().map_err(|e| (start.clone(), e.to_string()))?;
    let bench = Bench::new(engine);
    let progress = bench.progress.clone();
    let (done, result) = channel();
    let thread = std::thread::Builder::new().name(format!("check {check}")).spawn(move || {
        let seen = body(&bench);
        if seen.is_ok() {
            bench.want("an engine closes whose tasks have all ended");
        }
        drop(bench);
        let _ = done.send(seen);
    });
    let thread = thread.map_err(|e| (start, format!("no thread could be had: {e}")))?;
    let seen = match result.recv_timeout(limit) {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(seen)) => seen,
        Err(RecvTimeoutError::Timeout) => format!("that took longer than {limit:?}"),
        Err(RecvTimeoutError::Disconnected) => {
            let panic = thread.join().err();
            let text = panic.as_deref().map_or_else(String::new, crate::foreign::panic_message);
            format!("the lane panicked: {text}")
        }
    };
    let wanted = progress.wanted();
    // Not every check counts its bodies.
    let bodies = progress.bodies();
    Err((wanted, if bodies > 0 { format!("{seen} ({bodies} task bodies ran)") } else { seen }))
}
