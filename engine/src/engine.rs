//! The engine: a value that owns lanes and counts the tasks in flight.

use crate::builder::{RawTask, TaskBuilder};
use crate::data::Data;
use crate::error::{Error, Failure, Name};
use crate::lane::Lane;
use crate::lanes::{Pool, Serial};
use crate::sync::{Arc, AtomicUsize, Condvar, Mutex, Ordering, lock, wait};
use crate::task::running;
use crate::var::Var;
use crate::waiting::Blocked;
use std::panic::Location;

const OPEN: usize = 0;
const DRAINING: usize = 1;
const CANCELLING: usize = 2;
const CLOSED: usize = 3;

/// What all handles of one engine share.
pub(crate) struct Core {
    /// The first lane is the default one.
    lanes: Mutex<Vec<Arc<dyn Lane>>>,
    default_lane: Arc<dyn Lane>,
    /// Tasks pushed and not yet done.
    pending: AtomicUsize,
    /// Guards the sleep of those who wait for `pending` to become zero.
    idle: (Mutex<()>, Condvar),
    next_var: AtomicUsize,
    state: AtomicUsize,
    first_failure: Mutex<Option<Failure>>,
    pub(crate) blocked: Mutex<Vec<Blocked>>,
}

impl Core {
    pub(crate) fn next_var_id(&self) -> usize {
        self.next_var.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn task_begun(&self) {
        // Relaxed: the count is only compared with zero, by those who see it through `task_done`.
        self.pending.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn task_done(&self) {
        // AcqRel: pairs with the load in `drain`: who sees zero sees all that the tasks did.
        if self.pending.fetch_sub(1, Ordering::AcqRel) == 1 {
            let _guard = lock(&self.idle.0);
            self.idle.1.notify_all();
        }
    }

    fn drain(&self) {
        let mut guard = lock(&self.idle.0);
        // Acquire: pairs with `task_done`.
        while self.pending.load(Ordering::Acquire) > 0 {
            guard = wait(&self.idle.1, guard);
        }
    }

    pub(crate) fn note_failure(&self, failure: &Failure) {
        let mut first = lock(&self.first_failure);
        if failure.skipped_len() == 0 && first.is_none() {
            *first = Some(failure.clone());
        }
    }

    /// Whether tasks may still be pushed.
    pub(crate) fn is_closed(&self) -> bool {
        self.state.load(Ordering::Acquire) == CLOSED
    }

    pub(crate) fn is_cancelling(&self) -> bool {
        self.state.load(Ordering::Relaxed) == CANCELLING
    }

    pub(crate) fn default_lane(&self) -> Arc<dyn Lane> {
        self.default_lane.clone()
    }

    fn shut_down(self: &Arc<Self>, how: OnDrop) {
        let to = if how == OnDrop::Drain { DRAINING } else { CANCELLING };
        // AcqRel: pairs with `is_closed`. Only the first caller closes.
        if self.state.compare_exchange(OPEN, to, Ordering::AcqRel, Ordering::Relaxed).is_err() {
            return;
        }
        if running().is_none() {
            return self.close();
        }
        // Inside a task, which is pending itself: somebody else has to wait for it.
        let core = self.clone();
        let closer = std::thread::Builder::new().name("engine-close".to_string()).spawn(move || core.close());
        drop(closer); // without a thread to be had the engine stays open, which loses nothing
    }

    fn close(&self) {
        self.drain();
        self.state.store(CLOSED, Ordering::Release);
        for lane in lock(&self.lanes).drain(..) {
            lane.shutdown();
        }
    }
}

/// What happens to the tasks that have not started when the last handle of an engine is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnDrop {
    /// They run.
    #[default]
    Drain,
    /// They fail with [`Cause::Cancelled`](crate::Cause::Cancelled).
    Cancel,
}

struct Owner {
    core: Arc<Core>,
    on_drop: OnDrop,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.core.shut_down(self.on_drop);
    }
}

/// An engine: push tasks that name the vars they read and write, and they run as soon as that order allows.
///
/// Clones are handles on the same engine. When the last is dropped the engine finishes (or cancels) what is pending and
/// stops its threads. An engine may be dropped inside one of its own tasks; then it closes behind the caller's back.
///
/// ```
/// use varflow_engine::Engine;
/// # fn main() -> Result<(), varflow_engine::Error> {
/// let engine = Engine::builder().cpu_workers(2).build()?;
/// let (x, y) = (engine.data(vec![1.0; 8]), engine.data(vec![2.0; 8]));
/// engine.task("axpy").read(&x).write(&y).run(|x, y| y.iter_mut().zip(x).for_each(|(y, x)| *y += 0.5 * x));
/// let sum = engine.task("sum").read(&y).compute(|y| y.iter().sum::<f64>());
/// assert_eq!(sum.wait()?, 20.0);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Engine {
    core: Arc<Core>,
    // Absent in handles made inside tasks, which do not keep the engine open.
    _owner: Option<Arc<Owner>>,
}

impl Engine {
    /// Starts describing an engine.
    #[must_use]
    pub fn builder() -> EngineBuilder {
        EngineBuilder { lanes: Vec::new(), on_drop: OnDrop::Drain }
    }

    /// An engine that runs each task as it is pushed, on the pushing thread: the oracle of the tests.
    #[must_use]
    pub fn serial() -> Engine {
        Engine::with_lanes(vec![Arc::new(Serial::new("serial"))], OnDrop::Drain)
    }

    fn with_lanes(lanes: Vec<Arc<dyn Lane>>, on_drop: OnDrop) -> Engine {
        let core = Arc::new(Core {
            default_lane: lanes[0].clone(),
            lanes: Mutex::new(lanes),
            pending: AtomicUsize::new(0),
            idle: (Mutex::new(()), Condvar::new()),
            next_var: AtomicUsize::new(0),
            state: AtomicUsize::new(OPEN),
            first_failure: Mutex::new(None),
            blocked: Mutex::new(Vec::new()),
        });
        Engine { core: core.clone(), _owner: Some(Arc::new(Owner { core, on_drop })) }
    }

    pub(crate) fn from_core(core: Arc<Core>) -> Engine {
        Engine { core, _owner: None }
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// A new var.
    #[must_use]
    pub fn var(&self) -> Var {
        Var::new(self.core.clone())
    }

    /// A value owned by the engine, touched only by tasks that name it.
    pub fn data<T: Send + Sync + 'static>(&self, value: T) -> Data<T> {
        Data::new(self, Some(value))
    }

    /// Starts a task over typed values.
    #[track_caller]
    pub fn task(&self, name: impl Into<Name>) -> TaskBuilder<()> {
        TaskBuilder::new(self, name.into(), Location::caller())
    }

    /// Starts a task over bare vars, for runtimes that own their memory.
    #[track_caller]
    pub fn raw(&self, name: impl Into<Name>) -> RawTask {
        RawTask::new(self, name.into(), Location::caller())
    }

    /// Adds a lane. Tasks choose it with [`RawTask::lane`] or [`TaskBuilder::lane`].
    pub fn add_lane(&self, lane: impl Lane) -> LaneHandle {
        let lane: Arc<dyn Lane> = Arc::new(lane);
        lock(&self.core.lanes).push(lane.clone());
        LaneHandle { lane, core: self.core.clone() }
    }

    /// The lane of tasks that choose none.
    #[must_use]
    pub fn default_lane(&self) -> LaneHandle {
        LaneHandle { lane: self.core.default_lane(), core: self.core.clone() }
    }

    /// Waits until nothing is pending.
    ///
    /// # Errors
    /// The first failure of any task since the last call. [`Error::WaitCycle`] inside a task, which would wait for itself.
    pub fn wait_all(&self) -> Result<(), Error> {
        if let Some(task) = running() {
            return Err(Error::WaitCycle(format!("wait_all is called inside {}, which is pending itself", task.id)));
        }
        self.core.drain();
        match lock(&self.core.first_failure).take() {
            Some(failure) => Err(Error::Task(failure)),
            None => Ok(()),
        }
    }

    /// Whether both are handles on one engine.
    #[must_use]
    pub fn same(&self, other: &Engine) -> bool {
        Arc::ptr_eq(&self.core, &other.core)
    }
}

/// A lane of one engine, as tasks name it.
#[derive(Clone)]
pub struct LaneHandle {
    pub(crate) lane: Arc<dyn Lane>,
    pub(crate) core: Arc<Core>,
}

impl LaneHandle {
    /// The lane's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.lane.name()
    }

    /// How many of its tasks can run at once.
    #[must_use]
    pub fn width(&self) -> usize {
        self.lane.width()
    }
}

/// Describes an engine. Lanes are kept in the order in which they are named; the first is the default one.
pub struct EngineBuilder {
    lanes: Vec<LaneSpec>,
    on_drop: OnDrop,
}

enum LaneSpec {
    Pool(usize),
    Given(Arc<dyn Lane>),
}

impl EngineBuilder {
    /// Adds a pool of `n` worker threads (at least one).
    #[must_use]
    pub fn cpu_workers(mut self, n: usize) -> Self {
        self.lanes.push(LaneSpec::Pool(n.max(1)));
        self
    }

    /// Adds a lane.
    #[must_use]
    pub fn lane(mut self, lane: impl Lane) -> Self {
        self.lanes.push(LaneSpec::Given(Arc::new(lane)));
        self
    }

    /// What happens to pending tasks when the engine is dropped; [`OnDrop::Drain`] unless set.
    #[must_use]
    pub fn on_drop(mut self, on_drop: OnDrop) -> Self {
        self.on_drop = on_drop;
        self
    }

    /// Starts the engine; without any lane, with one worker for each core.
    ///
    /// # Errors
    /// [`Error::Lane`] when threads cannot be started.
    pub fn build(mut self) -> Result<Engine, Error> {
        if self.lanes.is_empty() {
            let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            self = self.cpu_workers(cores);
        }
        let mut lanes: Vec<Arc<dyn Lane>> = Vec::new();
        for spec in self.lanes {
            lanes.push(match spec {
                LaneSpec::Pool(n) => Arc::new(Pool::start("cpu", n)?),
                LaneSpec::Given(lane) => lane,
            });
        }
        Ok(Engine::with_lanes(lanes, self.on_drop))
    }
}
