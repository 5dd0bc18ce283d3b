//! The engine: a value that owns lanes and counts the tasks in flight.
#![expect(unsafe_code, reason = "counts a reference that a borrowed core stands for")]

mod builder;
mod lane_handle;

pub use builder::EngineBuilder;
pub use lane_handle::LaneHandle;

use crate::bounds::Bounds;
use crate::builder::{RawTask, TaskBuilder};
use crate::data::Data;
use crate::error::{Error, Failure};
use crate::foreign::{contained, message_of};
use crate::gate::Gate;
use crate::idle::IdleLine;
use crate::lane::Lane;
use crate::lanes::{Serial, Shuffled};
use crate::name::Name;
use crate::node::TaskRef;
use crate::observe::{Observer, Watch, WatchOptions};
use crate::parker::block_on;
use crate::recorder::Recorder;
use crate::slab::Slab;
use crate::sync::{Arc, AtomicU64, AtomicUsize, Mutex, Ordering, Padded, lock, thread, yield_now};
use crate::task::{ReadyTask, is_running, running};
use crate::var::Var;
use crate::waiting::{Blocked, Waiting};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::{OnceLock, Weak};
use std::task::{Poll, Waker};

/// The most lanes that an engine can have: a bit for each in `Core::removed`.
pub(crate) const MAX_LANES: usize = 64;
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
    /// The lanes that were removed, a bit each.
    removed: AtomicU64,
    bounds: Option<Box<Bounds>>,
    /// Tasks pushed.
    pushed: Padded<AtomicUsize>,
    /// Tasks done, by the counter of who ran them: the first is shared, each other one is a worker's own.
    done: [Padded<AtomicUsize>; COUNTERS],
    /// Those who wait until nothing is pending.
    pub(crate) idle: IdleLine,
    /// How many tasks were done when the workers last made no progress: see `pace`.
    stalled_at: AtomicUsize,
    next_counter: AtomicUsize,
    next_number: AtomicUsize,
    state: AtomicUsize,
    first_failure: Mutex<Option<Failure>>,
    pub(crate) blocked: Mutex<Vec<Blocked>>,
    /// How often a ready task was held for a fence.
    pub(crate) held: AtomicUsize,
    pub(crate) observer: Padded<Observer>,
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

    /// Counts as pushed what a run of a schedule has in queues. Its pusher is not paced: the tasks lie in memory already.
    pub(crate) fn run_begun(&self, n: usize) {
        // Relaxed: as above.
        self.pushed.fetch_add(n, Ordering::Relaxed);
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
        // Acquire: pairs with the Release in `task_done`: who sees that the tasks are done sees what they did.
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
            // Release: pairs with the Acquire in `num_done`. Only this thread writes the counter.
            own.store(own.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
        } else {
            // Release: as above.
            self.done[0].fetch_add(1, Ordering::Release);
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
        // Relaxed: after the Acquire loads, which show no task as done that this does not show as pushed.
        self.num_done() == self.pushed.load(Ordering::Relaxed)
    }

    /// Wakes those who wait for the engine to be idle, if it is.
    pub(crate) fn wake_waiters(&self) {
        self.idle.task_counted(|| self.is_idle());
    }

    /// Ready once the engine has been idle: see [`IdleLine::poll`].
    pub(crate) fn poll_idle(&self, key: &mut Option<u64>, waker: &Waker) -> Poll<()> {
        self.idle.poll(key, waker, || self.is_idle())
    }

    fn drain(&self) {
        let _waiting = Waiting::begin(self.this(), &|| self.is_idle());
        let mut key = None;
        block_on(poll_fn(|cx| self.poll_idle(&mut key, cx.waker())));
    }

    /// `None` if nothing is bounded.
    #[inline]
    pub(crate) fn bounds(&self) -> Option<&Bounds> {
        self.bounds.as_deref()
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

    #[inline]
    pub(crate) fn lane(&self, index: u16) -> &Arc<dyn Lane> {
        // A lane's number is given out when it is there; the first always is.
        self.lanes[usize::from(index)].get().unwrap_or_else(|| unreachable!("lane {index} was never added"))
    }

    /// All lanes, in the order in which they were added.
    pub(crate) fn lanes(&self) -> impl Iterator<Item = &Arc<dyn Lane>> {
        self.lanes.iter().map_while(OnceLock::get)
    }

    /// The lane's name. Lanes are foreign code: where a task is ended, a panic of theirs must not get in the way.
    pub(crate) fn lane_name(&self, index: u16) -> String {
        let name = || self.lane(index).name().to_string();
        catch_unwind(AssertUnwindSafe(name)).unwrap_or_else(|_| format!("number {index}"))
    }

    /// Whether the lane was removed.
    #[inline]
    pub(crate) fn is_removed(&self, lane: u16) -> bool {
        // Relaxed: a task that misses it is failed by the lane, which takes none after its shutdown.
        self.removed.load(Ordering::Relaxed) >> lane & 1 == 1
    }

    /// Gives a ready task to its lane. If the lane panics, the task runs or fails all the same: whoever has it drops it.
    #[inline]
    pub(crate) fn submit(&self, task: TaskRef) {
        let lane = self.lane(task.lane());
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| lane.submit(ReadyTask::from_task(task)))) {
            message_of(panic);
        }
    }

    fn add_lane(&self, lane: Arc<dyn Lane>) -> Result<u16, Error> {
        let mut n = lock(&self.num_lanes);
        let full = || Error::Lane {
            lane: lane.name().to_string(),
            reason: format!("an engine has at most {MAX_LANES} lanes, removed ones included"),
        };
        let slot = self.lanes.get(*n).ok_or_else(full)?;
        let _ = slot.set(lane);
        *n += 1;
        Ok(u16::try_from(*n - 1).unwrap_or(0))
    }

    pub(crate) fn lane_names(&self) -> Vec<String> {
        self.lanes.iter().map_while(OnceLock::get).map(|lane| lane.name().to_string()).collect()
    }

    fn remove_lane(self: &Arc<Self>, index: u16) -> Result<(), Error> {
        let refuse = |reason: String| Err(Error::Lane { lane: self.lane_name(index), reason });
        if index == 0 {
            return refuse("the default lane cannot be removed".to_string());
        }
        let bit = 1 << index;
        if self.removed.fetch_or(bit, Ordering::Relaxed) & bit != 0 {
            return refuse("was removed before".to_string());
        }
        if !is_running() {
            self.stop_lane(index);
            return Ok(());
        }
        // A task of the lane may wait for the one that this is called in: somebody else has to wait for the lane.
        let core = self.clone();
        let closer = thread::Builder::new().name("lane-close".to_string());
        match closer.spawn(move || core.stop_lane(index)) {
            Ok(_) => Ok(()),
            Err(e) => {
                self.removed.fetch_and(!bit, Ordering::Relaxed);
                refuse(format!("there is no thread to stop it: {e}"))
            }
        }
    }

    fn stop_lane(&self, index: u16) {
        contained(|| self.lane(index).shutdown());
    }

    pub(crate) fn take_failure(&self) -> Result<(), Error> {
        lock(&self.first_failure).take().map_or(Ok(()), |failure| Err(Error::Task(failure)))
    }

    pub(crate) fn note_failure(&self, failure: &Failure) {
        let mut first = lock(&self.first_failure);
        if failure.skipped_len() == 0 && first.is_none() {
            *first = Some(failure.clone());
        }
    }

    /// Whether tasks may still be pushed.
    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        // Acquire: pairs with the Release in `close`: who is refused sees what was done before.
        self.state.load(Ordering::Acquire) == CLOSED
    }

    #[inline]
    pub(crate) fn is_cancelling(&self) -> bool {
        self.state.load(Ordering::Relaxed) == CANCELLING
    }

    fn shut_down(self: &Arc<Self>, how: OnDrop) {
        let to = if how == OnDrop::Drain { DRAINING } else { CANCELLING };
        // Relaxed: it only settles that the first caller closes, and how; nothing is handed over by it.
        if self.state.compare_exchange(OPEN, to, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return;
        }
        if !is_running() {
            return self.close();
        }
        // Inside a task, which is pending itself: somebody else has to wait for it.
        let core = self.clone();
        let closer = thread::Builder::new().name("engine-close".to_string()).spawn(move || core.close());
        drop(closer); // without a thread to be had the engine stays open, which loses nothing
    }

    fn close(&self) {
        self.drain();
        // Release: pairs with the Acquire in `is_closed`.
        self.state.store(CLOSED, Ordering::Release);
        let lanes = self.lanes.iter().filter_map(OnceLock::get).count();
        (0_u16..).take(lanes).filter(|index| !self.is_removed(*index)).for_each(|index| self.stop_lane(index));
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
        EngineBuilder::new()
    }

    /// An engine that runs each task as it is pushed, on the pushing thread: the oracle of the tests, and good for debugging.
    /// See [`Serial`].
    #[must_use]
    pub fn serial() -> Engine {
        Engine::with_lane(Arc::new(Serial::new("serial")), OnDrop::Drain, None)
    }

    /// An engine for tests, which runs tasks one by one in an order drawn by lot: see [`Shuffled`].
    #[must_use]
    pub fn shuffled(seed: u64) -> Engine {
        Engine::with_lane(Arc::new(Shuffled::new(seed)), OnDrop::Drain, None)
    }

    fn with_lane(first: Arc<dyn Lane>, on_drop: OnDrop, bounds: Option<Box<Bounds>>) -> Engine {
        let lanes = std::array::from_fn(|_| OnceLock::new());
        let _ = lanes[0].set(first);
        let core = Arc::new_cyclic(|this| Core {
            this: this.clone(),
            slab: Slab::default(),
            lanes,
            num_lanes: Mutex::new(1),
            removed: AtomicU64::new(0),
            bounds,
            pushed: Padded::default(),
            done: std::array::from_fn(|_| Padded::default()),
            idle: IdleLine::default(),
            stalled_at: AtomicUsize::new(usize::MAX),
            next_counter: AtomicUsize::new(1),
            next_number: AtomicUsize::new(0),
            state: AtomicUsize::new(OPEN),
            first_failure: Mutex::new(None),
            blocked: Mutex::new(Vec::new()),
            held: AtomicUsize::new(0),
            observer: Padded::default(),
        });
        Engine { core: core.clone(), _owner: Some(Arc::new(Owner { core, on_drop })) }
    }

    pub(crate) fn from_core(core: Arc<Core>) -> Engine {
        Engine { core, _owner: None }
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// A new var: it stands for some state of yours.
    #[must_use]
    pub fn var(&self) -> Var {
        Var::new(self.core.clone(), 0)
    }

    /// A new var that stands for so many bytes, which count against
    /// [`max_pending_bytes`](EngineBuilder::max_pending_bytes) while tasks that write it are pending. More than 2^56 - 1
    /// count as that.
    #[must_use]
    pub fn sized_var(&self, bytes: usize) -> Var {
        Var::new(self.core.clone(), bytes)
    }

    /// A value owned by the engine, touched only by tasks that name it.
    pub fn data<T: Send + Sync + 'static>(&self, value: T) -> Data<T> {
        Data::new(self.var(), Some(value))
    }

    /// As [`data`](Engine::data), over a [sized var](Engine::sized_var): `bytes` is what the value holds, its heap included.
    pub fn sized_data<T: Send + Sync + 'static>(&self, value: T, bytes: usize) -> Data<T> {
        Data::new(self.sized_var(bytes), Some(value))
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

    /// Starts recording a schedule: tasks described as ever, ended by [`RawTask::record`] or [`TaskBuilder::record`]
    /// instead of `run`.
    pub fn recorder(&self, name: impl Into<Name>) -> Recorder {
        self.gate().recorder(name)
    }

    /// A gate for schedules that are to take turns.
    #[must_use]
    pub fn gate(&self) -> Gate {
        Gate::new(self)
    }

    /// Adds a lane. Tasks choose it with [`RawTask::lane`] or [`TaskBuilder::lane`].
    ///
    /// # Errors
    /// [`Error::Lane`] when there are too many.
    pub fn add_lane(&self, lane: impl Lane) -> Result<LaneHandle, Error> {
        let index = self.core.add_lane(Arc::new(lane))?;
        Ok(LaneHandle { core: self.core.clone(), index })
    }

    /// Removes a lane. Its tasks that run finish; those that have not started fail with
    /// [`Cause::LaneRemoved`](crate::Cause::LaneRemoved) when their turn comes, and so do those that name it later.
    ///
    /// Outside tasks this returns when the lane has stopped, which for a [`Pool`](crate::Pool) is when its running tasks are done;
    /// inside a task it does not wait. The lane itself is kept until the engine is gone.
    ///
    /// ```
    /// use varflow_engine::{Cause, Engine, Pool};
    /// # fn main() -> Result<(), varflow_engine::Error> {
    /// let engine = Engine::builder().cpu_workers(1).build()?;
    /// let copies = engine.add_lane(Pool::start("copies", 1)?)?;
    /// engine.remove_lane(&copies)?;
    /// let x = engine.data(1);
    /// engine.task("copy").lane(&copies).write(&x).run(|x| *x = 2);
    /// let error = x.wait().err();
    /// let cause = error.as_ref().and_then(|e| e.failure()).map(|f| f.cause());
    /// assert!(matches!(cause, Some(Cause::LaneRemoved(name)) if name == "copies"));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Lane`] if it is the default lane, another engine's, or was removed before; inside a task also when the
    /// system refuses the thread that stops it.
    pub fn remove_lane(&self, lane: &LaneHandle) -> Result<(), Error> {
        if !Arc::ptr_eq(&lane.core, &self.core) {
            let reason = "belongs to another engine".to_string();
            return Err(Error::Lane { lane: lane.core.lane_name(lane.index), reason });
        }
        self.core.remove_lane(lane.index)
    }

    /// The lane of tasks that choose none.
    #[must_use]
    pub fn default_lane(&self) -> LaneHandle {
        LaneHandle { core: self.core.clone(), index: 0 }
    }

    /// Waits until nothing is pending. The engine is a future as well: `(&engine).await` does the same without blocking the
    /// thread.
    ///
    /// # Errors
    /// The first failure of any task since the last call, which is told once; vars go on telling theirs. [`Error::WaitCycle`] inside a task of this engine, which would
    /// wait for itself.
    pub fn wait_all(&self) -> Result<(), Error> {
        self.refuse_inside("wait_all")?;
        self.core.drain();
        self.core.take_failure()
    }

    /// Fails inside a task of this engine, which is pending while it waits.
    pub(crate) fn refuse_inside(&self, what: &str) -> Result<(), Error> {
        match running().iter().find(|task| std::ptr::eq(task.core().as_ptr(), &*self.core)) {
            Some(task) => {
                Err(Error::WaitCycle(format!("{what} is called inside {}, which is pending itself", task.id())))
            }
            None => Ok(()),
        }
    }

    /// How often so far a ready task was kept on the host until a [`Fence`](crate::Fence) fired, because its lane does not
    /// understand it. Between lanes that understand each other's fences it stays 0.
    #[must_use]
    pub fn num_held(&self) -> usize {
        self.core.held.load(Ordering::Relaxed)
    }

    /// Records from now on what happens to the engine's tasks: pushed, ready (and by whom released), started, finished.
    /// Tasks pushed from now on are told apart by numbers; of those in flight only the names are known.
    ///
    /// ```
    /// use varflow_engine::{Engine, EventKind, WatchOptions};
    /// # fn main() -> Result<(), varflow_engine::Error> {
    /// let engine = Engine::builder().cpu_workers(2).build()?;
    /// let watch = engine.observe(WatchOptions::default())?;
    /// let x = engine.data(1.0);
    /// engine.task("double").write(&x).run(|x| *x *= 2.0);
    /// engine.task("add").write(&x).run(|x| *x += 1.0);
    /// engine.wait_all()?;
    /// let trace = watch.stop();
    /// for event in &trace.events {
    ///     let (thread, task) = (&trace.threads[event.thread], event.task);
    ///     match &event.kind {
    ///         EventKind::Pushed { id, lane, .. } => println!("{task:?} is {id} on lane {}", trace.lanes[*lane]),
    ///         EventKind::Ready { released_by } => println!("{task:?} may run: {released_by:?}"),
    ///         EventKind::Started { name, .. } => println!("{} ns: {name} starts on {thread}", event.nanos),
    ///         EventKind::Finished(ending) => println!("{} ns: {task:?} ends: {ending:?}", event.nanos),
    ///         _ => {}
    ///     }
    /// }
    /// assert_eq!((trace.events.len(), trace.lost), (8, 0));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::AlreadyObserved`] while another watch lives.
    pub fn observe(&self, options: WatchOptions) -> Result<Watch, Error> {
        Watch::begin(self.core.clone(), options)
    }

    /// Whether both are handles on one engine.
    #[must_use]
    pub fn same(&self, other: &Engine) -> bool {
        Arc::ptr_eq(&self.core, &other.core)
    }
}
