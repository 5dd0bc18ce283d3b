//! The engine: a value that owns lanes and counts the tasks in flight.
#![expect(unsafe_code, reason = "counts a reference that a borrowed core stands for")]

use crate::builder::{RawTask, TaskBuilder};
use crate::data::Data;
use crate::error::{Error, Failure};
use crate::lane::Lane;
use crate::lanes::{Pool, Serial};
use crate::name::Name;
use crate::slab::Slab;
use crate::sync::{Arc, AtomicUsize, Condvar, Mutex, Ordering, Padded, fence, lock, thread, wait, yield_now};
use crate::task::{is_running, running};
use crate::var::Var;
use crate::waiting::Blocked;
use std::panic::Location;
use std::sync::{OnceLock, Weak};

/// The most lanes that an engine can have.
const MAX_LANES: usize = 64;
/// A pusher that is this many tasks ahead of the workers lets them catch up.
const FAR_AHEAD: usize = 4096;
/// How often a pusher looks how far ahead it is, in tasks.
const LOOK_EVERY: usize = 256;
/// After so many looks at workers that finish nothing a pusher goes on.
const IDLE_LOOKS: u32 = 32;
/// The most counters of finished tasks.
const COUNTERS: usize = 33;

const OPEN: usize = 0;
const DRAINING: usize = 1;
const CANCELLING: usize = 2;
const CLOSED: usize = 3;

/// What all handles of one engine share.
pub(crate) struct Core {
    this: Weak<Core>,
    pub(crate) slab: Slab,
    /// By number; the first is the default one. They stay until the engine is gone.
    lanes: [OnceLock<Arc<dyn Lane>>; MAX_LANES],
    num_lanes: Mutex<usize>,
    /// Tasks pushed.
    pushed: Padded<AtomicUsize>,
    /// Tasks done, by the counter of who ran them: the first is shared, each other one is a worker's own.
    done: [Padded<AtomicUsize>; COUNTERS],
    /// How many threads sleep until nothing is pending, and how they are woken.
    waiters: Padded<AtomicUsize>,
    /// How many tasks were done when the workers last made no progress: see `pace`.
    stalled_at: AtomicUsize,
    idle: (Mutex<()>, Condvar),
    next_counter: AtomicUsize,
    next_number: AtomicUsize,
    state: AtomicUsize,
    first_failure: Mutex<Option<Failure>>,
    pub(crate) blocked: Mutex<Vec<Blocked>>,
}

impl Core {
    /// A number for a var or a wait.
    pub(crate) fn next_number(&self) -> usize {
        self.next_number.fetch_add(1, Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn task_begun(&self) {
        // Relaxed: only compared with the tasks done, which are counted after this.
        let pushed = self.pushed.fetch_add(1, Ordering::Relaxed);
        if pushed % LOOK_EVERY == LOOK_EVERY - 1 {
            self.pace();
        }
    }

    /// Lets the workers catch up with a pusher that is far ahead, so that tasks are still in the caches when they run.
    ///
    /// It never holds a pusher up that the workers cannot follow: it ends as soon as they make no progress, and is not
    /// tried again until they have made some. Tasks that push tasks are not held up: workers would be.
    #[cold]
    fn pace(&self) {
        if self.is_followed() || is_running() {
            return;
        }
        let mut before = self.num_done();
        if before == self.stalled_at.load(Ordering::Relaxed) {
            return;
        }
        let mut idle_looks = 0;
        while !self.is_followed() {
            yield_now();
            let now = self.num_done();
            idle_looks = if now == before { idle_looks + 1 } else { 0 };
            if idle_looks > IDLE_LOOKS {
                return self.stalled_at.store(now, Ordering::Relaxed);
            }
            before = now;
        }
    }

    fn num_done(&self) -> usize {
        // Acquire: who sees that the tasks are done sees what they did.
        self.done.iter().fold(0, |n: usize, c| n.wrapping_add(c.load(Ordering::Acquire)))
    }

    fn is_followed(&self) -> bool {
        let done = self.num_done();
        self.pushed.load(Ordering::Relaxed).wrapping_sub(done) < FAR_AHEAD
    }

    /// Counts a finished task. A worker that runs out of tasks calls [`wake_waiters`](Self::wake_waiters) later.
    #[inline]
    pub(crate) fn task_done(&self, counter: usize) {
        if counter > 0 {
            let own = &self.done[counter];
            // Release: pairs with the Acquire in `is_idle`. Only this thread writes the counter.
            own.store(own.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
        } else {
            // SeqCst: see `wake_waiters`.
            self.done[0].fetch_add(1, Ordering::SeqCst);
            self.wake_waiters();
        }
    }

    /// A counter for a worker; the shared one when there are more workers than counters.
    pub(crate) fn take_counter(&self) -> usize {
        let n = self.next_counter.fetch_add(1, Ordering::Relaxed);
        if n < COUNTERS { n } else { 0 }
    }

    /// Whether nothing is pending. Each count only grows, and the tasks done are never more than those pushed: if the
    /// tasks done, counted first, are as many as those pushed, counted later, then so it was in between.
    fn is_idle(&self) -> bool {
        self.num_done() == self.pushed.load(Ordering::Acquire)
    }

    /// Wakes those who wait for the engine to be idle, if it is.
    ///
    /// Either the waiter sees the last task counted, or the one who counted it sees the waiter: both put a SeqCst fence
    /// between their write and their read.
    pub(crate) fn wake_waiters(&self) {
        fence(Ordering::SeqCst);
        if self.waiters.load(Ordering::Relaxed) > 0 && self.is_idle() {
            let _guard = lock(&self.idle.0);
            self.idle.1.notify_all();
        }
    }

    fn drain(&self) {
        let mut guard = lock(&self.idle.0);
        self.waiters.fetch_add(1, Ordering::Relaxed);
        loop {
            // See `wake_waiters`.
            fence(Ordering::SeqCst);
            if self.is_idle() {
                break;
            }
            guard = wait(&self.idle.1, guard);
        }
        self.waiters.fetch_sub(1, Ordering::Relaxed);
    }

    /// Another handle on this core.
    pub(crate) fn this(&self) -> Arc<Core> {
        // Not from `self`: a pointer made of a reference to the core may not reach the counts that lie beside it.
        let core = self.this.as_ptr();
        // SAFETY: the pointer is that of the Arc in which `Engine::with_lane` made this core, which is borrowed and so alive.
        unsafe {
            Arc::increment_strong_count(core);
            Arc::from_raw(core)
        }
    }

    pub(crate) fn lane(&self, index: u16) -> &Arc<dyn Lane> {
        // A lane's number is given out when it is there; the first always is.
        self.lanes[usize::from(index)].get().unwrap_or_else(|| unreachable!("lane {index} was never added"))
    }

    fn add_lane(&self, lane: Arc<dyn Lane>) -> Result<u16, Error> {
        let mut n = lock(&self.num_lanes);
        let full = || Error::Lane {
            lane: lane.name().to_string(),
            reason: format!("an engine has at most {MAX_LANES} lanes"),
        };
        let slot = self.lanes.get(*n).ok_or_else(full)?;
        let _ = slot.set(lane);
        *n += 1;
        Ok(u16::try_from(*n - 1).unwrap_or(0))
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

    fn shut_down(self: &Arc<Self>, how: OnDrop) {
        let to = if how == OnDrop::Drain { DRAINING } else { CANCELLING };
        // AcqRel: pairs with `is_closed`. Only the first caller closes.
        if self.state.compare_exchange(OPEN, to, Ordering::AcqRel, Ordering::Relaxed).is_err() {
            return;
        }
        if running().is_empty() {
            return self.close();
        }
        // Inside a task, which is pending itself: somebody else has to wait for it.
        let core = self.clone();
        let closer = thread::Builder::new().name("engine-close".to_string()).spawn(move || core.close());
        drop(closer); // without a thread to be had the engine stays open, which loses nothing
    }

    fn close(&self) {
        self.drain();
        self.state.store(CLOSED, Ordering::Release);
        self.lanes.iter().filter_map(OnceLock::get).for_each(|lane| lane.shutdown());
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
        Engine::with_lane(Arc::new(Serial::new("serial")), OnDrop::Drain)
    }

    fn with_lane(first: Arc<dyn Lane>, on_drop: OnDrop) -> Engine {
        let lanes = std::array::from_fn(|_| OnceLock::new());
        let _ = lanes[0].set(first);
        let core = Arc::new_cyclic(|this| Core {
            this: this.clone(),
            slab: Slab::default(),
            lanes,
            num_lanes: Mutex::new(1),
            pushed: Padded::default(),
            done: std::array::from_fn(|_| Padded::default()),
            waiters: Padded::default(),
            stalled_at: AtomicUsize::new(usize::MAX),
            idle: (Mutex::new(()), Condvar::new()),
            next_counter: AtomicUsize::new(1),
            next_number: AtomicUsize::new(0),
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
    pub fn task(&self, name: impl Into<Name>) -> TaskBuilder<'_, ()> {
        TaskBuilder::new(self, name.into(), Location::caller())
    }

    /// Starts a task over bare vars, for runtimes that own their memory.
    #[track_caller]
    pub fn raw(&self, name: impl Into<Name>) -> RawTask<'_> {
        RawTask::new(self, name.into(), Location::caller())
    }

    /// Adds a lane. Tasks choose it with [`RawTask::lane`] or [`TaskBuilder::lane`].
    ///
    /// # Errors
    /// [`Error::Lane`] when there are too many.
    pub fn add_lane(&self, lane: impl Lane) -> Result<LaneHandle, Error> {
        let index = self.core.add_lane(Arc::new(lane))?;
        Ok(LaneHandle { core: self.core.clone(), index })
    }

    /// The lane of tasks that choose none.
    #[must_use]
    pub fn default_lane(&self) -> LaneHandle {
        LaneHandle { core: self.core.clone(), index: 0 }
    }

    /// Waits until nothing is pending.
    ///
    /// # Errors
    /// The first failure of any task since the last call. [`Error::WaitCycle`] inside a task, which would wait for itself.
    pub fn wait_all(&self) -> Result<(), Error> {
        if let Some(task) = running().first() {
            return Err(Error::WaitCycle(format!("wait_all is called inside {}, which is pending itself", task.id())));
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
    pub(crate) core: Arc<Core>,
    pub(crate) index: u16,
}

impl LaneHandle {
    /// The lane's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.core.lane(self.index).name()
    }

    /// How many of its tasks can run at once.
    #[must_use]
    pub fn width(&self) -> usize {
        self.core.lane(self.index).width()
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
        let start = |spec| -> Result<Arc<dyn Lane>, Error> {
            Ok(match spec {
                LaneSpec::Pool(n) => Arc::new(Pool::start("cpu", n)?),
                LaneSpec::Given(lane) => lane,
            })
        };
        let mut lanes = self.lanes.into_iter();
        let first = lanes.next().map_or_else(|| Ok(Arc::new(Serial::new("serial")) as Arc<dyn Lane>), start)?;
        let engine = Engine::with_lane(first, self.on_drop);
        for spec in lanes {
            engine.core.add_lane(start(spec)?)?;
        }
        Ok(engine)
    }
}
