//! Waiting for a var: a probe is a task that reads it and tells the waiter. Also: finding waits that would never end.

#![expect(unsafe_code, reason = "walks tasks that the locks it holds keep alive")]

use crate::access::{AccessSet, Mode};
use crate::ending::Look;
use crate::engine::Core;
use crate::error::{Error, Failure};
use crate::lane::Lane;
use crate::name::Name;
use crate::node::{Header, ProbeBody, TaskRef};
use crate::parker::wake_each;
use crate::recorded::Step;
use crate::sync::{Arc, Condvar, Mutex, lock, wait, wait_for};
use crate::task::{ReadyTask, hand_on_left, push, running};
use crate::var::{Ordered, OrderedGuard, Var, VarState};
use std::collections::HashSet;
use std::collections::hash_map::{Entry, HashMap};
use std::fmt::Write as _;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// How long a wait inside a task lasts before it is asked whether it can ever end, at first and at most.
const FIRST_LOOK: Duration = Duration::from_millis(5);
const LAST_LOOK: Duration = Duration::from_millis(500);

/// Where a probe leaves what it found.
#[derive(Default)]
pub(crate) struct Mailbox {
    state: Mutex<MailState>,
    arrived: Condvar,
}

#[derive(Default)]
struct MailState {
    answer: Option<Result<(), Error>>,
    waker: Option<Waker>,
}

/// A pushed read of one var.
pub(crate) struct Probe {
    core: Arc<Core>,
    /// Stands for the probe where the task itself may be gone.
    number: usize,
    task: TaskRef,
    mail: Arc<Mailbox>,
}

/// A task that blocks in a wait, the probe it waits for, and the tasks beneath it on the same thread, which cannot go on
/// before it does. The blocked tasks live while they stand here; the probe lives until it has left an answer.
pub(crate) struct Blocked {
    number: usize,
    task: TaskRef,
    probe: TaskRef,
    mail: Arc<Mailbox>,
    beneath: Vec<TaskRef>,
}

impl Probe {
    #[track_caller]
    pub(crate) fn push(var: &Var) -> Probe {
        let core = var.core().clone();
        let mail = Arc::new(Mailbox::default());
        if var.state().is_inside() {
            lock(&mail.state).answer = Some(Err(Error::InsideVar(format!("{var:?}"))));
        }
        let to = mail.clone();
        let tell = move |poison: Option<Failure>| {
            let waker = {
                let mut state = lock(&to.state);
                state.answer.get_or_insert(poison.map_or(Ok(()), |f| Err(Error::Task(f))));
                state.waker.take()
            };
            to.arrived.notify_all();
            wake_each(waker);
        };
        let mut accesses = AccessSet::default();
        accesses.add(var, Mode::Read);
        let header = Header { name: Name::from("wait"), site: Location::caller(), priority: 0, lane: 0 };
        let task = TaskRef::new(&core, header, accesses.vars(), ProbeBody(tell));
        push(&core, task);
        let number = core.next_number();
        Probe { core, number, task, mail }
    }

    fn answer(&self) -> Option<Result<(), Error>> {
        lock(&self.mail.state).answer.clone()
    }

    /// Blocks until the answer is there. Inside a task, looks now and then whether it can ever come.
    fn block(&self, inside: Option<TaskRef>) -> Result<(), Error> {
        let mut patience = FIRST_LOOK;
        let mut state = lock(&self.mail.state);
        loop {
            if let Some(answer) = &state.answer {
                return answer.clone();
            }
            let Some(task) = inside else {
                state = wait(&self.mail.arrived, state);
                continue;
            };
            let late;
            (state, late) = wait_for(&self.mail.arrived, &self.mail.state, state, patience);
            if late && state.answer.is_none() {
                drop(state);
                patience = (patience * 2).min(LAST_LOOK);
                self.check_cycle(task)?;
                state = lock(&self.mail.state);
            }
        }
    }

    pub(crate) fn wait(&self) -> Result<(), Error> {
        if let Some(answer) = self.answer() {
            return answer;
        }
        hand_on_left();
        let inside = running();
        let Some((&task, beneath)) = inside.split_first() else {
            let _waiting = Waiting::begin(self.core.clone(), &|| self.answer().is_some());
            return self.block(None);
        };
        // The task may be another engine's.
        let core = ReadyTask::core_of(task);
        let lane = core.lane(task.lane());
        let beneath = beneath.to_vec();
        let (number, probe, mail) = (self.number, self.task, self.mail.clone());
        lock(&self.core.blocked).push(Blocked { number, task, probe, mail, beneath });
        // Also when the lane panics: the tasks in the list must live.
        let _listed = OnLeaving(|| self.unblock(&mut lock(&self.core.blocked)));
        while self.answer().is_none() && lane.help() {}
        let waiting = Waiting::begin(self.core.clone(), &|| self.answer().is_some());
        let answer = match Blocking::begin(&inside) {
            Ok(_blocking) => self.block(Some(task)),
            Err(e) => Err(e),
        };
        drop(waiting);
        answer
    }

    fn unblock(&self, blocked: &mut Vec<Blocked>) {
        blocked.retain(|b| b.number != self.number);
    }

    /// Fails if the wait of `task` can never end. One wait of a cycle is told; without it the others can end.
    fn check_cycle(&self, task: TaskRef) -> Result<(), Error> {
        let mut blocked = lock(&self.core.blocked);
        let mut walk = Walk { blocked: &blocked, held: Vec::new(), places: HashMap::new(), looks: Vec::new() };
        let Some(text) = walk.find_cycle(task, self.task) else { return Ok(()) };
        drop(walk);
        if self.answer().is_some() {
            return Ok(()); // the probe was gone, and another task in its place
        }
        self.unblock(&mut blocked);
        Err(Error::WaitCycle(text))
    }
}

/// Calls a function when dropped.
struct OnLeaving<F: Fn()>(F);

impl<F: Fn()> Drop for OnLeaving<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// A look for a probe among all that cannot finish before some task does.
///
/// Edges, from what holds up to what is held up: a task → the conflicting tasks that wait behind it in its var queues;
/// a probe → the blocked task that waits for it; a blocked task → the tasks beneath it on its thread; a task of a recorded
/// schedule → those after it and the ports that it releases last; a port that waits → the first users of its var.
///
/// The walk keeps the lock of each var that it has looked at. A task that waits in a locked var's queue cannot be granted,
/// and so neither run nor go, while the lock is held. Blocked tasks live while the list of them is locked.
/// Since locks are taken in no order here, one that is not free soon ends the walk: there will be another.
struct Walk<'a> {
    blocked: &'a [Blocked],
    held: Vec<OrderedGuard<'a>>,
    /// Where in `held` the lock of a var is.
    places: HashMap<NonNull<VarState>, usize>,
    /// What keeps the accesses of the blocked tasks that were followed.
    looks: Vec<Look>,
}

impl Walk<'_> {
    /// The text of the cycle, if `probe` cannot finish before `task` does.
    fn find_cycle(&mut self, task: TaskRef, probe: TaskRef) -> Option<String> {
        let mut seen = HashSet::new();
        // Breadth first; beside each entry the place of the one that holds it up.
        let mut trail: Vec<(Step, Option<usize>)> = vec![(self.blocked(task)?, None)];
        let mut next = 0;
        while next < trail.len() {
            for held in self.held_up(trail[next].0)? {
                if held.task == probe {
                    let before = std::iter::successors(Some(next), |at| trail[*at].1).map(|at| trail[at].0.task);
                    return Some(tell_cycle(std::iter::once(held.task).chain(before)));
                }
                if seen.insert(held) {
                    trail.push((held, Some(next)));
                }
            }
            next += 1;
        }
        None
    }

    /// `None` if a lock is not free.
    fn held_up(&mut self, step: Step) -> Option<Vec<Step>> {
        let task = step.task;
        let mut out = step.held_up_inside();
        for b in self.blocked {
            if b.probe == task && lock(&b.mail.state).answer.is_none() {
                out.extend(self.blocked(b.task));
            }
            if b.task == task {
                out.extend(b.beneath.iter().filter_map(|t| self.blocked(*t)));
            }
        }
        for slot in task.slots() {
            let var = self.hold(slot.var_ptr())?;
            let behind = var.queue.waiting().iter();
            let place = var.queue.waiting().iter().position(|s| s.task() == task);
            // A reader behind a reader is held up by the writer between them, which is found by itself.
            let conflicting = behind.skip(place.map_or(0, |p| p + 1));
            let conflicting = conflicting.filter(|s| s.mode().is_exclusive() || slot.mode().is_exclusive());
            out.extend(conflicting.map(|s| Step::waiting(s.task())));
        }
        Some(out)
    }

    /// A task in the list of the blocked ones, unless it has ended but for its body.
    fn blocked(&mut self, task: TaskRef) -> Option<Step> {
        self.looks.push(Look::at(task)?);
        Some(Step::running(task))
    }

    fn hold(&mut self, var: NonNull<VarState>) -> Option<&Ordered> {
        const TRIES: usize = 10_000;
        let place = match self.places.entry(var) {
            Entry::Occupied(place) => *place.get(),
            Entry::Vacant(free) => {
                // SAFETY: a living task names the var, which therefore lives; as long as the lock is held, that task
                // cannot finish this access. The guard is dropped with the walk.
                let state = unsafe { var.as_ref() };
                let guard = (0..TRIES).find_map(|_| state.try_lock())?;
                self.held.push(guard);
                *free.insert(self.held.len() - 1)
            }
        };
        Some(&self.held[place])
    }
}

/// Each task waits for the next; the first is the probe.
fn tell_cycle(path: impl Iterator<Item = TaskRef>) -> String {
    let mut text = String::new();
    for (i, step) in path.enumerate() {
        let _ = write!(text, "{}{}", if i == 0 { "the " } else { " waits for " }, step.id());
    }
    text.push_str(", which waits here");
    text
}

/// A wait that lanes know of: those that keep ready tasks back do not, for as long as this lives.
pub(crate) struct Waiting {
    core: Arc<Core>,
    /// Lanes added later do not know of it.
    num_lanes: usize,
}

impl Waiting {
    pub(crate) fn begin(core: Arc<Core>, is_over: &dyn Fn() -> bool) -> Self {
        let num_lanes = core.lanes().inspect(|lane| lane.begin_wait(is_over)).count();
        Waiting { core, num_lanes }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.core.lanes().take(self.num_lanes).for_each(|lane| lane.end_wait());
    }
}

/// The calling thread is about to block inside tasks: their lanes know of it for as long as this lives. A lane without
/// threads runs tasks on other lanes' threads, so there can be several.
struct Blocking(Vec<Arc<dyn Lane>>);

impl Blocking {
    fn begin(inside: &[TaskRef]) -> Result<Self, Error> {
        let mut begun = Blocking(Vec::new());
        for task in inside {
            let lane = ReadyTask::core_of(*task).lane(task.lane()).clone();
            if !begun.0.iter().any(|b| Arc::ptr_eq(b, &lane)) {
                lane.begin_block()?;
                begun.0.push(lane);
            }
        }
        Ok(begun)
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        self.0.iter().rev().for_each(|lane| lane.end_block());
    }
}

/// Completes when every task pushed before it that writes the var is done, with what [`Var::wait`] gives. It stands in the var's
/// queue from the moment that it is made, and may be dropped at any time.
#[must_use = "a future does nothing until polled"]
pub struct VarFuture {
    probe: Probe,
    /// From the first time that it was polled too early.
    waiting: Option<Waiting>,
}

impl VarFuture {
    pub(crate) fn new(probe: Probe) -> Self {
        VarFuture { probe, waiting: None }
    }
}

impl Future for VarFuture {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if this.waiting.is_none() && this.probe.answer().is_none() {
            // What lanes keep back runs here, so the mailbox must be free.
            let probe = &this.probe;
            this.waiting = Some(Waiting::begin(probe.core.clone(), &|| probe.answer().is_some()));
        }
        // Wakers are foreign code: cloned before the lock is taken, and the old one dropped when it is free again.
        let waker = cx.waker().clone();
        let mut state = lock(&this.probe.mail.state);
        if let Some(answer) = state.answer.clone() {
            drop(state);
            this.waiting = None;
            return Poll::Ready(answer);
        }
        let old = state.waker.replace(waker);
        drop(state);
        drop(old);
        Poll::Pending
    }
}
