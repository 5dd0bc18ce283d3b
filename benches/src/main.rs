//! Measures varflow, and its peers beside it in the same run. One table a subcommand; see `--help`.
//!
//! Every system runs in child processes of its own, under the same settings, and the systems take turns round by round, so
//! that what disturbs the machine disturbs all of them. Comparisons are ratios of medians.

mod agreement;
mod contender;
mod engine;
mod memory;
mod noise;
mod paths;
mod peers;
mod plugin;
mod proc_status;
mod report;
mod rounds;
mod setting;
mod train;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// What went wrong, told in a sentence.
type Error = Box<dyn std::error::Error>;
type Result<T> = std::result::Result<T, Error>;

/// Benchmarks of varflow, side by side with its peers.
#[derive(Parser)]
#[command(name = "varflow-bench", after_help = paths::HELP)]
struct Cli {
    #[command(subcommand)]
    table: Table,
}

#[derive(Subcommand)]
enum Table {
    /// The dependency engine: tasks a second, latency, cost and memory of pending tasks, smallest useful task
    Engine(engine::Args),
    /// Training: samples a second
    Train(train::Args),
    /// Agreement: the numbers of operators and networks beside MXNet's
    Agreement(agreement::Args),
    /// Memory: plans beside MXNet's, with recomputation and within a budget; resident memory
    Memory(memory::Args),
    /// Plug-ins: what a call costs beside the same kernel built in, and what loading costs
    Plugin(plugin::Args),
    /// The systems that varflow is compared with: what is installed, and how to install the rest
    Peers(peers::Args),
    /// One system's side of a measurement; started by the tables
    #[command(subcommand, hide = true)]
    Subject(Subject),
    /// Keeps one core busy until standard input closes
    #[command(hide = true)]
    Hog,
}

#[derive(Subcommand)]
enum Subject {
    Engine(engine::SubjectArgs),
    Train(train::SubjectArgs),
    Memory(memory::SubjectArgs),
    Plugin(plugin::SubjectArgs),
}

/// What every table takes.
#[derive(clap::Args)]
struct Common {
    /// Measure the installed peers too; the others are named
    #[arg(long)]
    peers: bool,
    /// Append one JSON object a result to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// How many times each system has its turn
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    reps: u32,
    /// Measure these systems only
    #[arg(long, value_name = "NAME")]
    system: Vec<String>,
}

impl Common {
    fn wants(&self, system: &str) -> bool {
        self.system.is_empty() || self.system.iter().any(|s| s == system)
    }
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().table {
        Table::Engine(args) => engine::run(&args),
        Table::Train(args) => train::run(&args),
        Table::Plugin(args) => plugin::run(&args),
        Table::Agreement(args) => agreement::run(&args),
        Table::Memory(args) => memory::run(&args),
        Table::Peers(args) => peers::run(&args),
        Table::Subject(Subject::Engine(args)) => engine::subject(&args),
        Table::Subject(Subject::Train(args)) => train::subject(&args),
        Table::Subject(Subject::Memory(args)) => memory::subject(&args),
        Table::Subject(Subject::Plugin(args)) => plugin::subject(&args),
        Table::Hog => setting::hog(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("varflow-bench: {e}");
            ExitCode::FAILURE
        }
    }
}
