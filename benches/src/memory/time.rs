//! What options cost or save in time: executors in one process that take turns, one without them and one with.

use super::case::{Case, Mode};
use super::plan::EXTRA_TIME;
use super::subject;
use crate::Result;
use crate::report::{Bound, Verdict};
use crate::rounds::median;
use std::fmt;
use std::str::FromStr;
use std::time::Instant;
use varflow::Runtime;
use varflow::ops::{DType, Tensor};
use varflow::symbol::{BindOptions, Executor, Passes, Recompute};

/// How often each has its turn; more often where a few percent decide.
const TURNS: usize = 11;
const TURNS_CLOSE: usize = 31;
/// A turn lasts about so many seconds, and a step at least.
const TURN_S: f64 = 1.0;

/// The options that are compared with none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// Cheap recomputation.
    Cheap,
    /// At most so many bytes for intermediate results.
    Budget(usize),
    /// The most concurrent plan.
    Concurrent,
    /// No passes over the graph.
    NoPasses,
}

impl Variant {
    fn options(self, plain: BindOptions) -> BindOptions {
        match self {
            Variant::Cheap => BindOptions { recompute: Recompute::Cheap, ..plain },
            Variant::Budget(bytes) => BindOptions { arena_budget: Some(bytes), ..plain },
            Variant::Concurrent => BindOptions { reuse_distance: usize::MAX, ..plain },
            Variant::NoPasses => BindOptions { passes: Passes::none(), ..plain },
        }
    }
}

/// As the process is told.
impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Variant::Cheap => f.write_str("cheap"),
            Variant::Budget(bytes) => write!(f, "{bytes}"),
            Variant::Concurrent => f.write_str("concurrent"),
            Variant::NoPasses => f.write_str("no-passes"),
        }
    }
}

impl FromStr for Variant {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Variant, String> {
        Ok(match text {
            "cheap" => Variant::Cheap,
            "concurrent" => Variant::Concurrent,
            "no-passes" => Variant::NoPasses,
            _ => {
                let wanted = "wanted cheap, concurrent, no-passes or a number of bytes";
                Variant::Budget(text.parse().map_err(|_| format!("\"{text}\", {wanted}"))?)
            }
        })
    }
}

/// The time of a step, without options and with them.
pub struct Times {
    /// The network.
    pub network: String,
    /// Samples a batch.
    pub batch_size: usize,
    /// What steps are of.
    pub mode: Mode,
    /// The options.
    pub variant: Variant,
    /// The arena, without and with.
    pub arena_bytes: [f64; 2],
    /// Of a step without, and with.
    pub seconds: [f64; 2],
    /// What they cost more, as a share: the median over the turns, the least and the most.
    pub extra_ratio: [f64; 3],
    /// What the plan says that they cost.
    pub predicted_ratio: f64,
}

impl Times {
    /// What it is to reach, if anything.
    pub fn verdict(&self) -> Option<Verdict> {
        let most = match self.variant {
            Variant::Cheap => EXTRA_TIME[0],
            Variant::Budget(_) => EXTRA_TIME[1],
            Variant::Concurrent | Variant::NoPasses => return None,
        };
        let [theirs, ours] = self.seconds;
        Some(Verdict {
            what: format!("{}, {}, {}: seconds a step over those without", self.network, self.mode, self.variant),
            ours,
            theirs,
            ratio: 1.0 + self.extra_ratio[0],
            wanted: Bound::AtMost(1.0 + most),
        })
    }
}

/// Measures a network in a process of its own.
///
/// # Errors
/// What the process says.
pub fn measured(case: &Case, mode: Mode, variant: Variant, threads: u16) -> Result<Times> {
    let samples = subject::run(subject::Measure::Time, case, mode, threads, Some(variant))?;
    let value = |workload: &str| subject::value(&samples, workload);
    Ok(Times {
        network: case.network.clone(),
        batch_size: case.batch_size,
        mode,
        variant,
        arena_bytes: [value("plain arena")?, value("arena")?],
        seconds: [value("plain")?, value("with")?],
        extra_ratio: [value("extra")?, value("least extra")?, value("most extra")?],
        predicted_ratio: value("predicted")?,
    })
}

/// The process's side.
///
/// # Errors
/// A network that cannot be bound, a budget that cannot be kept to, a failed step.
pub fn measure(rt: &Runtime, case: &Case, mode: Mode, variant: Variant) -> Result<()> {
    let plain = Executor::bind_graph(rt, &case.graph, &case.inputs, &mode.options())?;
    // Labels stay zero, which is a class everywhere.
    let labels: Vec<&str> = case.graph.labels().into_iter().map(|i| case.graph.nodes[i].name.as_str()).collect();
    let filled = plain.args().iter().filter(|(name, _)| !labels.contains(&name.as_str()));
    filled.chain(plain.auxes()).try_for_each(|(_, tensor)| fill(tensor))?;
    let options = BindOptions { sharing: Some(plain.sharing()), ..mode.options() };
    let with = Executor::bind_graph(rt, &case.graph, &case.inputs, &variant.options(options))?;
    let predicted = with.plan().extra_time_ratio;
    subject::emit("plain arena", "bytes", plain.plan().planned_bytes as f64);
    subject::emit("arena", "bytes", with.plan().planned_bytes as f64);
    let mut executors = [plain, with];
    let mut seconds_a_step = |which: usize, steps: usize| -> Result<f64> {
        let start = Instant::now();
        for _ in 0..steps {
            match mode {
                Mode::Training => executors[which].forward_backward(0)?,
                Mode::Inference => executors[which].forward(false, 0)?,
            }
        }
        rt.engine.wait_all()?;
        Ok(start.elapsed().as_secs_f64() / steps as f64)
    };
    seconds_a_step(0, 1)?;
    let steps = (TURN_S / seconds_a_step(1, 1)?).clamp(1.0, 1e6) as usize;
    let (mut all, mut extra) = ([Vec::new(), Vec::new()], Vec::new());
    let turns = if variant == Variant::Cheap { TURNS_CLOSE } else { TURNS };
    for turn in 0..turns {
        // Who is first changes, so that what slows down or speeds up in between is nobody's.
        let mut seconds = [0.0; 2];
        for which in [turn % 2, (turn + 1) % 2] {
            seconds[which] = seconds_a_step(which, steps)?;
            all[which].push(seconds[which]);
        }
        extra.push(seconds[1] / seconds[0] - 1.0);
    }
    subject::emit("plain", "s/step", median(&all[0]));
    subject::emit("with", "s/step", median(&all[1]));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recomputation_is_held_to_what_it_may_cost() {
        let of = |variant, extra: f64| {
            let times = Times {
                network: "mlp".to_string(),
                batch_size: 1,
                mode: Mode::Training,
                variant,
                arena_bytes: [1.0; 2],
                seconds: [1.0, 1.0 + extra],
                extra_ratio: [extra; 3],
                predicted_ratio: 0.0,
            };
            times.verdict().map(|verdict| verdict.reached())
        };
        assert_eq!([of(Variant::Cheap, 0.04), of(Variant::Cheap, 0.06)], [Some(true), Some(false)]);
        assert_eq!([of(Variant::Budget(1), 0.2), of(Variant::Budget(1), 0.4)], [Some(true), Some(false)]);
        assert_eq!(of(Variant::NoPasses, 9.0), None);
    }

    #[test]
    fn a_variant_is_read_as_it_is_written() {
        for variant in [Variant::Cheap, Variant::Budget(7), Variant::Concurrent, Variant::NoPasses] {
            assert_eq!(variant.to_string().parse(), Ok(variant));
        }
        assert!("dear".parse::<Variant>().is_err());
    }
}
