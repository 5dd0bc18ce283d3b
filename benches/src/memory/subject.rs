//! One measurement of varflow in a process of its own, and the starting of it.

use super::case::{Case, Mode};
use super::resident;
use super::time::{self, Variant};
use crate::Result;
use crate::contender::{Contender, Sample};
use crate::setting::Setting;
use clap::ValueEnum;
use serde_json::json;
use std::env;
use std::time::Duration;

/// How long one may take.
const LIMIT: Duration = Duration::from_secs(1200);

/// What to measure.
#[derive(clap::Args)]
pub struct SubjectArgs {
    measure: Measure,
    network: String,
    batch_size: usize,
    mode: Mode,
    threads: usize,
    /// What time is measured with, beside without.
    variant: Option<Variant>,
}

/// Which measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Measure {
    /// The growth of resident memory.
    Resident,
    /// The time of steps with and without recomputation.
    Time,
}

/// Measures, and prints what was found.
///
/// # Errors
/// An unknown network, a failed step.
pub fn subject(args: &SubjectArgs) -> Result<()> {
    let rt = ::varflow::runtime(args.threads)?;
    let case = Case::new(&rt.registry, &args.network, args.batch_size)?;
    match args.measure {
        Measure::Resident => resident::measure(&rt, &case, args.mode),
        Measure::Time => {
            let variant = args.variant.ok_or("what is time to be measured with?")?;
            time::measure(&rt, &case, args.mode, variant)
        }
    }
}

/// Starts a measurement and collects what it finds.
pub(super) fn run(
    measure: Measure,
    case: &Case,
    mode: Mode,
    threads: u16,
    variant: Option<Variant>,
) -> Result<Vec<Sample>> {
    let value =
        |value: Option<clap::builder::PossibleValue>| value.map_or_else(String::new, |v| v.get_name().to_string());
    let args = [value(measure.to_possible_value()), case.network.clone(), case.batch_size.to_string()];
    let args = args.into_iter().chain([value(mode.to_possible_value()), threads.to_string()]);
    let args = args.chain(variant.map(|v| v.to_string()));
    let contender = Contender {
        system: "varflow",
        variant: "Executor".to_string(),
        workers: threads.into(),
        program: env::current_exe()?,
        args: ["subject", "memory"].into_iter().map(Into::into).chain(args.map(Into::into)).collect(),
        env: Vec::new(),
    };
    let samples = contender.run(Setting::Free, &[], LIMIT);
    samples.map_err(|e| format!("varflow, {}, {mode}: {e}", case.network).into())
}

/// The value of a workload.
pub(super) fn value(samples: &[Sample], workload: &str) -> Result<f64> {
    let sample = samples.iter().find(|s| s.workload == workload);
    sample.map(|s| s.value).ok_or_else(|| format!("the process tells no {workload}").into())
}

pub(super) fn emit(workload: &str, unit: &str, value: f64) {
    let version = env!("CARGO_PKG_VERSION");
    println!("{}", json!({"version": version, "workload": workload, "unit": unit, "value": value}));
}
