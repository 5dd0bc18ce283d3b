//! Programs that use the whole engine, and an interpreter for them that knows no engine.

use crate::support::{Act, Step, value};
use proptest::prelude::*;
use varflow_engine::Mode;

/// The vars that every task may name.
pub const VARS: usize = 100;
/// A few of them are named more often than the others, so that tasks meet.
const HOT: usize = 10;
/// The vars inside each schedule. Those of schedule `s` have the cells from `VARS + s * INSIDE` on.
pub const INSIDE: usize = 3;
pub const SCHEDULES: usize = 3;
pub const TOKENS: usize = 3;
/// How many cells there are, inside ones included.
pub const CELLS: usize = VARS + SCHEDULES * INSIDE;

/// A task, where it is to run, and by what it can be cancelled.
#[derive(Clone, Debug)]
pub struct Task {
    pub step: Step,
    /// Which of the lanes, whatever lanes there are.
    pub place: usize,
    pub token: Option<usize>,
}

impl Task {
    /// Whether a device can do it.
    pub fn suits_devices(&self) -> bool {
        self.token.is_none() && matches!(self.step.act, Act::Mix | Act::Fail)
    }

    /// The vars that it writes, some more than once.
    pub fn writes(&self) -> impl Iterator<Item = usize> {
        self.step.accesses.iter().filter(|(_, mode)| mode.is_exclusive()).map(|(v, _)| *v)
    }
}

/// What the pushing thread does next.
#[derive(Clone, Debug)]
pub enum Move {
    Push(Task),
    Submit(usize),
    /// Cancels a token, once no task that has it is pending.
    Cancel(usize),
    /// Drops the handle of a var, which nobody but schedules names afterwards.
    DropVar(usize),
    DropSchedule(usize),
    WaitVar(usize),
    WaitSchedule(usize),
    WaitAll,
}

#[derive(Clone, Debug)]
pub struct Program {
    pub schedules: Vec<Vec<Task>>,
    pub moves: Vec<Move>,
}

/// By what name a task goes: the number of its move, or of its schedule and its place in that.
pub fn recorded_index(schedule: usize, place: usize) -> usize {
    1000 * (schedule + 1) + place
}

fn task(var: impl Strategy<Value = usize>) -> impl Strategy<Value = Task> {
    let mode = prop_oneof![3 => Just(Mode::Read), 2 => Just(Mode::Write), 2 => Just(Mode::Overwrite)];
    let act = prop_oneof![
        60 => Just(Act::Mix),
        6 => any::<bool>().prop_map(|elsewhere| Act::MixAsync { elsewhere }),
        3 => Just(Act::Fail),
        1 => Just(Act::Panic),
        1 => Just(Act::DropToken),
        2 => (1_usize..20).prop_map(|n| Act::Loop { n }),
        2 => (1_usize..5).prop_map(|n| Act::Nest { n }),
    ];
    let priority = prop_oneof![4 => Just(0), 1 => -3..4_i32];
    let token = prop_oneof![9 => Just(None), 1 => (0..TOKENS).prop_map(Some)];
    (prop::collection::vec((var, mode), 1..6), act, priority, 0_usize..8, token).prop_map(
        |(accesses, act, priority, place, token)| Task { step: Step { accesses, act, priority }, place, token },
    )
}

pub fn programs(len: usize) -> impl Strategy<Value = Program> {
    let var = || prop_oneof![2 => 0..VARS, 3 => 0..HOT];
    let inside = prop_oneof![3 => var(), 2 => VARS..VARS + INSIDE];
    let schedules = prop::collection::vec(prop::collection::vec(task(inside), 1..8), 0..=SCHEDULES);
    let next = prop_oneof![
        40 => task(var()).prop_map(Move::Push),
        8 => (0..SCHEDULES).prop_map(Move::Submit),
        2 => (0..TOKENS).prop_map(Move::Cancel),
        3 => var().prop_map(Move::DropVar),
        1 => (0..SCHEDULES).prop_map(Move::DropSchedule),
        1 => var().prop_map(Move::WaitVar),
        1 => (0..SCHEDULES).prop_map(Move::WaitSchedule),
        1 => Just(Move::WaitAll),
    ];
    (schedules, prop::collection::vec(next, 1..len))
        .prop_map(|(schedules, moves)| Program { schedules, moves }.sensible())
}

impl Program {
    /// Gives each schedule inside vars of its own, and leaves out what names dropped vars and schedules that are not there.
    fn sensible(mut self) -> Program {
        for (s, tasks) in self.schedules.iter_mut().enumerate() {
            for (v, _) in tasks.iter_mut().flat_map(|task| &mut task.step.accesses) {
                *v += if *v >= VARS { s * INSIDE } else { 0 };
            }
        }
        let mut vars = [true; VARS];
        let mut schedules = vec![true; self.schedules.len()];
        self.moves.retain_mut(|next| {
            let lives = |s: &usize| schedules.get(*s) == Some(&true);
            match next {
                Move::Push(task) => task.step.accesses.retain(|(v, _)| vars[*v]),
                Move::Submit(s) | Move::WaitSchedule(s) => return lives(s),
                Move::DropSchedule(s) => return lives(s) && std::mem::replace(&mut schedules[*s], false),
                Move::DropVar(v) => return std::mem::replace(&mut vars[*v], false),
                Move::WaitVar(v) => return vars[*v],
                Move::Cancel(_) | Move::WaitAll => {}
            }
            true
        });
        self
    }

    pub fn tasks(&self) -> impl Iterator<Item = &Task> {
        let pushed = self.moves.iter().filter_map(|next| if let Move::Push(task) = next { Some(task) } else { None });
        pushed.chain(self.schedules.iter().flatten())
    }
}

/// Why a task fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Failed,
    Panicked,
    TokenDropped,
    Cancelled,
    /// What no program asks for, in the engine's words.
    Unasked(String),
}

/// What a var holds: a number, or whose failure poisons it, and why.
pub type Ending = Result<u64, (usize, Kind)>;

/// What the pushing thread learns.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    Var(Ending),
    /// Whether the last run of a schedule failed; `None` if a device may or may not have told by then.
    Schedule(Option<bool>),
    /// Whether any task failed since the last time.
    All(bool),
}

/// What it learns in the course of a program, and what the cells hold at the end. Only `Ok` counts of the cells of inside and
/// dropped vars, of which nothing else can be learned.
#[derive(Debug)]
pub struct Course {
    pub seen: Vec<Seen>,
    pub cells: Vec<Ending>,
}

struct Interpreter {
    cells: Vec<Ending>,
    cancelled: [bool; TOKENS],
    failed: bool,
}

impl Interpreter {
    /// Whether the task succeeds.
    fn run(&mut self, index: usize, task: &Task) -> bool {
        let accesses = task.step.joined();
        let seen: Result<Vec<u64>, _> =
            accesses.iter().filter(|(_, m)| m.sees_old()).map(|(v, _)| self.cells[*v].clone()).collect();
        let own = match task.step.act {
            _ if task.token.is_some_and(|t| self.cancelled[t]) => Err((index, Kind::Cancelled)),
            Act::Fail => Err((index, Kind::Failed)),
            Act::Panic => Err((index, Kind::Panicked)),
            Act::DropToken => Err((index, Kind::TokenDropped)),
            _ => Ok(()),
        };
        self.failed |= seen.is_ok() && own.is_err();
        let seen = seen.and_then(|seen| own.map(|()| seen));
        for (nth, (v, _)) in accesses.iter().filter(|(_, m)| m.is_exclusive()).enumerate() {
            self.cells[*v] = seen.as_ref().map(|s| value(index, nth, s)).map_err(Clone::clone);
        }
        seen.is_ok()
    }
}

/// Runs the program one task after the other, without any engine.
pub fn interpret(program: &Program) -> Course {
    let cells = (0..CELLS).map(|v| Ok(v as u64)).collect();
    let mut state = Interpreter { cells, cancelled: [false; TOKENS], failed: false };
    let mut runs_failed = vec![false; program.schedules.len()];
    let mut vars = [true; VARS];
    let mut schedules = vec![true; program.schedules.len()];
    let mut seen = Vec::new();
    for (index, next) in program.moves.iter().enumerate() {
        match next {
            Move::Push(task) => drop(state.run(index, task)),
            Move::Submit(s) => {
                let tasks = program.schedules[*s].iter().enumerate();
                let failures = tasks.filter(|(place, task)| !state.run(recorded_index(*s, *place), task)).count();
                runs_failed[*s] = failures > 0;
            }
            Move::Cancel(token) => state.cancelled[*token] = true,
            Move::DropVar(v) => vars[*v] = false,
            Move::DropSchedule(s) => schedules[*s] = false,
            Move::WaitVar(v) => seen.push(Seen::Var(state.cells[*v].clone())),
            Move::WaitSchedule(s) => seen.push(Seen::Schedule(Some(runs_failed[*s]))),
            Move::WaitAll => seen.push(Seen::All(std::mem::take(&mut state.failed))),
        }
    }
    seen.extend((0..VARS).filter(|v| vars[*v]).map(|v| Seen::Var(state.cells[v].clone())));
    seen.extend(schedules.iter().zip(runs_failed).filter(|(lives, _)| **lives).map(|(_, f)| Seen::Schedule(Some(f))));
    seen.push(Seen::All(state.failed));
    Course { seen, cells: state.cells }
}
