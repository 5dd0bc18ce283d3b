//! The engines that take part, each as programs to run.

use crate::contender::Contender;
use crate::{Common, Result, paths, peers};
use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

/// One engine in one configuration, and which measures mean something for it.
pub struct Entrant {
    /// Who.
    pub contender: Contender,
    /// Whether its workers are threads apart from the one that pushes: then it has a latency.
    pub has_own_workers: bool,
    /// The most tasks that it is asked to keep pending; 0 where the pushing thread runs tasks itself.
    pub most_pending: u32,
    /// Whether it runs tasks side by side and tracks what they touch in the same run: then it has a smallest useful task.
    pub is_dynamic: bool,
    /// Its tasks in a throughput run are the usual number divided by this.
    pub fewer: u32,
}

const HEADER: (&str, &str) = ("peer.h", include_str!("../../peers/engine/peer.h"));

/// The entrants that are wanted and installed, varflow first, and what is missing.
///
/// # Errors
/// When this program cannot be found again.
pub fn entrants(common: &Common) -> Result<(Vec<Entrant>, Vec<String>)> {
    let mut found = Vec::new();
    let mut missing = Vec::new();
    if common.wants("varflow") {
        found.extend(varflow()?);
    }
    for peer in [peers::MXNET, peers::ONETBB, peers::OPENMP, peers::STARPU] {
        if !(common.peers && common.wants(peer.name)) {
            continue;
        }
        let entrants = peer.check().and_then(|()| match peer.name {
            "mxnet" => mxnet(),
            "onetbb" => onetbb(),
            "openmp" => openmp(),
            _ => starpu(),
        });
        match entrants {
            Ok(entrants) => found.extend(entrants),
            Err(e) => missing.push(e.to_string()),
        }
    }
    Ok((found, missing))
}

fn varflow() -> Result<Vec<Entrant>> {
    let program = env::current_exe()?;
    let entrant = |(variant, workers)| {
        let args = ["subject", "engine"].map(OsString::from);
        let contender = contender("varflow", variant, workers, &program, &args, Vec::new());
        let is_dynamic = variant == "raw";
        let most_pending = if is_dynamic { 10_000_000 } else { 0 };
        Entrant { contender, has_own_workers: is_dynamic, most_pending, is_dynamic, fewer: 1 }
    };
    Ok([("raw", 1), ("raw", 2), ("recorded", 1), ("recorded", 2)].map(entrant).into())
}

/// No engine: what the machine itself charges.
///
/// # Errors
/// When this program cannot be found again.
pub fn machine() -> Result<Contender> {
    let args = ["subject", "engine"].map(OsString::from);
    Ok(contender("machine", "raw", 1, &env::current_exe()?, &args, Vec::new()))
}

fn openmp() -> Result<Vec<Entrant>> {
    let program = build("openmp", include_str!("../../peers/engine/openmp.cpp"), &["-fopenmp"])?;
    let contender = contender("openmp", "depend", 2, &program, &[], Vec::new());
    Ok(vec![Entrant { contender, has_own_workers: false, most_pending: 0, is_dynamic: true, fewer: 1 }])
}

fn onetbb() -> Result<Vec<Entrant>> {
    let program = build("onetbb", include_str!("../../peers/engine/onetbb.cpp"), &["-ltbb"])?;
    let entrant = |variant: &str, is_dynamic| {
        let contender = contender("onetbb", variant, 2, &program, &[], Vec::new());
        let most_pending = if is_dynamic { 1_000_000 } else { 0 };
        Entrant { contender, has_own_workers: false, most_pending, is_dynamic, fewer: 1 }
    };
    Ok(vec![entrant("build and run", true), entrant("rerun", false)])
}

fn starpu() -> Result<Vec<Entrant>> {
    let flags = ["-I/usr/include/starpu/1.3", "-lstarpu-1.3"];
    let program = build("starpu", include_str!("../../peers/engine/starpu.cpp"), &flags)?;
    let entrant = |workers| {
        let env = [("STARPU_SILENT", "1"), ("STARPU_SCHED", "eager")].map(|(k, v)| (k, v.to_string()));
        let contender = contender("starpu", "eager", workers, &program, &[], env.into());
        Entrant { contender, has_own_workers: true, most_pending: 100_000, is_dynamic: true, fewer: 4 }
    };
    Ok([1, 2].map(entrant).into())
}

fn mxnet() -> Result<Vec<Entrant>> {
    let folder = peers::MXNET.module("mxnet")?;
    let folder = folder.to_str().ok_or_else(|| format!("{}: not UTF-8", folder.display()))?;
    let (include, lib, rpath) = (format!("-I{folder}/include"), format!("-L{folder}"), format!("-Wl,-rpath,{folder}"));
    let flags = [
        "-DDMLC_USE_CXX11=1",
        "-DMSHADOW_USE_CUDA=0",
        "-DMSHADOW_USE_MKL=0",
        "-DMSHADOW_USE_CBLAS=0",
        "-DMSHADOW_STAND_ALONE=1",
        "-DMSHADOW_USE_F16C=0",
        &include,
        &lib,
        "-lmxnet",
        &rpath,
        "-Wl,--allow-shlib-undefined",
    ];
    let program = build("mxnet", include_str!("../../peers/engine/mxnet.cpp"), &flags)?;
    let mut entrants = Vec::new();
    for (engine, most_workers) in [("ThreadedEnginePerDevice", 2), ("NaiveEngine", 1)] {
        for (way, workers) in ["cached", "pushed"].into_iter().flat_map(|v| (1..=most_workers).map(move |w| (v, w))) {
            let mut env = vec![("MXNET_ENGINE_TYPE", engine.to_string()), ("OMP_NUM_THREADS", "1".to_string())];
            env.push(("MXNET_CPU_WORKER_NTHREADS", workers.to_string()));
            let mut contender = contender("mxnet", way, workers, &program, &[], env);
            contender.variant = format!("{engine} {way}");
            let threaded = most_workers > 1;
            let most_pending = if threaded { 1_000_000 } else { 0 };
            entrants.push(Entrant {
                contender,
                has_own_workers: threaded,
                most_pending,
                is_dynamic: threaded,
                fewer: 1,
            });
        }
    }
    Ok(entrants)
}

/// A contender that is called with `args`, the variant and the number of workers.
fn contender(
    system: &'static str,
    variant: &str,
    workers: usize,
    program: &std::path::Path,
    args: &[OsString],
    env: Vec<(&'static str, String)>,
) -> Contender {
    let mut args = args.to_vec();
    args.extend([variant.into(), workers.to_string().into()]);
    Contender { system, variant: variant.to_string(), workers, program: program.to_path_buf(), args, env }
}

/// Compiles a peer's program, unless that was done before.
fn build(name: &str, source: &str, flags: &[&str]) -> Result<PathBuf> {
    let file = format!("{name}.cpp");
    let folder = paths::unpacked(name, &[HEADER, (&file, source)], &flags.join(" "))?;
    let program = folder.join(name);
    if program.exists() {
        return Ok(program);
    }
    let unfinished = folder.join(format!("{name}.{}", std::process::id()));
    let mut command = Command::new("g++");
    command.args(["-O2", "-std=c++17", "-w", "-pthread"]).arg(folder.join(file)).arg("-o").arg(&unfinished).args(flags);
    let output = command.output().map_err(|e| format!("g++: {e}"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let first = text.lines().find(|l| l.contains("error")).unwrap_or("no message");
        return Err(format!("{name} cannot be compiled: {first}").into());
    }
    std::fs::rename(&unfinished, &program)?;
    Ok(program)
}
