//! MXNet's side: a Python process for each network, fed with the symbol JSON that varflow writes.

use super::case::{Case, Mode};
use crate::contender::{Contender, Sample};
use crate::paths::{self, TemporaryFolder};
use crate::setting::Setting;
use crate::{Result, peers};
use serde_json::{Map, json};
use std::ffi::OsString;
use std::time::Duration;
use varflow::symbol::json as symbol_json;

const SCRIPT: (&str, &str) = ("memory_mxnet.py", include_str!("../../peers/memory_mxnet.py"));
/// How long one process may take.
const LIMIT: Duration = Duration::from_secs(1200);

/// MXNet, installed.
pub struct Mxnet {
    folder: TemporaryFolder,
    contender: Contender,
}

/// What MXNet plans for intermediate results and workspaces, in units of 2^20 bytes, rounded down: it tells no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PeerPlan {
    /// Samples a batch.
    pub batch_size: usize,
    /// For training.
    pub training_mb: u64,
    /// For inference.
    pub inference_mb: u64,
}

impl PeerPlan {
    /// The figure of a mode.
    pub fn mb(&self, mode: Mode) -> u64 {
        if mode == Mode::Training { self.training_mb } else { self.inference_mb }
    }
}

impl Mxnet {
    /// MXNet in the peers' folder.
    ///
    /// # Errors
    /// When it is not installed: how to install it.
    pub fn new(threads: u16) -> Result<Mxnet> {
        peers::MXNET.check()?;
        let script = paths::unpacked("memory", &[SCRIPT], "")?.join(SCRIPT.0);
        let contender = Contender {
            system: "mxnet",
            variant: "Executor".to_string(),
            workers: threads.into(),
            program: peers::MXNET.python()?,
            args: vec![script.into()],
            // Else oneDNN merges nodes before they are planned for inference, and the plan is not of the same graph.
            env: vec![("MXNET_SUBGRAPH_BACKEND", "NONE".to_string()), ("OMP_NUM_THREADS", threads.to_string())],
        };
        Ok(Mxnet { folder: TemporaryFolder::new()?, contender })
    }

    /// What it plans, and its version.
    ///
    /// # Errors
    /// What MXNet says.
    pub fn plan(&self, case: &Case) -> Result<(PeerPlan, String)> {
        let samples = self.ask("plan", case, &[])?;
        let mb = |mode: Mode| {
            let sample = samples.iter().find(|s| s.workload == mode.to_string() && s.unit == "MB");
            // A whole number of megabytes is no more than a u64 holds.
            sample.map(|s| s.value as u64).ok_or_else(|| format!("MXNet tells no plan for {mode}"))
        };
        let plan = PeerPlan {
            batch_size: case.batch_size,
            training_mb: mb(Mode::Training)?,
            inference_mb: mb(Mode::Inference)?,
        };
        Ok((plan, samples.first().map_or_else(String::new, |s| s.version.clone())))
    }

    /// By how many bytes resident memory grows when it binds and runs, after `warm_up` did.
    ///
    /// # Errors
    /// What MXNet says.
    pub fn resident_bytes(&self, case: &Case, mode: Mode, warm_up: &Case) -> Result<f64> {
        let [symbol, inputs] = self.network(warm_up, "warm-up-symbol.json")?;
        let samples = self.ask("run", case, &[mode.to_string().into(), symbol, inputs])?;
        samples.first().map(|s| s.value).ok_or_else(|| "MXNet tells nothing".into())
    }

    fn ask(&self, what: &str, case: &Case, more: &[OsString]) -> Result<Vec<Sample>> {
        let [symbol, inputs] = self.network(case, "symbol.json")?;
        let mut args = vec![what.into(), symbol, inputs];
        args.extend_from_slice(more);
        let samples = self.contender.run(Setting::Free, &args, LIMIT);
        samples.map_err(|e| format!("mxnet, {}: {e}", case.network).into())
    }

    /// A network as the script wants it: its file, and the shapes of its inputs.
    fn network(&self, case: &Case, file: &str) -> Result<[OsString; 2]> {
        let symbol = self.folder.path().join(file);
        symbol_json::save(&symbol, &case.graph)?;
        let inputs: Map<_, _> = case.inputs.iter().map(|(name, shape)| (name.clone(), json!(shape.dims()))).collect();
        Ok([symbol.into(), json!(inputs).to_string().into()])
    }
}
