//! All rules at once: random programs end as if their tasks had run one by one in push order.

use super::bench::{Bench, join};
use crate::access::Mode;
use crate::dice::Dice;
use crate::var::Var;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const VARS: usize = 8;
const STEPS: usize = 80;
const PROGRAMS: u64 = 24;
/// So many run side by side.
const AT_ONCE: u64 = 4;

/// One task: each var once, in order.
struct Step {
    accesses: Vec<(usize, Mode)>,
    act: Act,
    priority: i32,
}

#[derive(Clone, Copy)]
enum Act {
    Mix,
    MixInLoop,
    MixElsewhere,
    Fail,
}

/// What a var holds at the end: a value, or the number of the task that poisoned it.
type Ending = Result<u64, usize>;

fn program(dice: &mut Dice) -> Vec<Step> {
    let step = |_| {
        let mut accesses: Vec<(usize, Mode)> = Vec::new();
        for var in 0..VARS {
            if dice.below(4) == 0 {
                accesses.push((var, [Mode::Read, Mode::Write, Mode::Overwrite][dice.below(3)]));
            }
        }
        let act = match dice.below(20) {
            0 => Act::Fail,
            1..4 => Act::MixElsewhere,
            4..7 => Act::MixInLoop,
            _ => Act::Mix,
        };
        Step { accesses, act, priority: dice.below(3) as i32 - 1 }
    };
    (0..STEPS).map(step).collect()
}

/// What a task puts into the `nth` var that it writes, given what it sees.
fn mixed(step: usize, nth: usize, seen: &[u64]) -> u64 {
    seen.iter().fold((step * VARS + nth) as u64, |h, v| Dice::new(h ^ v.rotate_left(17)).roll())
}

fn interpret(program: &[Step]) -> Vec<Ending> {
    let mut state = vec![Ok(0); VARS];
    for (index, step) in program.iter().enumerate() {
        let seen = step.accesses.iter().filter(|(_, mode)| mode.sees_old()).map(|(var, _)| state[*var]);
        let seen = seen.collect::<Result<Vec<u64>, usize>>();
        let seen = if matches!(step.act, Act::Fail) { seen.and(Err(index)) } else { seen };
        for (nth, (var, _)) in step.accesses.iter().filter(|(_, mode)| mode.is_exclusive()).enumerate() {
            state[*var] = seen.as_ref().map(|seen| mixed(index, nth, seen)).map_err(|e| *e);
        }
    }
    state
}

/// What the vars of a program stand for. Relaxed everywhere: the engine orders the tasks.
#[derive(Default)]
struct Memory([AtomicU64; VARS]);

impl Memory {
    fn apply(&self, index: usize, accesses: &[(usize, Mode)]) {
        let seen: Vec<_> = accesses.iter().filter(|(_, m)| m.sees_old()).map(|(v, _)| self.load(*v)).collect();
        for (nth, (var, _)) in accesses.iter().filter(|(_, m)| m.is_exclusive()).enumerate() {
            self.0[*var].store(mixed(index, nth, &seen), Ordering::Relaxed);
        }
    }

    fn load(&self, var: usize) -> u64 {
        self.0[var].load(Ordering::Relaxed)
    }
}

fn execute(bench: &Bench, program: Vec<Step>) -> Result<Vec<Ending>, String> {
    let memory = Arc::new(Memory::default());
    let vars: Vec<Var> = (0..VARS).map(|_| bench.engine.var()).collect();
    for (index, step) in program.into_iter().enumerate() {
        let mut task = bench.engine.raw(index.to_string()).priority(step.priority);
        for (var, mode) in &step.accesses {
            task = task.access(&vars[*var], *mode);
        }
        let (memory, progress, accesses) = (memory.clone(), bench.progress.clone(), step.accesses);
        let mix = move || {
            progress.count();
            memory.apply(index, &accesses);
        };
        match step.act {
            Act::Mix => task.run(move |_| mix()),
            Act::MixInLoop => task.run(move |ctx| {
                ctx.parallel_for(10, &|_| ());
                mix();
            }),
            Act::MixElsewhere => task.run_async(move |_, token| {
                std::thread::spawn(move || {
                    mix();
                    token.complete(Ok(()));
                });
            }),
            Act::Fail => task.run(|_| Err::<(), _>("told to fail")),
        }
    }
    let ending = |(i, var): (usize, &Var)| match var.wait() {
        Ok(()) => Ok(Ok(memory.load(i))),
        Err(e) => {
            let root = e.failure().and_then(|f| f.task().name.as_str().parse().ok());
            root.map(Err).ok_or_else(|| e.to_string())
        }
    };
    vars.iter().enumerate().map(ending).collect()
}

pub(super) fn equal_the_interpreter(bench: &Bench) -> Result<(), String> {
    for first in (0..PROGRAMS).step_by(AT_ONCE as usize) {
        let run = |seed| {
            bench.aside(move |bench| {
                bench.want("random programs end as if their tasks had run one by one");
                let wanted = interpret(&program(&mut Dice::new(seed)));
                let seen = execute(bench, program(&mut Dice::new(seed)))?;
                match (0..VARS).find(|v| seen[*v] != wanted[*v]) {
                    None => Ok(()),
                    Some(v) => {
                        let (seen, wanted) = (seen[v], wanted[v]);
                        Err(format!("var {v} of program {seed} ended as {seen:x?} instead of {wanted:x?}"))
                    }
                }
            })
        };
        let running: Vec<_> = (first..first + AT_ONCE).map(run).collect();
        running.into_iter().try_for_each(|thread| join(thread)?)?;
    }
    Ok(())
}
