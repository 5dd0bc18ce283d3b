//! Runs whole programs on engines with lanes of every kind.

use crate::support::{Act, Cells, Work};
use crate::whole::{CELLS, Course, INSIDE, Kind, Move, Program, Seen, TOKENS, Task, VARS, recorded_index};
use proptest::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::yield_now;
use std::time::Duration;
use varflow_engine::{
    CancelToken, Cause, Completion, Engine, Error, LaneHandle, Pool, RawTask, Recorder, Schedule, SimDevice, SimQueue,
    Var,
};

/// What an engine runs on.
#[derive(Clone, Debug)]
pub enum Lanes {
    Serial,
    Shuffled { seed: u64 },
    Pool { workers: usize },
    TwoPools { workers: [usize; 2] },
    Bounded { workers: usize, max_pending_tasks: usize },
    Device { workers: usize },
    TwoDevices { workers: usize },
}

/// How many kinds there are.
pub const KINDS: usize = 7;

impl Lanes {
    pub fn kind(&self) -> usize {
        match self {
            Lanes::Serial => 0,
            Lanes::Shuffled { .. } => 1,
            Lanes::Pool { .. } => 2,
            Lanes::TwoPools { .. } => 3,
            Lanes::Bounded { .. } => 4,
            Lanes::Device { .. } => 5,
            Lanes::TwoDevices { .. } => 6,
        }
    }

    /// As many queues as each device has.
    fn devices(&self) -> &'static [usize] {
        match self {
            Lanes::Device { .. } => &[2],
            Lanes::TwoDevices { .. } => &[2, 1],
            _ => &[],
        }
    }

    fn engine(&self) -> Engine {
        let builder = Engine::builder();
        let builder = match self {
            Lanes::Serial => return Engine::serial(),
            Lanes::Shuffled { seed } => return Engine::shuffled(*seed),
            Lanes::TwoPools { workers } => builder.cpu_workers(workers[0]),
            Lanes::Bounded { workers, max_pending_tasks } => {
                builder.cpu_workers(*workers).max_pending_tasks(*max_pending_tasks)
            }
            Lanes::Pool { workers } | Lanes::Device { workers } | Lanes::TwoDevices { workers } => {
                builder.cpu_workers(*workers)
            }
        };
        builder.build().unwrap()
    }
}

/// Lanes of one kind.
pub fn lanes(kind: usize) -> BoxedStrategy<Lanes> {
    let workers = || 1_usize..5;
    match kind {
        0 => Just(Lanes::Serial).boxed(),
        1 => any::<u64>().prop_map(|seed| Lanes::Shuffled { seed }).boxed(),
        2 => workers().prop_map(|workers| Lanes::Pool { workers }).boxed(),
        3 => [1_usize..3, 1..3].prop_map(|workers| Lanes::TwoPools { workers }).boxed(),
        4 => (workers(), 1_usize..6)
            .prop_map(|(workers, max_pending_tasks)| Lanes::Bounded { workers, max_pending_tasks })
            .boxed(),
        5 => workers().prop_map(|workers| Lanes::Device { workers }).boxed(),
        _ => workers().prop_map(|workers| Lanes::TwoDevices { workers }).boxed(),
    }
}

struct Machine<'a> {
    program: &'a Program,
    engine: Engine,
    hosts: Vec<LaneHandle>,
    queues: Vec<(SimQueue, LaneHandle)>,
    cells: Arc<Cells>,
    vars: Vec<Option<Var>>,
    schedules: Vec<Option<Schedule>>,
    tokens: [CancelToken; TOKENS],
    seen: Vec<Seen>,
    /// Whether a task failed, as an earlier wait told that was not the program's.
    failed: bool,
}

/// Runs the program, and tells what its pushing thread learns.
pub fn execute(lanes: &Lanes, program: &Program) -> Course {
    let engine = lanes.engine();
    let mut hosts = vec![engine.default_lane()];
    if let Lanes::TwoPools { workers } = lanes {
        hosts.push(engine.add_lane(Pool::start("second", workers[1]).unwrap()).unwrap());
    }
    let mut queues = Vec::new();
    for (d, num_queues) in lanes.devices().iter().enumerate() {
        let device = SimDevice::start(&format!("device {d}")).unwrap();
        for q in 0..*num_queues {
            let queue = device.queue(&format!("{q}"), Duration::ZERO);
            queues.push((queue.clone(), engine.add_lane(queue).unwrap()));
        }
    }
    let vars = (0..VARS).map(|_| Some(engine.var())).collect();
    let (cells, tokens) = (Cells::new(CELLS), std::array::from_fn(|_| CancelToken::new()));
    let (schedules, seen) = (Vec::new(), Vec::new());
    let mut machine = Machine { program, engine, hosts, queues, cells, vars, schedules, tokens, seen, failed: false };
    machine.schedules = (0..program.schedules.len()).map(|s| Some(machine.record(s))).collect();
    program.moves.iter().enumerate().for_each(|(index, next)| machine.step(index, next));
    machine.end()
}

impl Machine<'_> {
    fn step(&mut self, index: usize, next: &Move) {
        match next {
            Move::Push(task) => self.push(index, task),
            Move::Submit(s) => self.schedules[*s].as_ref().unwrap().submit(),
            Move::Cancel(token) => {
                self.settle(*token);
                self.tokens[*token].cancel();
            }
            Move::DropVar(v) => self.vars[*v] = None,
            Move::DropSchedule(s) => self.schedules[*s] = None,
            Move::WaitVar(v) => self.seen.push(self.wait(*v)),
            Move::WaitSchedule(s) => self.seen.push(self.wait_schedule(*s)),
            Move::WaitAll => self.wait_all(),
        }
    }

    fn end(mut self) -> Course {
        self.seen.extend((0..VARS).filter(|v| self.vars[*v].is_some()).map(|v| self.wait(v)).collect::<Vec<_>>());
        let schedules = (0..self.schedules.len()).filter(|s| self.schedules[*s].is_some());
        self.seen.extend(schedules.map(|s| self.wait_schedule(s)).collect::<Vec<_>>());
        self.wait_all();
        Course { seen: self.seen, cells: (0..CELLS).map(|cell| Ok(self.cells.value(cell))).collect() }
    }

    fn wait(&self, v: usize) -> Seen {
        let ending = self.vars[v].as_ref().unwrap().wait();
        Seen::Var(ending.map(|()| self.cells.value(v)).map_err(|e| root(&e)))
    }

    fn wait_schedule(&self, s: usize) -> Seen {
        let failed = self.schedules[s].as_ref().unwrap().wait().is_err();
        Seen::Schedule(Some(failed).filter(|_| self.queues.is_empty()))
    }

    fn wait_all(&mut self) {
        let failed = self.engine.wait_all().is_err();
        self.seen.push(Seen::All(std::mem::take(&mut self.failed) | failed));
    }

    /// Waits for the tasks that have a token.
    fn settle(&mut self, token: usize) {
        for task in self.program.tasks().filter(|task| task.token == Some(token)) {
            match task.writes().find_map(|v| self.vars.get(v)?.as_ref()) {
                Some(var) => drop(var.wait()),
                // It writes nothing that can be waited for.
                None => return self.failed |= self.engine.wait_all().is_err(),
            }
        }
    }

    fn lane(&self, task: &Task) -> Result<&LaneHandle, &(SimQueue, LaneHandle)> {
        let on_device = task.place % 2 == 1 && task.suits_devices() && !self.queues.is_empty();
        let place = task.place / 2;
        if on_device { Err(&self.queues[place % self.queues.len()]) } else { Ok(&self.hosts[place % self.hosts.len()]) }
    }

    fn describe<'a>(
        &'a self,
        index: usize,
        task: &Task,
        var: impl Fn(usize) -> &'a Var,
    ) -> (RawTask<'a>, Arc<Work>, Option<SimQueue>) {
        let mut raw = self.engine.raw(format!("{index}")).priority(task.step.priority);
        for (v, mode) in &task.step.accesses {
            raw = raw.access(var(*v), *mode);
        }
        if let Some(token) = task.token {
            raw = raw.cancel_with(&self.tokens[token]);
        }
        let (raw, queue) = match self.lane(task) {
            Ok(host) => (raw.lane(host), None),
            Err((queue, lane)) => (raw.lane(lane), Some(queue.clone())),
        };
        let (cells, accesses, act) = (self.cells.clone(), task.step.joined(), task.step.act.clone());
        (raw, Arc::new(Work { cells, index, accesses, act }), queue)
    }

    fn push(&self, index: usize, task: &Task) {
        let (raw, work, queue) = self.describe(index, task, |v| self.vars[v].as_ref().unwrap());
        match queue {
            Some(queue) => raw.run_async(move |_, token| issue(&queue, &work, token)),
            None if work.is_async() => raw.run_async(move |_, token| work.run_async(token)),
            None => raw.run(move |ctx| work.run(ctx)),
        }
    }

    fn record(&self, s: usize) -> Schedule {
        let mut recorder: Recorder = self.engine.recorder(format!("schedule {s}"));
        let inside: Vec<Var> = (0..INSIDE).map(|_| recorder.var()).collect();
        let first = VARS + s * INSIDE;
        for (place, task) in self.program.schedules[s].iter().enumerate() {
            let var = |v: usize| if v < VARS { self.vars[v].as_ref().unwrap() } else { &inside[v - first] };
            let (raw, work, queue) = self.describe(recorded_index(s, place), task, var);
            match queue {
                Some(queue) => raw.record_async(&mut recorder, move |_, token| issue(&queue, &work, token)),
                None if work.is_async() => raw.record_async(&mut recorder, move |_, token| work.run_async(token)),
                None => raw.record(&mut recorder, move |ctx| work.run(ctx)),
            }
        }
        recorder.finish().unwrap()
    }
}

/// The body of a task on a device.
fn issue(queue: &SimQueue, work: &Arc<Work>, token: Completion) {
    let (work, done) = (work.clone(), Arc::new(AtomicBool::new(false)));
    let (dawdles, told) = (work.index % 3 == 0, done.clone());
    let event = queue.issue(move || {
        work.apply();
        told.store(true, Ordering::Release);
        if let Act::Fail = work.act { Err("told to fail".into()) } else { Ok(()) }
    });
    // The device may be done with this and all that came before, by the time that it counts as issued.
    (0..100).take_while(|_| dawdles && !done.load(Ordering::Acquire)).for_each(|_| yield_now());
    token.fence(event);
}

/// Which task failed first, and why.
fn root(error: &Error) -> (usize, Kind) {
    let unasked = |what: &dyn ToString| Kind::Unasked(what.to_string());
    let Some(failure) = error.failure() else { return (usize::MAX, unasked(error)) };
    let kind = match failure.cause() {
        Cause::Failed(e) if e.to_string() == "told to fail" => Kind::Failed,
        Cause::Panicked(message) if message == "told to panic" => Kind::Panicked,
        Cause::TokenDropped => Kind::TokenDropped,
        Cause::Cancelled => Kind::Cancelled,
        other => unasked(other),
    };
    (failure.task().name.as_str().parse().unwrap_or(usize::MAX), kind)
}
