//! Resident memory: what binding a network and running it takes, beside what its plan says. Each in a process of its own.
//!
//! Pages of files do not count: they are the program's code, which comes in as it first runs and which the system may drop.

use super::case::{Case, Mode};
use super::plan::MB;
use super::subject;
use crate::report::{Bound, Verdict};
use crate::{Result, proc_status};
use varflow::Runtime;
use varflow::ops::Registry;
use varflow::symbol::Executor;

/// Steps that are run.
const STEPS: u64 = 3;
/// The most that resident memory may grow by, over what is accounted for.
const RATIO: f64 = 1.05;
/// What all parts of the runtime have run once before anything is measured.
const WARM_UP: &str = "lenet";
const WARM_UP_BATCH: usize = 8;

/// What a network takes.
pub struct Resident {
    /// The network.
    pub network: String,
    /// Samples a batch.
    pub batch_size: usize,
    /// What it was bound for.
    pub mode: Mode,
    /// What the executor says that it takes.
    pub counted_bytes: f64,
    /// By how much resident memory grew, at its peak, files left out.
    pub grown_bytes: f64,
    /// MXNet's growth.
    pub peer_bytes: Option<f64>,
}

impl Resident {
    /// What it is to reach.
    pub fn verdict(&self) -> Verdict {
        Verdict {
            what: format!("{}, {}: resident MB over what is accounted for", self.network, self.mode),
            ours: self.grown_bytes / MB,
            theirs: self.counted_bytes / MB,
            ratio: self.grown_bytes / self.counted_bytes,
            wanted: Bound::AtMost(RATIO),
        }
    }
}

/// Measures a network in a process of its own. `peer_bytes` is what MXNet was found to take.
///
/// # Errors
/// What the process says.
pub fn measured(case: &Case, mode: Mode, threads: u16, peer_bytes: Option<f64>) -> Result<Resident> {
    let samples = subject::run(subject::Measure::Resident, case, mode, threads, None)?;
    Ok(Resident {
        network: case.network.clone(),
        batch_size: case.batch_size,
        mode,
        counted_bytes: subject::value(&samples, "counted")?,
        grown_bytes: subject::value(&samples, "grown")?,
        peer_bytes,
    })
}

/// The process's side.
///
/// # Errors
/// A network that cannot be bound, a failed step.
pub fn measure(rt: &Runtime, case: &Case, mode: Mode) -> Result<()> {
    drop(stepped(rt, &warm_up(&rt.registry)?, mode)?);
    let before = proc_status::anonymous_bytes()?;
    proc_status::forget_peak()?;
    let executor = stepped(rt, case, mode)?;
    let above_now = proc_status::bytes("VmHWM")? - proc_status::bytes("VmRSS")?;
    let grown = proc_status::anonymous_bytes()? + above_now.max(0.0) - before;
    subject::emit("counted", "bytes", executor.plan().total_bytes() as f64);
    subject::emit("grown", "bytes", grown);
    Ok(())
}

/// What is bound and run before anything is measured, here and in MXNet.
///
/// # Errors
/// When the zoo has it no more.
pub fn warm_up(registry: &Registry) -> Result<Case> {
    Case::new(registry, WARM_UP, WARM_UP_BATCH)
}

fn stepped(rt: &Runtime, case: &Case, mode: Mode) -> Result<Executor> {
    let mut executor = Executor::bind_graph(rt, &case.graph, &case.inputs, &mode.options())?;
    for step in 0..STEPS {
        match mode {
            Mode::Training => executor.forward_backward(step)?,
            Mode::Inference => executor.forward(false, step)?,
        }
    }
    rt.engine.wait_all()?;
    Ok(executor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_percent_more_than_accounted_for_is_too_much() {
        let of = |grown_bytes| Resident {
            network: "mlp".to_string(),
            batch_size: 1,
            mode: Mode::Training,
            counted_bytes: 100.0,
            grown_bytes,
            peer_bytes: None,
        };
        assert!(of(104.0).verdict().reached() && !of(106.0).verdict().reached());
    }
}
