//! What the engine's tests share: deadlines, and random programs with an interpreter of their own.
#![allow(dead_code, clippy::unwrap_used)]

use proptest::prelude::*;
#[cfg(shuttle)]
use shuttle::thread::{spawn, yield_now};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, RwLock, mpsc};
#[cfg(not(shuttle))]
use std::thread::{spawn, yield_now};
use std::time::Duration;
use varflow_engine::{BoxError, Completion, Engine, Mode, TaskCtx, Var};

/// Runs `body` on a thread and fails if it takes longer than `seconds`.
pub fn deadline<R: Send + 'static>(seconds: u64, body: impl FnOnce() -> R + Send + 'static) -> R {
    let (tx, rx) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let result = body();
        let _ = tx.send(());
        result
    });
    match rx.recv_timeout(Duration::from_secs(seconds)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("still running after {seconds} s"),
        _ => thread.join().unwrap_or_else(|p| std::panic::resume_unwind(p)),
    }
}

/// Runs a future to its end on this thread.
pub fn block_on<F: IntoFuture>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let mut future = std::pin::pin!(future.into_future());
    let waker = Arc::new(Unpark(std::thread::current())).into();
    loop {
        if let std::task::Poll::Ready(out) = future.as_mut().poll(&mut std::task::Context::from_waker(&waker)) {
            return out;
        }
        std::thread::park();
    }
}

/// What one task of a random program does.
#[derive(Clone, Debug)]
pub enum Act {
    /// Mixes what it reads into what it writes.
    Mix,
    /// The same, finished through a token, from another thread if so.
    MixAsync { elsewhere: bool },
    /// Returns an error.
    Fail,
    /// Panics.
    Panic,
    /// Drops its token.
    DropToken,
    /// Mixes by a parallel loop.
    Loop { n: usize },
    /// Pushes tasks over a var of its own and waits for them, then mixes.
    Nest { n: usize },
}

impl Act {
    pub fn fails(&self) -> bool {
        matches!(self, Act::Fail | Act::Panic | Act::DropToken)
    }
}

/// One task: the vars it names, in any order and repetition, and what it does.
#[derive(Clone, Debug)]
pub struct Step {
    pub accesses: Vec<(usize, Mode)>,
    pub act: Act,
    pub priority: i32,
}

impl Step {
    /// The accesses, each var once.
    pub fn joined(&self) -> Vec<(usize, Mode)> {
        let mut out: Vec<(usize, Mode)> = Vec::new();
        for &(v, m) in &self.accesses {
            match out.iter_mut().find(|(w, _)| *w == v) {
                // Not by the engine's own rule, which is checked against this one.
                Some((_, n)) if *n != m => *n = Mode::Write,
                Some(_) => {}
                None => out.push((v, m)),
            }
        }
        out.sort_by_key(|(v, _)| *v);
        out
    }
}

pub fn programs(vars: usize, len: usize) -> impl Strategy<Value = Vec<Step>> {
    let mode = prop_oneof![3 => Just(Mode::Read), 2 => Just(Mode::Write), 2 => Just(Mode::Overwrite)];
    let act = prop_oneof![
        30 => Just(Act::Mix),
        4 => any::<bool>().prop_map(|elsewhere| Act::MixAsync { elsewhere }),
        1 => Just(Act::Fail),
        1 => Just(Act::Panic),
        1 => Just(Act::DropToken),
        3 => (1_usize..20).prop_map(|n| Act::Loop { n }),
    ];
    let step = (prop::collection::vec((0..vars, mode), 1..6), act, prop_oneof![4 => Just(0), 1 => -3..4_i32])
        .prop_map(|(accesses, act, priority)| Step { accesses, act, priority });
    prop::collection::vec(step, 1..len)
}

/// What a var holds at the end: a number, or the index of the step whose failure poisons it.
pub type Ending = Result<u64, usize>;

fn mix(a: u64, b: u64) -> u64 {
    (a ^ b.wrapping_mul(0x9e37_79b9_7f4a_7c15)).rotate_left(23).wrapping_mul(0xff51_afd7_ed55_8ccd)
}

/// What the step puts into its written var number `nth`, given the values that it can see.
pub fn value(index: usize, nth: usize, seen: &[u64]) -> u64 {
    seen.iter().fold(mix(index as u64, nth as u64), |h, v| mix(h, *v))
}

/// Runs the program one step after the other, without any engine.
pub fn interpret(program: &[Step], vars: usize) -> Vec<Ending> {
    let mut state: Vec<Ending> = (0..vars).map(|v| Ok(v as u64)).collect();
    for (index, step) in program.iter().enumerate() {
        let accesses = step.joined();
        let seen: Result<Vec<u64>, usize> =
            accesses.iter().filter(|(_, m)| m.sees_old()).map(|(v, _)| state[*v]).collect();
        let seen = if step.act.fails() { seen.and(Err(index)) } else { seen };
        for (nth, (v, _)) in accesses.iter().filter(|(_, m)| m.is_exclusive()).enumerate() {
            state[*v] = seen.as_ref().map(|s| value(index, nth, s)).map_err(|e| *e);
        }
    }
    state
}

/// The memory of a program: locks that must never be contended.
pub struct Cells(Vec<RwLock<u64>>);

impl Cells {
    pub fn new(n: usize) -> Arc<Cells> {
        Arc::new(Cells((0..n).map(|v| RwLock::new(v as u64)).collect()))
    }

    /// What a cell holds that nobody writes now.
    pub fn value(&self, cell: usize) -> u64 {
        *self.0[cell].try_read().expect("a task writes a var after it was waited for")
    }
}

/// What a task does to the cells of its accesses, each named once.
pub struct Work {
    pub cells: Arc<Cells>,
    pub index: usize,
    pub accesses: Vec<(usize, Mode)>,
    pub act: Act,
}

impl Work {
    /// Mixes what is read into what is written; panics if anyone else touches what this holds.
    pub fn apply(&self) {
        let mut readers = Vec::new();
        let mut writers = Vec::new();
        let mut seen = Vec::new();
        for &(v, mode) in &self.accesses {
            if mode.is_exclusive() {
                let guard = self.cells.0[v].try_write().expect("another task touches a var that this one writes");
                if mode.sees_old() {
                    seen.push(*guard);
                }
                writers.push(guard);
            } else {
                let guard = self.cells.0[v].try_read().expect("another task writes a var that this one reads");
                seen.push(*guard);
                readers.push(guard);
            }
        }
        if self.index.is_multiple_of(7) {
            yield_now();
        }
        for (nth, guard) in writers.iter_mut().enumerate() {
            **guard = value(self.index, nth, &seen);
        }
    }

    /// Whether its task is finished through a token.
    pub fn is_async(&self) -> bool {
        matches!(self.act, Act::MixAsync { .. } | Act::DropToken)
    }

    pub fn run(&self, ctx: &TaskCtx<'_>) -> Result<(), BoxError> {
        match self.act {
            Act::Fail => return Err("told to fail".into()),
            Act::Panic => std::panic::resume_unwind(Box::new("told to panic")),
            Act::Loop { n } => {
                let hits: Vec<_> = (0..n).map(|_| AtomicUsize::new(0)).collect();
                ctx.parallel_for(n, &|i| {
                    hits[i].fetch_add(1, Ordering::Relaxed);
                });
                assert!(hits.iter().all(|h| h.load(Ordering::Relaxed) == 1));
            }
            Act::Nest { n } => nest(&ctx.engine(), n),
            Act::Mix | Act::MixAsync { .. } | Act::DropToken => {}
        }
        self.apply();
        Ok(())
    }

    pub fn run_async(self: &Arc<Self>, token: Completion) {
        let work = self.clone();
        let finish = move || {
            work.apply();
            token.complete(Ok(()));
        };
        match self.act {
            Act::DropToken => drop(finish),
            Act::MixAsync { elsewhere: true } => drop(spawn(finish)),
            _ => finish(),
        }
    }
}

/// Pushes a chain of tasks and waits for it, inside a task.
fn nest(engine: &Engine, n: usize) {
    let (var, sum) = (engine.var(), Arc::new(AtomicU64::new(0)));
    for i in 0..n {
        let sum = sum.clone();
        engine.raw("nested").write(&var).run(move |_| {
            let old = sum.load(Ordering::Relaxed);
            sum.store(mix(old, i as u64), Ordering::Relaxed);
        });
    }
    var.wait().unwrap();
    assert_eq!(sum.load(Ordering::Relaxed), (0..n as u64).fold(0, mix));
}

/// Vars and their cells.
pub struct Memory {
    pub vars: Vec<Var>,
    cells: Arc<Cells>,
}

impl Memory {
    pub fn new(engine: &Engine, vars: usize) -> Arc<Memory> {
        let cells = Cells::new(vars);
        Arc::new(Memory { vars: (0..vars).map(|v| engine.sized_var(3 * v)).collect(), cells })
    }

    pub fn push(&self, engine: &Engine, index: usize, step: &Step) {
        let mut task = engine.raw(format!("{index}")).priority(step.priority);
        for (v, mode) in &step.accesses {
            task = task.access(&self.vars[*v], *mode);
        }
        let (cells, accesses, act) = (self.cells.clone(), step.joined(), step.act.clone());
        let work = Arc::new(Work { cells, index, accesses, act });
        if work.is_async() {
            task.run_async(move |_, token| work.run_async(token));
        } else {
            task.run(move |ctx| work.run(ctx));
        }
    }

    pub fn ending(&self) -> Vec<Ending> {
        let end = |(cell, var): (usize, &Var)| match var.wait() {
            Ok(()) => Ok(self.cells.value(cell)),
            Err(e) => Err(e.failure().expect("a task failure").task().name.as_str().parse().unwrap()),
        };
        self.vars.iter().enumerate().map(end).collect()
    }
}

/// Runs the program on an engine and tells what each var holds at the end.
pub fn execute(engine: &Engine, program: &[Step], vars: usize) -> Vec<Ending> {
    let memory = Memory::new(engine, vars);
    for (index, step) in program.iter().enumerate() {
        memory.push(engine, index, step);
    }
    memory.ending()
}
