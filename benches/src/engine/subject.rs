//! varflow's side of the engine table: the counterpart of the programs in `benches/peers/engine`, with the same arguments,
//! measures and output. Runs in a process of its own.

use super::floor;
use super::workload::Workload;
use crate::rounds::median;
use crate::{Result, proc_status};
use serde_json::json;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use varflow::engine::{Engine, Var, WatchOptions};

/// What to measure.
#[derive(clap::Args)]
pub struct SubjectArgs {
    variant: Variant,
    workers: usize,
    #[command(subcommand)]
    measure: Measure,
}

/// How the engine is used.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Variant {
    /// Each task is pushed.
    Raw,
    /// The tasks are recorded once, with all vars inside the schedule, and submitted at once.
    Recorded,
}

#[derive(clap::Subcommand)]
enum Measure {
    Throughput { workloads: Vec<Named> },
    Latency,
    Pending { workloads: Vec<Named> },
    Grain { workload: Named, iterations: Vec<u64> },
    Observed { workload: Named },
    Floor,
}

/// `NAME=FILE`.
#[derive(Clone, Debug)]
struct Named {
    name: String,
    path: PathBuf,
}

impl std::str::FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (name, path) = text.split_once('=').ok_or_else(|| format!("{text}: wanted NAME=FILE"))?;
        Ok(Named { name: name.to_string(), path: path.into() })
    }
}

impl Named {
    fn load(&self) -> Result<Workload> {
        Workload::load(&self.path).map_err(|e| format!("{}: {e}", self.path.display()).into())
    }
}

/// Measures, and prints what was found.
///
/// # Errors
/// A workload that cannot be read, a task that fails, tasks that did not run once.
pub fn subject(args: &SubjectArgs) -> Result<()> {
    let engine = Engine::builder().cpu_workers(args.workers).build()?;
    match &args.measure {
        Measure::Throughput { workloads } => {
            for named in workloads {
                let workload = named.load()?;
                let seconds = match args.variant {
                    Variant::Raw => {
                        let program = Program::new(&engine, &workload);
                        program.warm_up()?;
                        median_of_five(|| program.run(|| ()))?
                    }
                    Variant::Recorded => recorded(&engine, &workload)?,
                };
                emit(&named.name, "Mtasks/s", f64::from(workload.len()) / seconds / 1e6, None);
            }
        }
        Measure::Latency => latency(&engine)?,
        Measure::Floor => floor::measure().into_iter().for_each(|(name, ns)| emit(name, "ns", ns, None)),
        Measure::Pending { workloads } => {
            for named in workloads {
                pending(&engine, &named.name, &named.load()?)?;
            }
        }
        Measure::Observed { workload } => observed(&engine, &workload.load()?)?,
        Measure::Grain { workload, iterations } => {
            grain(&engine, args.workers, &workload.name, &workload.load()?, iterations)?;
        }
    }
    Ok(())
}

fn emit(workload: &str, unit: &str, value: f64, grain_us: Option<f64>) {
    let version = env!("CARGO_PKG_VERSION");
    let line = json!({"version": version, "workload": workload, "unit": unit, "value": value, "grain_us": grain_us});
    println!("{line}");
}

/// A workload made ready for an engine.
struct Program<'a> {
    engine: &'a Engine,
    workload: &'a Workload,
    vars: Vec<Var>,
}

impl<'a> Program<'a> {
    fn new(engine: &'a Engine, workload: &'a Workload) -> Self {
        Program { engine, workload, vars: (0..workload.vars()).map(|_| engine.var()).collect() }
    }

    /// Pushes all tasks.
    fn submit(&self, body: impl Fn() + Copy + Send + 'static) {
        for accesses in self.workload.tasks() {
            let mut task = self.engine.raw("task");
            for read in accesses.reads {
                task = task.read(&self.vars[*read as usize]);
            }
            task.write(&self.vars[accesses.write as usize]).run(move |_| body());
        }
    }

    /// Seconds from the first push until all tasks are done.
    fn run(&self, body: impl Fn() + Copy + Send + 'static) -> Result<f64> {
        let start = Instant::now();
        self.submit(body);
        self.engine.wait_all()?;
        Ok(start.elapsed().as_secs_f64())
    }

    /// Runs once unmeasured, and makes sure that every task ran once.
    fn warm_up(&self) -> Result<()> {
        COUNTED.store(0, Ordering::Relaxed);
        self.run(|| {
            COUNTED.fetch_add(1, Ordering::Relaxed);
        })?;
        check_count(self.workload)
    }
}

/// Seconds from the submission of a recorded schedule until all its tasks are done.
fn recorded(engine: &Engine, workload: &Workload) -> Result<f64> {
    let record = |body: fn()| {
        let mut recorder = engine.recorder("workload");
        let vars: Vec<Var> = (0..workload.vars()).map(|_| recorder.var()).collect();
        for accesses in workload.tasks() {
            let mut task = engine.raw("task");
            for read in accesses.reads {
                task = task.read(&vars[*read as usize]);
            }
            task.write(&vars[accesses.write as usize]).record(&mut recorder, move |_| body());
        }
        recorder.finish()
    };
    COUNTED.store(0, Ordering::Relaxed);
    let counting = record(|| {
        COUNTED.fetch_add(1, Ordering::Relaxed);
    })?;
    counting.submit();
    counting.wait()?;
    check_count(workload)?;
    drop(counting);
    let schedule = record(|| ())?;
    let run = || {
        let start = Instant::now();
        schedule.submit();
        engine.wait_all()?;
        Ok(start.elapsed().as_secs_f64())
    };
    run()?;
    median_of_five(run)
}

fn median_of_five(run: impl Fn() -> Result<f64>) -> Result<f64> {
    let times = (0..5).map(|_| run()).collect::<Result<Vec<f64>>>()?;
    Ok(median(&times))
}

static COUNTED: AtomicU64 = AtomicU64::new(0);

fn check_count(workload: &Workload) -> Result<()> {
    let (ran, all) = (COUNTED.load(Ordering::Relaxed), workload.len());
    if ran == u64::from(all) { Ok(()) } else { Err(format!("ran {ran} of {all} tasks").into()) }
}

/// From before a push until its task starts, the workers having been idle for a millisecond.
fn latency(engine: &Engine) -> Result<()> {
    // Nanoseconds since `epoch`, which is set before any task starts.
    static STARTED: AtomicU64 = AtomicU64::new(0);
    let single = Workload::single();
    let program = Program::new(engine, &single);
    program.warm_up()?;
    let epoch = Instant::now();
    let mut times = Vec::new();
    for _ in 0..400 {
        thread::sleep(Duration::from_millis(1));
        let pushed = epoch.elapsed().as_nanos() as u64;
        program.run(move || STARTED.store(epoch.elapsed().as_nanos() as u64, Ordering::Relaxed))?;
        times.push(STARTED.load(Ordering::Relaxed).saturating_sub(pushed) as f64 / 1e3);
    }
    emit("push to start", "us", median(&times), None);
    Ok(())
}

/// The first task of a pending workload is still to come, waits, or may go.
static GATE: AtomicU8 = AtomicU8::new(OPEN);
const TO_COME: u8 = 2;
const SHUT: u8 = 1;
const OPEN: u8 = 0;

/// Holds up the first task that calls it; the others of its workload cannot start before that one is done.
fn hold_up() {
    if GATE.compare_exchange(TO_COME, SHUT, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
        while GATE.load(Ordering::Acquire) == SHUT {
            thread::yield_now();
        }
    }
}

/// What pending tasks cost, when all wait behind the first one: memory from a first round, time from those after it.
fn pending(engine: &Engine, name: &str, workload: &Workload) -> Result<()> {
    let program = Program::new(engine, workload);
    let tasks = workload.len();
    let rounds = (200_000 / tasks).max(1);
    let before = proc_status::bytes("VmRSS")?;
    let mut bytes = 0.0;
    let mut seconds = 0.0;
    for round in 0..=rounds {
        GATE.store(TO_COME, Ordering::Release);
        let start = Instant::now();
        program.submit(hold_up);
        let pushing = start.elapsed().as_secs_f64();
        if round == 0 {
            bytes = proc_status::bytes("VmRSS")? - before;
        }
        let start = Instant::now();
        GATE.store(OPEN, Ordering::Release);
        engine.wait_all()?;
        if round > 0 {
            seconds += pushing + start.elapsed().as_secs_f64();
        }
    }
    emit(name, "ns/task", seconds / f64::from(tasks) / f64::from(rounds) * 1e9, None);
    emit(name, "bytes/task", bytes / f64::from(tasks), None);
    Ok(())
}

/// A chain of dependent multiplications: no memory, nothing to predict, one core.
fn work(iterations: u64) {
    let mut x = 1_u64;
    for _ in 0..iterations {
        x = black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
    }
}

/// How much longer tasks of 10 µs take while a watch records them: medians of alternating runs.
fn observed(engine: &Engine, workload: &Workload) -> Result<()> {
    const BODY_SECONDS: f64 = 10e-6;
    let iterations = (BODY_SECONDS / seconds_per_iteration()) as u64;
    let program = Program::new(engine, workload);
    program.warm_up()?;
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..7 {
        times[0].push(program.run(move || work(iterations))?);
        let watch = engine.observe(WatchOptions::default())?;
        times[1].push(program.run(move || work(iterations))?);
        let lost = watch.stop().lost;
        if lost > 0 {
            return Err(format!("{lost} events were lost").into());
        }
    }
    emit("observed tasks of 10 us", "time over unobserved", median(&times[1]) / median(&times[0]), None);
    Ok(())
}

fn seconds_per_iteration() -> f64 {
    const MANY: u64 = 20_000_000;
    work(MANY);
    let start = Instant::now();
    work(MANY);
    start.elapsed().as_secs_f64() / MANY as f64
}

/// For bodies of each length: the time that all bodies would take on as many cores as there are workers, over the time
/// that it took.
fn grain(engine: &Engine, workers: usize, name: &str, workload: &Workload, counts: &[u64]) -> Result<()> {
    let each = seconds_per_iteration();
    let program = Program::new(engine, workload);
    program.warm_up()?;
    for count in counts {
        let count = *count;
        let seconds = program.run(move || work(count))?;
        let body = count as f64 * each;
        emit(name, "efficiency", f64::from(workload.len()) * body / workers as f64 / seconds, Some(body * 1e6));
    }
    Ok(())
}

/// The arguments after the worker count, for a workload kept in a file.
pub fn named(name: &str, path: &Path) -> std::ffi::OsString {
    let mut arg = std::ffi::OsString::from(format!("{name}="));
    arg.push(path);
    arg
}
