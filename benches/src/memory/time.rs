//! What cheap recomputation costs in time: two executors in one process that take turns.

use super::case::{Case, Mode};
use super::subject;
use crate::Result;
use crate::rounds::median;
use std::time::Instant;
use varflow::Runtime;
use varflow::ops::{DType, Tensor};
use varflow::symbol::{BindOptions, Executor, Recompute};

/// How often each has its turn.
const TURNS: usize = 9;
/// A turn lasts about so many seconds, and a step at least.
const TURN_S: f64 = 1.0;

/// The time of a training step, with and without.
pub struct ExtraTime {
    /// The network.
    pub network: String,
    /// Samples a batch.
    pub batch_size: usize,
    /// Of a step without, and with cheap recomputation.
    pub seconds: [f64; 2],
    /// What it costs more, as a share.
    pub extra_ratio: f64,
    /// What the plan says that it costs.
    pub predicted_ratio: f64,
}

/// Measures a network in a process of its own.
///
/// # Errors
/// What the process says.
pub fn measured(case: &Case, threads: u16) -> Result<ExtraTime> {
    let samples = subject::run(subject::Measure::Time, case, Mode::Training, threads)?;
    let value = |workload: &str| subject::value(&samples, workload);
    Ok(ExtraTime {
        network: case.network.clone(),
        batch_size: case.batch_size,
        seconds: [value("plain")?, value("cheap")?],
        extra_ratio: value("extra")?,
        predicted_ratio: value("predicted")?,
    })
}

/// The process's side.
///
/// # Errors
/// A network that cannot be bound, a failed step.
pub fn measure(rt: &Runtime, case: &Case) -> Result<()> {
    let options = Mode::Training.options();
    let plain = Executor::bind_graph(rt, &case.graph, &case.inputs, &options)?;
    // Labels stay zero, which is a class everywhere.
    let labels: Vec<&str> = case.graph.labels().into_iter().map(|i| case.graph.nodes[i].name.as_str()).collect();
    let filled = plain.args().iter().filter(|(name, _)| !labels.contains(&name.as_str()));
    filled.chain(plain.auxes()).try_for_each(|(_, tensor)| fill(tensor))?;
    let options = BindOptions { recompute: Recompute::Cheap, sharing: Some(plain.sharing()), ..options };
    let cheap = Executor::bind_graph(rt, &case.graph, &case.inputs, &options)?;
    let predicted = cheap.plan().extra_time_ratio;
    let mut executors = [plain, cheap];
    let mut seconds_a_step = |which: usize, steps: usize| -> Result<f64> {
        let start = Instant::now();
        for _ in 0..steps {
            executors[which].forward_backward(0)?;
        }
        rt.engine.wait_all()?;
        Ok(start.elapsed().as_secs_f64() / steps as f64)
    };
    seconds_a_step(0, 1)?;
    let steps = (TURN_S / seconds_a_step(1, 1)?).clamp(1.0, 1e6) as usize;
    let (mut all, mut extra) = ([Vec::new(), Vec::new()], Vec::new());
    for turn in 0..TURNS {
        // Who is first changes, so that what slows down or speeds up in between is nobody's.
        let mut seconds = [0.0; 2];
        for which in [turn % 2, (turn + 1) % 2] {
            seconds[which] = seconds_a_step(which, steps)?;
            all[which].push(seconds[which]);
        }
        extra.push(seconds[1] / seconds[0] - 1.0);
    }
    subject::emit("plain", "s/step", median(&all[0]));
    subject::emit("cheap", "s/step", median(&all[1]));
    subject::emit("extra", "ratio", median(&extra));
    subject::emit("predicted", "ratio", predicted);
    Ok(())
}

/// Values of either sign below a tenth; whole numbers are zero.
fn fill(tensor: &Tensor) -> Result<()> {
    if tensor.dtype() == DType::F32 {
        tensor
            .set((0..tensor.shape().len()).map(|i| (i * 7919 % 2001) as f32 / 10_000.0 - 0.1).collect::<Vec<f32>>())?;
    }
    Ok(())
}
