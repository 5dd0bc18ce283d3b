//! Table `plugin`: what a call into a plug-in costs beside the same kernel built in, what it costs to load one, to write one and to
//! check one.
//!
//! The plug-in is the example `hard_sigmoid.c`. Its counterpart is the same operator with a kernel in Rust that does the same.

use crate::contender::Contender;
use crate::report::{Bound, Verdict};
use crate::rounds::{Results, Rounds, Row, Turn, median};
use crate::setting::Setting;
use crate::{Common, Result, paths, report};
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use varflow::Runtime;
use varflow::engine::Engine;
use varflow::ops::plugin::Library;
use varflow::ops::{
    Attrs, BoundOp, DeviceKind, KernelCtx, Pair, Provider, Registry, Result as OpsResult, Run, Shape, Tensor, bind,
};

/// The most nanoseconds that a call into a plug-in may cost more.
const CALL_NS: f64 = 100.0;
/// The most milliseconds that loading and installing may take.
const LOAD_MS: f64 = 5.0;
/// The most seconds that the check of an operator may take.
const CHECK_S: f64 = 10.0;
/// The most lines of an operator with its gradient, in Rust and in C.
const LINES: [f64; 2] = [40.0, 80.0];
/// Calls of a measurement.
const CALLS: usize = 100_000;
const SOURCE: &str = include_str!("../../ops/abi/examples/hard_sigmoid.c");
const RUST_SOURCE: &str = include_str!("../../ops/sdk/examples/swish.rs");
const HEADER: &str = include_str!("../../ops/abi/include/varflow_plugin.h");

/// `varflow-bench plugin`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    common: Common,
}

/// What one side measures.
#[derive(clap::Args)]
pub struct SubjectArgs {
    file: PathBuf,
}

/// Measures and prints the table.
///
/// # Errors
/// When there is no C compiler, or the results cannot be kept.
pub fn run(args: &Args) -> Result<()> {
    let file = compiled()?;
    let contender = Contender {
        system: "varflow",
        variant: "plug-in".to_string(),
        workers: 0,
        program: env::current_exe()?,
        args: ["subject", "plugin"].map(OsString::from).into(),
        env: Vec::new(),
    };
    let turns = [Turn { contender, args: vec![file.into()] }];
    let mut results = Results::default();
    let rounds =
        Rounds { reps: args.common.reps, settings: &[Setting::Free], limit: Duration::from_secs(120), digest: Ok };
    rounds.run("plugin", &turns, &mut results)?;
    let has_check = results.rows.iter().any(|r| r.unit == "s");
    let missing = (!has_check).then(|| "plugin check: build it with cargo build --release -p varflow-cli".to_string());
    let missing: Vec<String> = missing.into_iter().collect();
    report::finish(&args.common, "plugin", &results, &verdicts(&results.rows), &missing)
}

fn verdicts(rows: &[Row]) -> Vec<Verdict> {
    let limits = [
        ("call overhead", CALL_NS),
        ("load and install", LOAD_MS),
        ("check of an operator", CHECK_S),
        ("operator in Rust", LINES[0]),
        ("operator in C", LINES[1]),
    ];
    let verdict = |(workload, limit): (&str, f64)| {
        let row = rows.iter().find(|r| r.workload == workload)?;
        let what = format!("{workload}, {}, over what is allowed", row.unit);
        let ours = row.median();
        Some(Verdict { what, ours, theirs: limit, ratio: ours / limit, wanted: Bound::AtMost(1.0) })
    };
    limits.into_iter().filter_map(verdict).collect()
}

/// The example as a dylib.
fn compiled() -> Result<PathBuf> {
    let folder = paths::unpacked("plugin", &[("hard_sigmoid.c", SOURCE), ("varflow_plugin.h", HEADER)], "")?;
    let file = folder.join("libhard_sigmoid.so");
    if !file.exists() {
        let unfinished = folder.join(format!("hard_sigmoid.{}", std::process::id()));
        let mut cc = Command::new("cc");
        cc.args(["-O2", "-shared", "-fPIC"]).arg(folder.join("hard_sigmoid.c")).arg("-o").arg(&unfinished);
        let output = cc.output().map_err(|e| format!("cc: {e}"))?;
        if !output.status.success() {
            return Err(format!("cc: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        std::fs::rename(&unfinished, &file)?;
    }
    Ok(file)
}

/// Measures, and prints what was found.
///
/// # Errors
/// A plug-in that cannot be loaded, or computes something else than the kernel beside it.
pub fn subject(args: &SubjectArgs) -> Result<()> {
    emit("load and install", "ms", load_ms(&args.file)?);
    emit("operator in Rust", "lines", RUST_SOURCE.lines().count() as f64);
    emit("operator in C", "lines", SOURCE.lines().count() as f64);
    if let Some(seconds) = check_s(&args.file)? {
        emit("check of an operator", "s", seconds);
    }
    let plugin = Side::new(|registry| registry.load(&args.file).map(drop))?;
    let built_in = Side::new(|registry| {
        registry.load(&args.file)?;
        // Preferred to the plug-in's own.
        let twin = Provider { preference: 1, ..Provider::new("twin") };
        registry.install(twin.kernel("HardSigmoid", DeviceKind::Cpu, |call| {
            let (alpha, beta) = (call.params.float("alpha") as f32, call.params.float("beta") as f32);
            Ok(Box::new(move |ctx: &mut KernelCtx<'_>| hard_sigmoid(ctx, alpha, beta)))
        }))
    })?;
    if plugin.result()? != built_in.result()? {
        return Err("the plug-in and its counterpart give different results".into());
    }
    let (mut there, mut here, mut more) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..21 {
        let (a, b) = (plugin.ns_a_call()?, built_in.ns_a_call()?);
        there.push(a);
        here.push(b);
        more.push(a - b);
    }
    emit("call of a plug-in", "ns", median(&there));
    emit("call of the same built in", "ns", median(&here));
    emit("call overhead", "ns", median(&more));
    Ok(())
}

fn emit(workload: &str, unit: &str, value: f64) {
    let version = env!("CARGO_PKG_VERSION");
    println!("{}", serde_json::json!({"version": version, "workload": workload, "unit": unit, "value": value}));
}

fn hard_sigmoid(ctx: &mut KernelCtx<'_>, alpha: f32, beta: f32) -> OpsResult<()> {
    let f = |x: f32| (alpha * x + beta).clamp(0.0, 1.0);
    match ctx.pair::<f32>(0, 0)? {
        Pair::Same(data) => data.iter_mut().for_each(|x| *x = f(*x)),
        Pair::Apart(data, output) => output.iter_mut().zip(data).for_each(|(y, x)| *y = f(*x)),
    }
    Ok(())
}

/// Loads a file that this process has not seen yet each time: the system would hand out the one that is there.
fn load_ms(file: &Path) -> Result<f64> {
    let folder = paths::TemporaryFolder::new()?;
    let mut times = Vec::new();
    for i in 0..9 {
        let copy = folder.path().join(format!("{i}.so"));
        std::fs::copy(file, &copy)?;
        let mut registry = varflow::registry()?;
        let start = Instant::now();
        let library: Library = registry.load(&copy)?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
        drop(library);
    }
    Ok(median(&times))
}

/// How long `varflow plugin check` takes, if that program lies beside this one.
fn check_s(file: &Path) -> Result<Option<f64>> {
    let program = env::current_exe()?.with_file_name("varflow");
    if !program.is_file() {
        return Ok(None);
    }
    let start = Instant::now();
    let output = Command::new(program).args(["plugin", "check"]).arg(file).output()?;
    let seconds = start.elapsed().as_secs_f64();
    match output.status.success() {
        true => Ok(Some(seconds)),
        false => Err(format!("plugin check: {}", String::from_utf8_lossy(&output.stdout)).into()),
    }
}

/// The operator bound to one element, so that a run is nothing but the call.
struct Side {
    rt: Runtime,
    op: BoundOp,
    output: Tensor,
}

impl Side {
    fn new(load: impl Fn(&mut Registry) -> OpsResult<()>) -> Result<Side> {
        let mut registry = varflow::registry()?;
        load(&mut registry)?;
        let rt = Runtime::new(Engine::serial(), registry);
        let op = rt.registry.operator("HardSigmoid")?.clone();
        let params = op.schema().parse(&Attrs::new())?;
        let input = Tensor::from_slice(&rt.engine, Shape::from([1]), &[0.75_f32])?;
        let output = Tensor::from_slice(&rt.engine, Shape::from([1]), &[0_f32])?;
        let bound = bind(&rt.registry, &*op, &params, "call", &[input], vec![output.clone()], true)?;
        Ok(Side { rt, op: bound, output })
    }

    fn result(&self) -> Result<Vec<f32>> {
        self.op.push(&self.rt.engine, None, Run::default());
        Ok(self.output.to_vec()?)
    }

    fn ns_a_call(&self) -> Result<f64> {
        let start = Instant::now();
        (0..CALLS).for_each(|_| self.op.push(&self.rt.engine, None, Run::default()));
        self.rt.engine.wait_all()?;
        Ok(start.elapsed().as_secs_f64() / CALLS as f64 * 1e9)
    }
}
