//! Table `engine`: what a task costs, beside OpenMP's depend clauses, oneTBB's flow graph, StarPU and MXNet's engine.
//!
//! Worker counts mean threads beside the one that pushes for varflow, MXNet and StarPU. OpenMP and oneTBB let the pushing
//! thread work: with 2 workers they have two threads. MXNet's NaiveEngine runs each task inside its push and tracks nothing.

mod floor;
mod metg;
mod subject;
mod systems;
mod targets;
mod workload;

pub use subject::{SubjectArgs, subject};

use crate::paths::TemporaryFolder;
use crate::rounds::{Digest, Results, Rounds, Turn};
use crate::setting::Setting;
use crate::{Common, Result, report};
use clap::ValueEnum;
use std::collections::HashMap;
use std::ffi::OsString;
use std::time::Duration;
use subject::named;
use systems::Entrant;
use workload::{Pattern, Workload};

/// Tasks of a run that looks for the smallest useful task.
const GRAIN_TASKS: u32 = 8000;

/// `varflow-bench engine`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// Tasks a throughput run (StarPU: a quarter)
    #[arg(long, default_value_t = 200_000, value_name = "N", value_parser = clap::value_parser!(u32).range(4..=100_000_000))]
    tasks: u32,
    /// Run these workloads only
    #[arg(long, value_enum, value_name = "NAME")]
    workload: Vec<Pattern>,
    /// Measure throughput in these settings only
    #[arg(long, value_enum, value_name = "NAME")]
    setting: Vec<Setting>,
    /// Take these measures only
    #[arg(long, value_enum, value_name = "NAME")]
    measure: Vec<Measure>,
    /// The most pending tasks, by powers of ten from 1000 on
    #[arg(long, default_value_t = 10_000_000, value_name = "N")]
    most_pending: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Measure {
    /// Millions of empty tasks a second, pushing included
    Throughput,
    /// From a push to the start of its task, workers idle
    Latency,
    /// Time and memory of a task while up to 10^7 wait behind one
    Pending,
    /// What it costs to observe tasks of 10 µs
    Observed,
    /// The task length at which half of the time goes into bodies, on the stencil
    Metg,
    /// What the machine charges for locks, and for lines and tasks that change cores
    Floor,
}

/// Measures and prints the table.
///
/// # Errors
/// When varflow cannot be measured, a setting cannot be made or the results cannot be kept.
pub fn run(args: &Args) -> Result<()> {
    let (entrants, missing) = systems::entrants(&args.common)?;
    let mut table = Table { args, entrants, files: Files::new()?, results: Results::default() };
    for measure in Measure::value_variants().iter().filter(|m| args.measure.is_empty() || args.measure.contains(m)) {
        match measure {
            Measure::Throughput => table.throughput()?,
            Measure::Latency => table.latency()?,
            Measure::Pending => table.pending()?,
            Measure::Observed => table.observed()?,
            Measure::Metg => table.metg()?,
            Measure::Floor => table.floor()?,
        }
    }
    let results = table.results;
    report::finish(&args.common, "engine", &results, &targets::verdicts(&results.rows), &missing)
}

struct Table<'a> {
    args: &'a Args,
    entrants: Vec<Entrant>,
    files: Files,
    results: Results,
}

impl Table<'_> {
    fn throughput(&mut self) -> Result<()> {
        let patterns: &[Pattern] = if self.args.workload.is_empty() { &Pattern::ALL } else { &self.args.workload };
        let mut turns = Vec::new();
        for entrant in &self.entrants {
            let mut args = vec!["throughput".into()];
            for pattern in patterns {
                let tasks = self.args.tasks / entrant.fewer;
                args.push(self.files.named(pattern.name(), tasks, || pattern.workload(tasks))?);
            }
            turns.push(Turn { contender: entrant.contender.clone(), args });
        }
        let all = [Setting::Free, Setting::Pinned, Setting::Busy];
        let settings = if self.args.setting.is_empty() { &all[..] } else { &self.args.setting };
        self.rounds(settings, Ok).run("throughput", &turns, &mut self.results)
    }

    fn latency(&mut self) -> Result<()> {
        let turns = self.turns(|e| e.has_own_workers, &["latency".into()]);
        self.rounds(&[Setting::Free], Ok).run("latency", &turns, &mut self.results)
    }

    fn pending(&mut self) -> Result<()> {
        let mut tasks = 1000;
        while tasks <= self.args.most_pending {
            let name = format!("{tasks} pending");
            let arg = self.files.named(&name, tasks, || Workload::pending(tasks))?;
            let args = ["pending".into(), arg];
            let turns = self.turns(|e| tasks <= e.most_pending, &args);
            self.rounds(&[Setting::Free], Ok).run(&name, &turns, &mut self.results)?;
            tasks = tasks.saturating_mul(10);
        }
        Ok(())
    }

    fn observed(&mut self) -> Result<()> {
        let arg = self.files.named("stencil", GRAIN_TASKS, || Pattern::Stencil.workload(GRAIN_TASKS))?;
        let turns = self.turns(|e| e.contender.system == "varflow" && e.is_dynamic, &["observed".into(), arg]);
        self.rounds(&[Setting::Free, Setting::Pinned], Ok).run("observation", &turns, &mut self.results)
    }

    fn metg(&mut self) -> Result<()> {
        let arg = self.files.named("stencil", GRAIN_TASKS, || Pattern::Stencil.workload(GRAIN_TASKS))?;
        let mut args = vec!["grain".into(), arg];
        args.extend(metg::ITERATIONS.map(|n| OsString::from(n.to_string())));
        let turns = self.turns(|e| e.is_dynamic, &args);
        self.rounds(&[Setting::Free], metg::digest).run("METG", &turns, &mut self.results)
    }

    fn floor(&mut self) -> Result<()> {
        let contender = systems::machine()?;
        let turns = [Turn { contender, args: vec!["floor".into()] }];
        self.rounds(&[Setting::Free, Setting::Pinned], Ok).run("floor", &turns, &mut self.results)
    }

    /// The same arguments for all whom they suit.
    fn turns(&self, suits: impl Fn(&Entrant) -> bool, args: &[OsString]) -> Vec<Turn> {
        let turn = |e: &Entrant| Turn { contender: e.contender.clone(), args: args.to_vec() };
        self.entrants.iter().filter(|e| suits(e)).map(turn).collect()
    }

    fn rounds<'s>(&self, settings: &'s [Setting], digest: Digest) -> Rounds<'s> {
        Rounds { reps: self.args.common.reps, settings, limit: Duration::from_secs(300), digest }
    }
}

/// Workloads in files, for programs to read.
struct Files {
    folder: TemporaryFolder,
    written: HashMap<(String, u32), OsString>,
}

impl Files {
    fn new() -> Result<Files> {
        Ok(Files { folder: TemporaryFolder::new()?, written: HashMap::new() })
    }

    /// The argument that names a workload, which is made if it is not there yet.
    fn named(&mut self, name: &str, tasks: u32, make: impl FnOnce() -> Workload) -> Result<OsString> {
        let key = (name.to_string(), tasks);
        if let Some(arg) = self.written.get(&key) {
            return Ok(arg.clone());
        }
        let path = self.folder.path().join(format!("{}-{tasks}", name.replace(' ', "-")));
        make().save(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let arg = named(name, &path);
        self.written.insert(key, arg.clone());
        Ok(arg)
    }
}
