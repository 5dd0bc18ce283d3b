//! Recording a schedule: drawing the edges between its tasks, once.

use crate::access::Mode;
use crate::data::Data;
use crate::engine::Engine;
use crate::error::{Cause, Error};
use crate::gate::Gate;
use crate::name::Name;
use crate::node::Header;
use crate::recorded::{Edge, InsideVar, MAX_TASKS, Plan, PlanParts, PortSpec, RecordedBody, TaskSpec};
use crate::sync::Arc;
use crate::var::{Var, VarPin};
use crate::waiting::VarFuture;
use std::collections::{HashMap, VecDeque};
use std::future::IntoFuture;
use std::ops::Range;
use std::panic::Location;

/// Collects the tasks of a schedule. They are described as any others, and recorded instead of run:
///
/// ```
/// use varflow_engine::Engine;
/// # fn main() -> Result<(), varflow_engine::Error> {
/// let engine = Engine::builder().cpu_workers(2).build()?;
/// let (weight, gradient) = (engine.data(1.0), engine.data(0.0));
/// let mut recorder = engine.recorder("step");
/// let hidden = recorder.data(0.0); // inside: no one else's
/// engine.task("forward").read(&weight).write(&hidden).record(&mut recorder, |w, h| *h = w * 2.0);
/// engine.task("backward").read(&hidden).write(&gradient).record(&mut recorder, |h, g| *g = h * 0.1);
/// let step = recorder.finish()?;
/// for _ in 0..3 {
///     step.submit();
///     engine.task("update").read(&gradient).write(&weight).run(|g, w| *w -= g);
/// }
/// assert!((weight.wait()? - 0.512_f64).abs() < 1e-12);
/// # Ok(()) }
/// ```
///
/// Vars are *outside*, unless they are made by [`var`](Recorder::var) or [`data`](Recorder::data), or named to
/// [`keep_inside`](Recorder::keep_inside). Outside vars take part in the order of all that is pushed, each from its first use in
/// the schedule to its last: a submission starts with those tasks whose vars are free, and what waits for a var goes on as soon
/// as the schedule's own last task on it is done.
pub struct Recorder {
    engine: Engine,
    name: Name,
    tasks: Vec<Recorded>,
    /// In the order of first use.
    vars: Vec<Uses>,
    /// Their places by address.
    places: HashMap<usize, usize>,
    gate: Gate,
    /// What keeps its vars inside.
    inside: Vec<Arc<InsideVar>>,
    accesses: Vec<(usize, Mode)>,
    misuse: Option<String>,
}

/// A task as described.
pub(crate) struct Task {
    pub(crate) header: Header,
    pub(crate) accesses: Vec<(VarPin, Mode)>,
    pub(crate) misuse: Option<Cause>,
    pub(crate) body: RecordedBody,
}

struct Recorded {
    header: Header,
    body: RecordedBody,
    /// Earlier tasks that it waits for, each once.
    before: Vec<u32>,
    accesses: Range<u32>,
}

/// How the tasks so far use a var.
struct Uses {
    var: VarPin,
    writer: Option<u32>,
    /// Readers since that writer.
    readers: Vec<u32>,
    /// Those before which no one in the schedule uses the var.
    firsts: Vec<u32>,
    exclusive: bool,
}

impl Uses {
    fn new(var: VarPin) -> Self {
        Uses { var, writer: None, readers: Vec::new(), firsts: Vec::new(), exclusive: false }
    }

    /// Adds a use, and tells which earlier ones it comes after.
    fn add(&mut self, task: u32, mode: Mode, before: &mut Vec<u32>) {
        if self.writer.is_none() && (!mode.is_exclusive() || self.readers.is_empty()) {
            self.firsts.push(task);
        }
        if !mode.is_exclusive() {
            before.extend(self.writer);
            return self.readers.push(task);
        }
        self.exclusive = true;
        let writer = self.writer.replace(task);
        // Readers come after the writer before them: that edge is implied.
        if self.readers.is_empty() { before.extend(writer) } else { before.append(&mut self.readers) }
    }

    /// Those after which no one in the schedule uses the var.
    fn lasts(&self) -> impl Iterator<Item = u32> + '_ {
        let writer = self.writer.filter(|_| self.readers.is_empty());
        writer.into_iter().chain(self.readers.iter().copied())
    }
}

impl Recorder {
    pub(crate) fn new(engine: &Engine, gate: Gate, name: Name) -> Recorder {
        Recorder {
            engine: Engine::from_core(engine.core().clone()),
            name,
            tasks: Vec::new(),
            vars: Vec::new(),
            places: HashMap::new(),
            gate,
            inside: Vec::new(),
            accesses: Vec::new(),
            misuse: None,
        }
    }

    /// A new var inside the schedule.
    pub fn var(&mut self) -> Var {
        let var = self.engine.var();
        self.keep_inside(&var);
        var
    }

    /// A new value inside the schedule.
    pub fn data<T: Send + Sync + 'static>(&mut self, value: T) -> Data<T> {
        let data = self.engine.data(value);
        self.keep_inside(data.var());
        data
    }

    /// Makes a var the schedule's own, for as long as the schedule lives: other tasks that name it, and waits for it, are
    /// refused, but for schedules behind the same [`Gate`]. What it orders costs nothing at run time.
    ///
    /// A var that is used already, that unfinished tasks name, or that another schedule uses makes
    /// [`finish`](Recorder::finish) fail.
    pub fn keep_inside(&mut self, var: &Var) {
        let address = var.state_ptr().addr().get();
        if !Arc::ptr_eq(var.core(), self.engine.core()) {
            self.misuse(|| format!("{var:?} belongs to another engine"));
        } else if self.places.contains_key(&address) && !var.state().is_inside() {
            self.misuse(|| format!("{var:?} is kept inside after a task has used it: keep it inside first"));
        } else if let Some(kept) = self.gate.inside(address).or_else(|| self.gate.keep_inside(var)) {
            self.inside.push(kept);
        } else if var.state().is_inside() {
            self.misuse(|| format!("{var:?} is inside a schedule already"));
        } else {
            self.misuse(|| {
                format!("{var:?} is named by unfinished tasks or by another schedule, and cannot be inside before they are gone")
            });
        }
    }

    fn misuse(&mut self, what: impl FnOnce() -> String) {
        self.misuse.get_or_insert_with(what);
    }

    pub(crate) fn add(&mut self, engine: &Engine, task: Task) {
        let Task { header, accesses, misuse, body } = task;
        let told = || format!("task \"{}\" (recorded at {}:{})", header.name, header.site.file(), header.site.line());
        if !engine.same(&self.engine) {
            return self.misuse(|| format!("{} belongs to another engine", told()));
        }
        if let Some(cause) = misuse {
            return self.misuse(|| format!("{} {cause}", told()));
        }
        if self.tasks.len() >= MAX_TASKS {
            return self.misuse(|| format!("it has more than {MAX_TASKS} tasks"));
        }
        let index = self.tasks.len() as u32;
        let first = self.accesses.len() as u32;
        let mut before = Vec::new();
        for (var, mode) in accesses {
            let address = var.state_ptr().addr().get();
            let place = *self.places.entry(address).or_insert(self.vars.len());
            if place == self.vars.len() {
                if var.state().is_inside() {
                    let Some(kept) = self.gate.inside(address) else {
                        return self.misuse(|| {
                            format!("{} names var {}, which is inside another schedule", told(), var.state().id())
                        });
                    };
                    self.inside.push(kept);
                }
                self.vars.push(Uses::new(var));
            }
            self.vars[place].add(index, mode, &mut before);
            self.accesses.push((place, mode));
        }
        before.sort_unstable();
        before.dedup();
        self.leave_out_implied(&mut before);
        self.tasks.push(Recorded { header, body, before, accesses: first..self.accesses.len() as u32 });
    }

    /// Leaves out what is known to come before others of the list: an edge that says nothing new. Looks one step far, and at
    /// short lists only.
    fn leave_out_implied(&self, before: &mut Vec<u32>) {
        const SHORT: usize = 8;
        if (2..=SHORT).contains(&before.len()) {
            let all = before.clone();
            let is_implied =
                |b: u32| all.iter().any(|a| self.tasks[*a as usize].before.iter().take(SHORT).any(|x| *x == b));
            before.retain(|b| !is_implied(*b));
        }
    }

    /// Draws the edges.
    ///
    /// # Errors
    /// [`Error::Schedule`] for a task of another engine, a value named twice and written, a var inside another schedule, or
    /// one that was kept inside too late.
    pub fn finish(mut self) -> Result<Schedule, Error> {
        if let Some(reason) = self.misuse {
            return Err(Error::Schedule { schedule: self.name, reason });
        }
        self.sort_tasks().ok_or_else(|| Error::Schedule {
            schedule: self.name.clone(),
            reason: "it has too many dependencies".to_string(),
        })?;
        let too_large =
            |what: &str| Error::Schedule { schedule: self.name.clone(), reason: format!("it has too many {what}") };
        let n = self.tasks.len();
        let mut outside: Vec<&Uses> = self.vars.iter().filter(|uses| !uses.var.state().is_inside()).collect();
        outside.sort_unstable_by_key(|uses| uses.var.state().id());

        let mut waits: Vec<u32> = self.tasks.iter().map(|t| t.before.len() as u32).collect();
        let gate_firsts: Vec<u32> = (0..n as u32).filter(|t| waits[*t as usize] == 0).collect();
        let firsts = || outside.iter().map(|uses| &uses.firsts).chain([&gate_firsts]);
        firsts().flatten().for_each(|t| waits[*t as usize] += 1);

        let (mut successors, followers) = by_first(n, edges(&self.tasks)).ok_or_else(|| too_large("dependencies"))?;
        let lasts = outside.iter().enumerate().flat_map(|(port, uses)| uses.lasts().map(move |t| (t, port as u32)));
        let (mut releases, ports) = by_first(n, lasts.collect()).ok_or_else(|| too_large("uses of vars"))?;
        let mut edges: Vec<Edge> = followers.iter().map(|t| Edge::new(*t, waits[*t as usize] == 1)).collect();
        let first_edges: Vec<Range<u32>> = firsts()
            .map(|tasks| {
                let start = edges.len() as u32;
                edges.extend(tasks.iter().map(|t| Edge::new(*t, waits[*t as usize] == 1)));
                start..edges.len() as u32
            })
            .collect();
        if u32::try_from(edges.len().max(self.accesses.len())).is_err() {
            return Err(too_large("dependencies"));
        }
        let port = |(uses, firsts): (&&Uses, &Range<u32>)| PortSpec {
            var: uses.var.state_ptr(),
            exclusive: uses.exclusive,
            firsts: firsts.clone(),
            lasts: uses.lasts().count() as u32,
        };
        let port_specs = outside.iter().zip(&first_edges).map(port).collect();
        let accesses = self.accesses.iter().map(|(place, mode)| (self.vars[*place].var.state_ptr(), *mode)).collect();
        let task = |(index, task): (usize, Recorded)| TaskSpec {
            header: task.header,
            body: task.body,
            waits: waits[index],
            successors: std::mem::take(&mut successors[index]),
            releases: std::mem::take(&mut releases[index]),
            accesses: task.accesses,
        };
        let parts = PlanParts {
            name: self.name.clone(),
            tasks: self.tasks.into_iter().enumerate().map(task).collect(),
            edges,
            releases: ports,
            ports: port_specs,
            gate_firsts: first_edges.last().cloned().unwrap_or_default(),
            accesses,
            outside: self.vars.into_iter().map(|uses| uses.var).collect(),
            inside: self.inside,
            gate: self.gate,
        };
        Ok(Schedule(Plan::new(self.engine.core(), parts)))
    }
}

impl Recorder {
    /// Puts the tasks into the order in which one worker would run them, so that what it needs next lies in memory behind what it
    /// has just used. `None` if there are too many edges.
    fn sort_tasks(&mut self) -> Option<()> {
        /// Workers run as many tasks straight after the one that released them, before others get their turn.
        const STREAK: usize = 64;
        let n = self.tasks.len();
        let (ranges, followers) = by_first(n, edges(&self.tasks))?;
        let mut waits: Vec<u32> = self.tasks.iter().map(|t| t.before.len() as u32).collect();
        let mut ready: VecDeque<u32> = (0..n as u32).filter(|t| waits[*t as usize] == 0).collect();
        let mut rank = vec![0; n];
        let (mut next, mut streak) = (None, 0);
        for place in 0..n as u32 {
            streak = if next.is_some() { streak + 1 } else { 0 };
            // There is one: the edges lead from earlier tasks to later ones, so they form no circle.
            let Some(task) = next.take().or_else(|| ready.pop_front()) else { break };
            rank[task as usize] = place;
            let range = &ranges[task as usize];
            for &follower in &followers[range.start as usize..range.end as usize] {
                waits[follower as usize] -= 1;
                if waits[follower as usize] == 0 {
                    if next.is_none() && streak < STREAK { next = Some(follower) } else { ready.push_back(follower) }
                }
            }
        }
        let renumber = |task: &mut u32| *task = rank[*task as usize];
        for uses in &mut self.vars {
            uses.firsts.iter_mut().chain(&mut uses.readers).chain(&mut uses.writer).for_each(renumber);
        }
        let mut sorted: Vec<(u32, Recorded)> = rank.iter().copied().zip(std::mem::take(&mut self.tasks)).collect();
        sorted.sort_unstable_by_key(|(rank, _)| *rank);
        self.tasks = sorted.into_iter().map(|(_, task)| task).collect();
        self.tasks.iter_mut().flat_map(|task| &mut task.before).for_each(renumber);
        Some(())
    }
}

/// From each task to those that wait for it.
fn edges(tasks: &[Recorded]) -> Vec<(u32, u32)> {
    let of = |(to, task): (usize, &Recorded)| task.before.iter().map(move |b| (*b, to as u32)).collect::<Vec<_>>();
    tasks.iter().enumerate().flat_map(of).collect()
}

/// Sorts pairs by their first number, below `n`: for each its part of the list of second numbers. `None` if there are too many.
fn by_first(n: usize, pairs: Vec<(u32, u32)>) -> Option<(Vec<Range<u32>>, Vec<u32>)> {
    u32::try_from(pairs.len()).ok()?;
    let mut ranges = vec![0..0; n];
    pairs.iter().for_each(|(first, _)| ranges[*first as usize].end += 1);
    let mut start = 0;
    for range in &mut ranges {
        let len = range.end;
        *range = start..start;
        start += len;
    }
    let mut seconds = vec![0; pairs.len()];
    for (first, second) in pairs {
        let end = &mut ranges[first as usize].end;
        seconds[*end as usize] = second;
        *end += 1;
    }
    Some((ranges, seconds))
}

/// A recorded schedule: its order was resolved once, and it is submitted many times. Clones stand for the same schedule.
///
/// Each submission acts as if its tasks were pushed one by one where it is submitted. One run of a schedule begins when the one
/// before has ended. Dropping the schedule lets runs that were submitted go on. Made by a [`Recorder`].
///
/// ```
/// use varflow_engine::Engine;
/// # fn main() -> Result<(), varflow_engine::Error> {
/// let engine = Engine::builder().cpu_workers(2).build()?;
/// let x = engine.data(1);
/// let mut recorder = engine.recorder("double");
/// engine.task("double").write(&x).record(&mut recorder, |x| *x *= 2);
/// let double = recorder.finish()?;
/// (0..10).for_each(|_| double.submit());
/// double.wait()?;
/// assert_eq!(x.wait()?, 1024);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Schedule(Arc<Plan>);

impl Schedule {
    /// Pushes all tasks of the schedule at once. On an engine that has shut down the run fails as a whole, and poisons what it
    /// would have written.
    #[track_caller]
    pub fn submit(&self) {
        self.0.submit(0, Location::caller());
    }

    /// The same, and tells the tasks of this run a number: [`TaskCtx::argument`](crate::TaskCtx::argument).
    #[track_caller]
    pub fn submit_with(&self, argument: u64) {
        self.0.submit(argument, Location::caller());
    }

    /// Waits until all runs submitted so far have ended, those of other schedules behind its [`Gate`] included.
    ///
    /// # Errors
    /// The first failure of a task of the last run; else as [`Var::wait`].
    #[track_caller]
    pub fn wait(&self) -> Result<(), Error> {
        self.0.gate().wait()
    }

    /// The name that it was recorded by.
    #[must_use]
    pub fn name(&self) -> &Name {
        self.0.name()
    }

    /// How many tasks it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.num_tasks()
    }

    /// Whether it has no tasks.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl std::fmt::Debug for Schedule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "schedule \"{}\" of {} tasks", self.name(), self.len())
    }
}

impl IntoFuture for &Schedule {
    type Output = Result<(), Error>;
    type IntoFuture = VarFuture;

    /// As [`Schedule::wait`].
    fn into_future(self) -> VarFuture {
        self.0.gate().into_future()
    }
}
