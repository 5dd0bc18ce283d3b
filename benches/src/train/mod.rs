//! Table `train`: training steps on synthetic batches in memory, beside MXNet's Module and PyTorch.

mod subject;

pub use subject::{SubjectArgs, subject};

use crate::contender::Contender;
use crate::report::{Bound, Verdict};
use crate::rounds::{Results, Rounds, Row, Turn};
use crate::setting::Setting;
use crate::{Common, Result, paths, peers, report};
use std::env;
use std::ffi::OsString;
use std::time::Duration;

/// varflow's speed over that of its best peer.
const WANTED: f64 = 1.5;

const SCRIPTS: [(&str, &str); 2] = [
    ("train_mxnet.py", include_str!("../../peers/train_mxnet.py")),
    ("train_torch.py", include_str!("../../peers/train_torch.py")),
];

/// `varflow-bench train`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// Train these networks only
    #[arg(long, value_name = "NAME", value_parser = NETWORKS)]
    network: Vec<String>,
    /// Samples a batch
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65536))]
    batch_size: u32,
    /// Threads that compute
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: u32,
    /// Seconds that each measurement lasts
    #[arg(long, default_value_t = 3.0, value_name = "S")]
    seconds: f64,
    /// Measure torch.compile too
    #[arg(long)]
    compile: bool,
}

const NETWORKS: [&str; 2] = ["mlp", "lenet"];

/// Measures and prints the table.
///
/// # Errors
/// When varflow cannot be measured, or the results cannot be kept.
pub fn run(args: &Args) -> Result<()> {
    let (contenders, missing) = contenders(args)?;
    let networks: Vec<&str> =
        NETWORKS.into_iter().filter(|n| args.network.is_empty() || args.network.iter().any(|w| w == n)).collect();
    let mut results = Results::default();
    for network in networks {
        let turn = |contender: &Contender| {
            let numbers = [args.batch_size.to_string(), args.threads.to_string(), args.seconds.to_string()];
            let rest = std::iter::once(network.to_string()).chain(numbers).map(OsString::from).collect();
            Turn { contender: contender.clone(), args: rest }
        };
        let turns: Vec<Turn> = contenders.iter().map(turn).collect();
        let limit = Duration::from_secs_f64(180.0 + 10.0 * args.seconds.clamp(0.0, 1e6));
        let rounds = Rounds { reps: args.common.reps, settings: &[Setting::Free], limit, digest: Ok };
        rounds.run(network, &turns, &mut results)?;
    }
    report::finish(&args.common, "train", &results, &verdicts(&results.rows), &missing)
}

/// Those that are wanted and installed, and what is missing.
fn contenders(args: &Args) -> Result<(Vec<Contender>, Vec<String>)> {
    let common = &args.common;
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    let workers = args.threads as usize;
    if common.wants("varflow") {
        let (program, args) = (env::current_exe()?, ["subject", "train"].map(OsString::from).into());
        found.push(Contender {
            system: "varflow",
            variant: "Module".to_string(),
            workers,
            program,
            args,
            env: Vec::new(),
        });
    }
    let scripts = paths::unpacked("train", &SCRIPTS, "")?;
    let mut python = |peer: &peers::Peer, script: &str, variant: &str, flag: Option<&str>| -> Result<()> {
        if !(common.peers && common.wants(peer.name)) {
            return Ok(());
        }
        if let Err(e) = peer.check() {
            missing.push(e.to_string());
            return Ok(());
        }
        let args = flag.into_iter().map(OsString::from);
        let args = std::iter::once(scripts.join(script).into_os_string()).chain(args).collect();
        let env = vec![("OMP_NUM_THREADS", workers.to_string())];
        let (system, variant, program) = (peer.name, variant.to_string(), peer.python()?);
        found.push(Contender { system, variant, workers, program, args, env });
        Ok(())
    };
    python(&peers::MXNET, "train_mxnet.py", "Module", None)?;
    python(&peers::TORCH, "train_torch.py", "eager", None)?;
    if args.compile {
        python(&peers::TORCH, "train_torch.py", "compile", Some("--compile"))?;
    }
    missing.dedup();
    Ok((found, missing))
}

fn verdicts(rows: &[Row]) -> Vec<Verdict> {
    let ours = rows.iter().filter(|r| r.system == "varflow");
    let verdict = |ours: &Row| {
        let peers = rows.iter().filter(|r| r.workload == ours.workload && r.system != "varflow");
        let best = peers.max_by(|a, b| a.median().total_cmp(&b.median()))?;
        let what = format!("{}, over {} {}", ours.workload, best.system, best.variant);
        let (ours, theirs) = (ours.median(), best.median());
        Some(Verdict { what, ours, theirs, ratio: ours / theirs, wanted: Bound::AtLeast(WANTED) })
    };
    ours.filter_map(verdict).collect()
}
