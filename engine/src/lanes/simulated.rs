//! A simulated device: in-order queues with latency, and events that are fences. What lanes of real devices do, without one.

use super::turns::Turns;
use crate::error::{BoxError, Error};
use crate::fence::{Fence, Signal};
use crate::lane::Lane;
use crate::sync::{Arc, Mutex, lock};
use crate::task::{Completion, ReadyTask, TaskCtx};
use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Condvar;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A device that one thread plays. It does the work of its queues, each queue in the order of issue.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use std::time::Duration;
/// use varflow_engine::{Engine, SimDevice};
/// # fn main() -> Result<(), varflow_engine::Error> {
/// let device = SimDevice::start("device")?;
/// let (copy, compute) = (device.queue("copy-in", Duration::from_micros(50)), device.queue("compute", Duration::ZERO));
/// let engine = Engine::builder().cpu_workers(1).build()?;
/// let (on_copy, on_compute) = (engine.add_lane(copy.clone())?, engine.add_lane(compute.clone())?);
/// let (memory, var) = (Arc::new(Mutex::new(0)), engine.var());
/// let (to, at) = (memory.clone(), memory.clone());
/// engine.raw("copy").lane(&on_copy).overwrite(&var).run_async(copy.work(move || { *to.lock().unwrap() = 20; Ok(()) }));
/// // Issued at once; the device has it wait for the copy.
/// engine.raw("add").lane(&on_compute).write(&var).run_async(compute.work(move || { *at.lock().unwrap() += 1; Ok(()) }));
/// var.wait()?;
/// assert_eq!(*memory.lock().unwrap(), 21);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct SimDevice(Arc<Owner>);

/// Stops the thread when the last handle is gone.
struct Owner {
    device: Arc<Device>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Device {
    name: String,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queues: Vec<VecDeque<Item>>,
    paused: bool,
    stopping: bool,
    done: usize,
}

enum Item {
    /// Goes on when the event has fired.
    Wait(Arc<SimEvent>),
    Work {
        latency: Duration,
        due: Option<Instant>,
        work: Work,
        event: Arc<SimEvent>,
    },
}

type Work = Box<dyn FnOnce() -> Result<(), BoxError> + Send>;

impl SimDevice {
    /// Starts the device's thread.
    ///
    /// # Errors
    /// [`Error::Lane`] when the system refuses a thread.
    pub fn start(name: &str) -> Result<SimDevice, Error> {
        let state = Mutex::new(State::default());
        let device = Arc::new(Device { name: name.to_string(), state, changed: Condvar::new() });
        let its = device.clone();
        let thread = std::thread::Builder::new().name(name.to_string()).spawn(move || its.play());
        let thread = thread.map_err(|e| Error::Lane { lane: name.to_string(), reason: format!("no thread: {e}") })?;
        Ok(SimDevice(Arc::new(Owner { device, thread: Mutex::new(Some(thread)) })))
    }

    /// A new queue: each piece of work takes `latency` once its turn has come.
    #[must_use]
    pub fn queue(&self, name: &str, latency: Duration) -> SimQueue {
        let mut state = lock(&self.0.device.state);
        state.queues.push(VecDeque::new());
        let name = format!("{}:{name}", self.0.device.name);
        let index = state.queues.len() - 1;
        let device = self.0.device.clone();
        // Tasks are issued one by one, in the order in which they become ready.
        let call: Issue = Box::new(move |task| {
            for fence in task.fences() {
                if let Ok(event) = (fence as Arc<dyn Any + Send + Sync>).downcast::<SimEvent>() {
                    device.add(index, Item::Wait(event));
                }
            }
            task.run();
        });
        let turns = Turns::calling(None, call);
        SimQueue(Arc::new(Queue { device: self.0.clone(), index, name, latency, turns }))
    }

    /// From now on the device does no work, until [`resume`](Self::resume).
    pub fn pause(&self) {
        lock(&self.0.device.state).paused = true;
    }

    /// Ends a pause.
    pub fn resume(&self) {
        lock(&self.0.device.state).paused = false;
        self.0.device.changed.notify_all();
    }

    /// Pieces of work that are issued and not done, over all queues.
    #[must_use]
    pub fn num_issued(&self) -> usize {
        let state = lock(&self.0.device.state);
        state.queues.iter().flatten().filter(|item| matches!(item, Item::Work { .. })).count()
    }

    /// Pieces of work done so far.
    #[must_use]
    pub fn num_done(&self) -> usize {
        lock(&self.0.device.state).done
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        lock(&self.device.state).stopping = true;
        self.device.changed.notify_all();
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread.filter(|t| t.thread().id() != std::thread::current().id()) {
            let _ = thread.join();
        }
    }
}

impl Device {
    fn add(&self, queue: usize, item: Item) {
        lock(&self.state).queues[queue].push_back(item);
        self.changed.notify_all();
    }

    fn play(self: &Arc<Self>) {
        let mut state = lock(&self.state);
        while !state.stopping {
            match self.next(&mut state) {
                Ok((work, event)) => {
                    drop(state);
                    // A panic of the work is a failure of it, not of the device.
                    let result =
                        catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err("the work panicked".into()));
                    lock(&self.state).done += 1;
                    event.fire(result);
                    state = lock(&self.state);
                }
                Err(None) => state = self.changed.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner),
                Err(Some(time)) => {
                    let waited = self.changed.wait_timeout(state, time);
                    state = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
                }
            }
        }
        let lost = std::mem::take(&mut state.queues);
        drop(state);
        for item in lost.into_iter().flatten() {
            if let Item::Work { event, .. } = item {
                event.fire(Err("the device stopped before the work was done".into()));
            }
        }
    }

    /// A piece of work that may run now, or how long to wait at most for one.
    fn next(self: &Arc<Self>, state: &mut State) -> Result<(Work, Arc<SimEvent>), Option<Duration>> {
        if state.paused {
            return Err(None);
        }
        let now = Instant::now();
        let mut soonest: Option<Duration> = None;
        for queue in &mut state.queues {
            while let Some(Item::Wait(event)) = queue.front() {
                if !event.has_fired_or_wakes(self) {
                    break;
                }
                queue.pop_front();
            }
            let Some(Item::Work { latency, due, .. }) = queue.front_mut() else { continue };
            let due = *due.get_or_insert(now + *latency);
            if due > now {
                soonest = Some(soonest.map_or(due - now, |s| s.min(due - now)));
            } else if let Some(Item::Work { work, event, .. }) = queue.pop_front() {
                return Ok((work, event));
            }
        }
        Err(soonest)
    }
}

/// An in-order queue of a simulated device, as a lane. Bodies of its tasks do not compute: they issue work on the queue and
/// finish with its event, as [`work`](SimQueue::work) does.
#[derive(Clone)]
pub struct SimQueue(Arc<Queue>);

struct Queue {
    device: Arc<Owner>,
    index: usize,
    name: String,
    latency: Duration,
    turns: Turns<Issue>,
}

type Issue = Box<dyn Fn(ReadyTask) + Send + Sync>;

impl SimQueue {
    /// Issues work: it is done after all that was issued on this queue before. Returns its event.
    pub fn issue(&self, work: impl FnOnce() -> Result<(), BoxError> + Send + 'static) -> Arc<SimEvent> {
        let event = Arc::new(SimEvent::default());
        let (latency, work) = (self.0.latency, Box::new(work));
        self.add(Item::Work { latency, due: None, work, event: event.clone() });
        event
    }

    /// What is issued from now on waits, on the device, until `event` has fired.
    pub fn wait(&self, event: &Arc<SimEvent>) {
        self.add(Item::Wait(event.clone()));
    }

    fn add(&self, item: Item) {
        self.0.device.device.add(self.0.index, item);
    }

    /// The body of a task that issues this work and is done when it is.
    pub fn work(
        &self,
        work: impl FnOnce() -> Result<(), BoxError> + Send + 'static,
    ) -> impl FnOnce(&TaskCtx<'_>, Completion) + Send + 'static {
        let queue = self.clone();
        move |_: &TaskCtx<'_>, token: Completion| token.fence(queue.issue(work))
    }
}

impl Lane for SimQueue {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn submit(&self, task: ReadyTask) {
        self.0.turns.submit(task);
    }

    fn help(&self) -> bool {
        self.0.turns.help()
    }

    fn begin_block(&self) -> Result<(), Error> {
        self.0.turns.begin_block();
        Ok(())
    }

    fn end_block(&self) {
        self.0.turns.end_block();
    }

    fn shutdown(&self) {
        self.0.turns.stop();
    }

    /// Events of any simulated device.
    fn understands(&self, fence: &dyn Fence) -> bool {
        (fence as &dyn Any).is::<SimEvent>()
    }
}

/// Fires when work on a simulated device is done.
#[derive(Default)]
pub struct SimEvent(Mutex<EventState>);

#[derive(Default)]
struct EventState {
    /// The failure is kept as text, for those who ask later.
    fired: Option<Result<(), String>>,
    signals: Vec<Signal>,
    devices: Vec<Arc<Device>>,
}

impl SimEvent {
    fn fire(&self, result: Result<(), BoxError>) {
        let (signals, devices) = {
            let mut state = lock(&self.0);
            state.fired = Some(result.as_ref().copied().map_err(ToString::to_string));
            (std::mem::take(&mut state.signals), std::mem::take(&mut state.devices))
        };
        for device in devices {
            // The device looks at events under its lock: with it held here, it either saw this one or hears of it.
            drop(lock(&device.state));
            device.changed.notify_all();
        }
        let mut result = Some(result);
        for signal in signals {
            let text = lock(&self.0).fired.clone().unwrap_or(Ok(()));
            signal.fire(result.take().unwrap_or_else(|| text.map_err(Into::into)));
        }
    }

    /// Whether it has fired; if not, it will wake the device.
    fn has_fired_or_wakes(&self, device: &Arc<Device>) -> bool {
        let mut state = lock(&self.0);
        if state.fired.is_none() && !state.devices.iter().any(|d| Arc::ptr_eq(d, device)) {
            state.devices.push(device.clone());
        }
        state.fired.is_some()
    }
}

impl Fence for SimEvent {
    fn on_fire(self: Arc<Self>, signal: Signal) {
        let fired = {
            let mut state = lock(&self.0);
            match state.fired.clone() {
                None => return state.signals.push(signal),
                Some(fired) => fired,
            }
        };
        signal.fire(fired.map_err(Into::into));
    }
}
