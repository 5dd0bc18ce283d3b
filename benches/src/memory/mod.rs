//! Table `memory`: memory plans beside those of MXNet 1.9.1, and what networks really take. Both sides plan the same symbol JSON.

mod case;
mod mxnet;
mod plan;
mod references;
mod resident;
mod subject;
mod table;
mod time;

pub use subject::{SubjectArgs, subject};

use crate::report::verdict_table;
use crate::{Result, report};
use case::{Case, Mode};
use mxnet::Mxnet;
use references::{Against, References};
use std::path::PathBuf;
use time::Variant;
use varflow::zoo;

/// The networks that are planned unless others are asked for.
const NETWORKS: [&str; 9] = [
    "mlp",
    "lenet",
    "resnet-20",
    "inception-bn-28-small",
    "alexnet",
    "vgg-16",
    "resnet-50",
    "inception-bn",
    "resnet-152",
];
/// The networks whose batches are large: MXNet tells whole megabytes only.
const SMALL: [&str; 2] = ["mlp", "lenet"];
const SMALL_BATCH: usize = 1024;
const BATCH: usize = 32;
/// The networks that are timed unless others are asked for.
const TIMED: [&str; 5] = ["resnet-20", "inception-bn-28-small", "inception-bn", "resnet-50", "vgg-16"];
/// Batches of networks that are timed: smaller where a sample is large.
const TIMED_BATCH: usize = 32;
const TIMED_LARGE_BATCH: usize = 8;
/// Samples of this many numbers and more are large.
const LARGE_SAMPLE: usize = 10_000;

/// `varflow-bench memory`.
#[derive(clap::Args)]
pub struct Args {
    /// Compare with MXNet itself, where it is installed, and not with what it once gave
    #[arg(long)]
    peers: bool,
    /// Plan these networks only
    #[arg(long, value_name = "NETWORK", conflicts_with = "all")]
    only: Vec<String>,
    /// Plan every network of the zoo
    #[arg(long)]
    all: bool,
    /// Bind and run the networks too, and measure resident memory
    #[arg(long)]
    rss: bool,
    /// Time steps too: with cheap recomputation, budgets, the most concurrent plan and no passes, each beside without
    #[arg(long)]
    time: bool,
    /// Append one JSON object a plan and measurement to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write what MXNet plans to this file, as stored references
    #[arg(long, value_name = "FILE", requires = "peers")]
    store: Option<PathBuf>,
    /// Samples a batch [default: as in RESULTS.md, by network]
    #[arg(long, value_name = "N", conflicts_with = "store", value_parser = clap::value_parser!(u32).range(1..))]
    batch_size: Option<u32>,
    /// Threads that compute
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
}

impl Args {
    fn networks(&self) -> Vec<String> {
        if self.all { zoo::names().collect() } else { self.only_or(&NETWORKS) }
    }

    /// What is asked for, or what is usual.
    fn batch_size_or(&self, usual: usize) -> usize {
        self.batch_size.map_or(usual, |n| n as usize)
    }

    fn only_or(&self, usual: &[&str]) -> Vec<String> {
        if self.only.is_empty() { usual.iter().map(ToString::to_string).collect() } else { self.only.clone() }
    }
}

/// Plans, measures and prints the tables.
///
/// # Errors
/// A name that the zoo does not have, a network that cannot be planned or run, results that cannot be kept.
pub fn run(args: &Args) -> Result<()> {
    let registry = ::varflow::registry()?;
    let (mut against, mut missing) = against(args)?;
    let networks = args.networks();
    let batch_size = |network: &str| args.batch_size_or(if SMALL.contains(&network) { SMALL_BATCH } else { BATCH });
    // A mistyped name is told before minutes have passed.
    let cases = networks.iter().map(|n| Case::new(&registry, n, batch_size(n))).collect::<Result<Vec<_>>>()?;
    let mut rows = Vec::new();
    for case in &cases {
        eprintln!("{} …", case.network);
        let peer = against.plan(case).unwrap_or_else(|e| note(&mut missing, &*e));
        rows.extend(plan::rows(&registry, case, peer)?);
    }
    table::print_plans(&rows);
    let mut verdicts = plan::verdicts(&rows);
    table::print_notes(&against.origin());
    let mut lines = table::plan_lines(&rows, &against.origin());
    if args.rss {
        let mut rows = Vec::new();
        let warm_up = resident::warm_up(&registry)?;
        for case in &cases {
            for mode in Mode::ALL {
                eprintln!("{}, {mode}, resident …", case.network);
                let peer = against.mxnet().map(|mxnet| mxnet.resident_bytes(case, mode, &warm_up));
                let peer = peer.transpose().unwrap_or_else(|e| note(&mut missing, &*e));
                rows.push(resident::measured(case, mode, args.threads, peer)?);
            }
        }
        table::print_resident(&rows);
        verdicts.extend(rows.iter().map(resident::Resident::verdict));
        lines.extend(table::resident_lines(&rows));
    }
    if args.time {
        let mut times = Vec::new();
        for network in args.only_or(&TIMED) {
            let is_large = zoo::by_name(&network)?.data_shape.len() >= LARGE_SAMPLE;
            let batch_size = args.batch_size_or(if is_large { TIMED_LARGE_BATCH } else { TIMED_BATCH });
            let case = Case::new(&registry, &network, batch_size)?;
            let row = rows.iter().find(|row| row.network == network && row.mode == Mode::Training);
            // Nothing is cheap to compute again where the same plan comes out.
            let mut variants = Vec::new();
            if row.is_none_or(plan::Row::is_smaller_when_cheap) {
                variants.push((Mode::Training, Variant::Cheap));
            }
            // That of the batch that was planned, taken to this one.
            let budget = row.and_then(|row| Some(row.budget.as_ref()?.budget_bytes / row.batch_size * batch_size));
            variants.extend(budget.map(|bytes| (Mode::Training, Variant::Budget(bytes))));
            for mode in Mode::ALL {
                // Where nothing waits needlessly the plan is as concurrent as can be.
                let row = rows.iter().find(|row| row.network == network && row.mode == mode);
                if row.is_none_or(|row| row.plain.waits != Some(0)) {
                    variants.push((mode, Variant::Concurrent));
                }
                variants.push((mode, Variant::NoPasses));
            }
            for (mode, variant) in variants {
                eprintln!("{network}, {mode}, {variant}, timed …");
                let time = time::measured(&case, mode, variant, args.threads);
                times.extend(time.map_or_else(|e| note(&mut missing, &*e), Some));
            }
        }
        table::print_times(&times);
        verdicts.extend(times.iter().filter_map(time::Times::verdict));
        lines.extend(table::time_lines(&times));
    }
    let missed: Vec<_> = verdicts.iter().filter(|v| !v.reached()).cloned().collect();
    println!("\n## To reach\n\n{} of {} are reached.\n", verdicts.len() - missed.len(), verdicts.len());
    if !missed.is_empty() {
        println!("{}", verdict_table(&missed));
    }
    let unmeasured = [(args.rss, "resident memory (--rss)"), (args.time, "time by the clock (--time)")];
    unmeasured.iter().filter(|(measured, _)| !measured).for_each(|(_, what)| println!("not measured: {what}"));
    missing.iter().for_each(|m| println!("not compared with: {m}"));
    if let Some(path) = &args.json {
        report::append_lines(path, &lines)?;
    }
    match (&args.store, &against) {
        (Some(path), Against::Mxnet(_, made)) => made.save(path),
        _ => Ok(()),
    }
}

/// Takes down why a figure of the peer is missing.
fn note<T>(missing: &mut Vec<String>, why: &dyn std::error::Error) -> Option<T> {
    missing.push(why.to_string());
    None
}

/// What to compare with, and what is missing for better.
fn against(args: &Args) -> Result<(Against, Vec<String>)> {
    if !args.peers {
        return Ok((Against::Stored(References::stored()?), Vec::new()));
    }
    match Mxnet::new(args.threads) {
        Ok(mxnet) => Ok((Against::Mxnet(mxnet, References::default()), Vec::new())),
        Err(e) if args.store.is_some() => Err(e),
        Err(e) => Ok((Against::Stored(References::stored()?), vec![e.to_string()])),
    }
}
