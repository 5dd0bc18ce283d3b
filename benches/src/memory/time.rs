//! What recomputation costs in time: executors in one process that take turns.

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

/// The time of a training step, with and without recomputation.
pub struct ExtraTime {
    /// The network.
    pub network: String,
    /// Samples a batch.
    pub batch_size: usize,
    /// The most bytes for intermediate results; `None`: cheap recomputation, no budget.
    pub budget_bytes: Option<usize>,
    /// The arena, without and with.
    pub arena_bytes: [f64; 2],
    /// Of a step without, and with.
    pub seconds: [f64; 2],
    /// What it costs more, as a share: the median over the turns, the least and the most.
    pub extra_ratio: [f64; 3],
    /// What the plan says that it costs.
    pub predicted_ratio: f64,
}

/// Measures a network in a process of its own.
///
/// # Errors
/// What the process says.
pub fn measured(case: &Case, budget_bytes: Option<usize>, threads: u16) -> Result<ExtraTime> {
    let samples = subject::run(subject::Measure::Time, case, Mode::Training, threads, budget_bytes)?;
    let value = |workload: &str| subject::value(&samples, workload);
    Ok(ExtraTime {
        network: case.network.clone(),
        batch_size: case.batch_size,
        budget_bytes,
        arena_bytes: [value("plain arena")?, value("arena")?],
        seconds: [value("plain")?, value("recomputed")?],
        extra_ratio: [value("extra")?, value("least extra")?, value("most extra")?],
        predicted_ratio: value("predicted")?,
    })
}

/// The process's side.
///
/// # Errors
/// A network that cannot be bound, a budget that cannot be kept to, a failed step.
pub fn measure(rt: &Runtime, case: &Case, arena_budget: Option<usize>) -> Result<()> {
    let options = Mode::Training.options();
    let plain = Executor::bind_graph(rt, &case.graph, &case.inputs, &options)?;
    // Labels stay zero, which is a class everywhere.
    let labels: Vec<&str> = case.graph.labels().into_iter().map(|i| case.graph.nodes[i].name.as_str()).collect();
    let filled = plain.args().iter().filter(|(name, _)| !labels.contains(&name.as_str()));
    filled.chain(plain.auxes()).try_for_each(|(_, tensor)| fill(tensor))?;
    let recompute = if arena_budget.is_some() { Recompute::None } else { Recompute::Cheap };
    let options = BindOptions { recompute, arena_budget, sharing: Some(plain.sharing()), ..options };
    let recomputed = Executor::bind_graph(rt, &case.graph, &case.inputs, &options)?;
    let predicted = recomputed.plan().extra_time_ratio;
    subject::emit("plain arena", "bytes", plain.plan().planned_bytes as f64);
    subject::emit("arena", "bytes", recomputed.plan().planned_bytes as f64);
    let mut executors = [plain, recomputed];
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
    subject::emit("recomputed", "s/step", median(&all[1]));
    subject::emit("extra", "ratio", median(&extra));
    subject::emit("least extra", "ratio", extra.iter().copied().fold(f64::INFINITY, f64::min));
    subject::emit("most extra", "ratio", extra.iter().copied().fold(f64::NEG_INFINITY, f64::max));
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
