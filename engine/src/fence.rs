//! Fences: tasks whose work goes on, on a device, after they have been issued.
#![expect(unsafe_code, reason = "pins the vars of a task that holds them")]

use crate::access::Mode;
use crate::bounds::Room;
use crate::engine::Core;
use crate::error::{BoxError, Cause, Failure, TaskId};
use crate::node::TaskRef;
use crate::observe::TaskNumber;
use crate::sync::{Arc, Mutex, Ordering, lock};
use crate::task::hand_on;
use crate::var::{VarPin, VarState};
use smallvec::SmallVec;
use std::any::Any;
use std::fmt;
use std::sync::Weak;

/// The end of work that a device does later: an event on one of its queues.
///
/// A task that is finished with a fence ([`Completion::fence`](crate::Completion::fence)) counts as issued: those that
/// come after it on lanes that [understand](crate::Lane::understands) the fence are started at once, and have the device
/// wait ([`ReadyTask::fences`](crate::ReadyTask::fences)); all others start when the fence has fired. No thread blocks.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use varflow_engine::{Engine, Fence, Signal};
///
/// /// Fires when its owner says so.
/// #[derive(Default)]
/// struct Event(Mutex<(bool, Vec<Signal>)>);
///
/// impl Event {
///     fn fire(&self) {
///         let signals = {
///             let mut state = self.0.lock().unwrap();
///             state.0 = true;
///             std::mem::take(&mut state.1)
///         };
///         signals.into_iter().for_each(|signal| signal.fire(Ok(()))); // with no lock held
///     }
/// }
///
/// impl Fence for Event {
///     fn on_fire(self: Arc<Self>, signal: Signal) {
///         let mut state = self.0.lock().unwrap();
///         if !state.0 {
///             return state.1.push(signal);
///         }
///         drop(state);
///         signal.fire(Ok(()));
///     }
/// }
///
/// # fn main() -> Result<(), varflow_engine::Error> {
/// let engine = Engine::builder().cpu_workers(1).build()?;
/// let (var, event) = (engine.var(), Arc::new(Event::default()));
/// let its = event.clone();
/// engine.raw("issue").write(&var).run_async(move |_ctx, token| token.fence(its));
/// std::thread::spawn(move || event.fire()); // stands for the device
/// var.wait()?;
/// # Ok(()) }
/// ```
pub trait Fence: Any + Send + Sync {
    /// Keeps `signal`, and uses it once the work is done or has failed; at once if it has already. Any thread may use it.
    /// The engine keeps no fence alive: one that nobody holds any more is lost, with the signals in it.
    fn on_fire(self: Arc<Self>, signal: Signal);
}

/// Tells the engine that a [`Fence`] has fired. Dropped unused, it tells that the work was lost: the task fails with
/// [`Cause::FenceDropped`].
pub struct Signal(Option<(Arc<Core>, Arc<Fenced>)>);

impl Signal {
    pub(crate) fn new(core: Arc<Core>, fenced: Arc<Fenced>) -> Signal {
        Signal(Some((core, fenced)))
    }

    /// The work is done, or failed. Starts, on this thread, what was kept for the fence: hold no lock that a task or lane may need.
    pub fn fire(mut self, result: Result<(), BoxError>) {
        if let Some((core, fenced)) = self.0.take() {
            fenced.fire(&core, result.map_err(Cause::Failed));
        }
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        if let Some((core, fenced)) = self.0.take() {
            fenced.fire(&core, Err(Cause::FenceDropped));
        }
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signal({:?})", self.0.as_ref().map(|(_, fenced)| &fenced.task))
    }
}

/// A task that was issued, and whose fence may not have fired.
pub(crate) struct Fenced {
    fence: Weak<dyn Fence>,
    task: TaskId,
    number: Option<TaskNumber>,
    /// What it is charged on the ledger of a bounded engine, until the fence fires.
    charge: Option<u128>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    fired: Option<Result<(), Failure>>,
    /// What it touches, until it fires.
    vars: SmallVec<[VarPin; 4]>,
    /// What this one used, in the order of the vars: if any of that failed, so did this.
    sources: SmallVec<[Source; 4]>,
    /// The place on the ledger of the run of a schedule that it belongs to.
    room: Option<Arc<Room>>,
    /// Tasks that go on when it has fired.
    held: Vec<TaskRef>,
    /// Issued tasks whose own fences have fired, and how, but which have this one among their sources.
    behind: Vec<(Arc<Fenced>, Result<(), Cause>)>,
}

/// Where an issued task's results come from.
#[derive(Clone)]
enum Source {
    Issued(Arc<Fenced>),
    /// An issued task that failed between the start of this one's body and its issue.
    Failed(Failure),
}

impl Fenced {
    /// The state of a task that is issued now and holds `accesses`.
    pub(crate) fn new(
        task: TaskRef,
        fence: &Arc<dyn Fence>,
        accesses: impl Iterator<Item = (std::ptr::NonNull<VarState>, Mode)>,
        room: Option<Arc<Room>>,
    ) -> Arc<Fenced> {
        let mut sources = SmallVec::new();
        let mut vars = SmallVec::new();
        for (var, mode) in accesses {
            // SAFETY: the caller is a task that holds the var.
            let pin = unsafe { VarPin::new(var) };
            if mode.sees_old() && pin.state().is_troubled() {
                // In this order: a fence that fires in between leaves poison.
                pin.state().fences(Mode::Read, |f| sources.push(Source::Issued(f.clone())));
                sources.extend(pin.state().poison(mode).map(Source::Failed));
            }
            vars.push(pin);
        }
        let (id, number) = (task.id(), task.number());
        // SAFETY: the core outlives its tasks.
        let charge = unsafe { task.core().as_ref() }.bounds().and_then(|bounds| bounds.charge_of(task));
        Arc::new(Fenced {
            fence: Arc::downgrade(fence),
            task: id,
            number,
            charge,
            state: Mutex::new(State { vars, sources, room, ..State::default() }),
        })
    }

    /// The fence, unless it has fired or was lost.
    pub(crate) fn fence(&self) -> Option<Arc<dyn Fence>> {
        self.fence.upgrade().filter(|_| !self.has_fired())
    }

    fn has_fired(&self) -> bool {
        lock(&self.state).fired.is_some()
    }

    /// Keeps a ready task until the fence has fired. `false` if it has.
    pub(crate) fn hold(&self, task: TaskRef, core: &Core) -> bool {
        let mut state = lock(&self.state);
        let waits = state.fired.is_none();
        if waits {
            core.held.fetch_add(1, Ordering::Relaxed);
            state.held.push(task);
        }
        waits
    }

    /// Its work is done. What it used may not have told its end yet, though that came first: fences fire on any thread. Then
    /// this one tells its own after that.
    fn fire(self: &Arc<Self>, core: &Core, result: Result<(), Cause>) {
        let mut fired = vec![(self.clone(), result)];
        while let Some((fenced, result)) = fired.pop() {
            fenced.tell(core, result, &mut fired);
        }
    }

    /// Tells the end if those of all sources are known, and leaves in `fired` what waited for that.
    fn tell(
        self: Arc<Self>,
        core: &Core,
        result: Result<(), Cause>,
        fired: &mut Vec<(Arc<Fenced>, Result<(), Cause>)>,
    ) {
        let sources = lock(&self.state).sources.clone();
        let mut inherited = None;
        for source in &sources {
            let failure = match source {
                Source::Failed(failure) => Some(failure.clone()),
                Source::Issued(source) => {
                    let mut state = lock(&source.state);
                    match &state.fired {
                        None => return state.behind.push((self, result)),
                        Some(fired) => fired.as_ref().err().cloned(),
                    }
                }
            };
            inherited = inherited.or(failure);
        }
        let (vars, room) = {
            let mut state = lock(&self.state);
            // Or a chain of issued tasks would keep all that came before.
            state.sources.clear();
            (std::mem::take(&mut state.vars), state.room.take())
        };
        drop(sources);
        let result = match (result, inherited) {
            (_, Some(failure)) => Err(failure.through(self.task.clone())),
            (Err(cause), None) => {
                let failure = Failure::new(self.task.clone(), self.number, cause);
                core.note_failure(&failure);
                Err(failure)
            }
            (Ok(()), None) => Ok(()),
        };
        if core.observer.is_on() {
            core.observer.finished(self.number, result.as_ref().copied());
        }
        // First the vars, then the flag: who finds the flag set finds the poison.
        for var in vars {
            var.fired(&self, result.as_ref().err());
        }
        let held = {
            let mut state = lock(&self.state);
            state.fired = Some(result);
            fired.append(&mut state.behind);
            std::mem::take(&mut state.held)
        };
        held.into_iter().for_each(|task| hand_on(core, task));
        if let Some((bounds, bytes)) = core.bounds().zip(self.charge) {
            bounds.leave(bytes);
        }
        drop(room);
        core.task_done(0);
    }
}
