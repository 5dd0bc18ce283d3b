//! Waiting for a var: a probe is a task that reads it and tells the waiter. Also: finding waits that would never end.

use crate::access::{AccessSet, Mode};
use crate::engine::Core;
use crate::error::{Error, Failure, Name};
use crate::sync::{Arc, AtomicUsize, Condvar, Mutex, lock, wait, wait_for};
use crate::task::{Body, Task, running, running_stack, task_id};
use crate::var::Var;
use std::collections::HashSet;
use std::fmt::Write as _;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// How long a wait inside a task lasts before it is asked whether it can ever end, at first and at most.
const FIRST_LOOK: Duration = Duration::from_millis(5);
const LAST_LOOK: Duration = Duration::from_millis(500);

/// Where a probe leaves what it found.
#[derive(Default)]
struct Mailbox {
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
    task: Arc<Task>,
    mail: Arc<Mailbox>,
}

/// A task that blocks in a wait, the probe it waits for, and the tasks beneath it on the same thread, which cannot go on
/// before it does.
pub(crate) struct Blocked {
    task: Arc<Task>,
    probe: Arc<Task>,
    beneath: Vec<Arc<Task>>,
}

impl Probe {
    #[track_caller]
    pub(crate) fn push(core: &Arc<Core>, var: &Var) -> Probe {
        let mail = Arc::new(Mailbox::default());
        let mut accesses = AccessSet::default();
        accesses.add(var.clone(), Mode::Read);
        let to = mail.clone();
        let tell = move |poison: Option<Failure>| {
            let waker = {
                let mut state = lock(&to.state);
                state.answer = Some(poison.map_or(Ok(()), |f| Err(Error::Task(f))));
                state.waker.take()
            };
            to.arrived.notify_all();
            if let Some(waker) = waker {
                waker.wake();
            }
        };
        let task = Arc::new(Task {
            id: task_id(Name::Static("wait"), Location::caller()),
            priority: 0,
            core: core.clone(),
            lane: core.default_lane(),
            accesses,
            ungranted: AtomicUsize::new(2),
            body: Mutex::new(Some(Body::Probe(Box::new(tell)))),
        });
        core.task_begun();
        task.clone().push();
        Probe { task, mail }
    }

    fn answer(&self) -> Option<Result<(), Error>> {
        lock(&self.mail.state).answer.clone()
    }

    /// Blocks until the answer is there. Inside a task, looks now and then whether it can ever come.
    fn block(&self, inside: Option<&Arc<Task>>) -> Result<(), Error> {
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
            (state, late) = wait_for(&self.mail.arrived, state, patience);
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
        let Some(task) = running() else { return self.block(None) };
        let lane = task.lane.clone();
        self.enter_blocked(&task);
        while self.answer().is_none() && lane.help() {}
        let answer = match lane.begin_block() {
            Ok(()) => {
                let answer = self.block(Some(&task));
                lane.end_block();
                answer
            }
            Err(e) => Err(e),
        };
        self.leave_blocked();
        answer
    }

    /// Makes this wait known to other waits.
    fn enter_blocked(&self, task: &Arc<Task>) {
        let mut beneath = running_stack();
        beneath.pop();
        lock(&task.core.blocked).push(Blocked { task: task.clone(), probe: self.task.clone(), beneath });
    }

    fn leave_blocked(&self) {
        lock(&self.task.core.blocked).retain(|b| !Arc::ptr_eq(&b.probe, &self.task));
    }

    /// Fails if the wait of `task` can never end. One wait of a cycle is told; without it the others can end.
    fn check_cycle(&self, task: &Arc<Task>) -> Result<(), Error> {
        let mut blocked = lock(&task.core.blocked);
        let Some(path) = find_cycle(&blocked, task, &self.task) else { return Ok(()) };
        blocked.retain(|b| !Arc::ptr_eq(&b.probe, &self.task));
        Err(Error::WaitCycle(tell_cycle(&path)))
    }
}

/// `path` leads from the probe to the task that waits: each waits for the next.
fn tell_cycle(path: &[Arc<Task>]) -> String {
    let mut text = String::new();
    for (i, step) in path.iter().enumerate() {
        let _ = write!(text, "{}{}", if i == 0 { "the " } else { " waits for " }, step.id);
    }
    text.push_str(", which waits here");
    text
}

/// Looks for the probe among all that cannot finish before `task` does.
///
/// Edges, from what holds up to what is held up: a task → the conflicting tasks that wait behind it in its var queues;
/// a probe → the blocked task that waits for it; a blocked task → the tasks beneath it on its thread. Each edge lasts
/// until its first end finishes, so edges seen at different moments of one walk still form a true cycle.
fn find_cycle(blocked: &[Blocked], task: &Arc<Task>, probe: &Arc<Task>) -> Option<Vec<Arc<Task>>> {
    let mut seen: HashSet<*const Task> = HashSet::new();
    // Breadth first; beside each entry the place of the one that holds it up.
    let mut trail: Vec<(Arc<Task>, Option<usize>)> = vec![(task.clone(), None)];
    let mut next = 0;
    while next < trail.len() {
        for held in held_up(blocked, &trail[next].0.clone()) {
            if Arc::ptr_eq(&held, probe) {
                let before = std::iter::successors(Some(next), |at| trail[*at].1).map(|at| trail[at].0.clone());
                return Some(std::iter::once(held).chain(before).collect());
            }
            if seen.insert(Arc::as_ptr(&held)) {
                trail.push((held, Some(next)));
            }
        }
        next += 1;
    }
    None
}

fn held_up(blocked: &[Blocked], task: &Arc<Task>) -> Vec<Arc<Task>> {
    let mut out = Vec::new();
    for b in blocked {
        if Arc::ptr_eq(&b.probe, task) {
            out.push(b.task.clone());
        }
        if Arc::ptr_eq(&b.task, task) {
            out.extend(b.beneath.iter().cloned());
        }
    }
    for access in task.accesses.iter() {
        let var = access.var.lock();
        let place = var.queue.waiting().position(|(t, _)| Arc::ptr_eq(t, task));
        let behind = var.queue.waiting().skip(place.map_or(0, |p| p + 1));
        // A reader behind a reader is held up by the writer between them, which is found by itself.
        let conflicting = behind.filter(|(_, exclusive)| *exclusive || access.mode.is_exclusive());
        out.extend(conflicting.map(|(t, _)| t.clone()));
    }
    out
}

/// Completes when every task pushed before it that writes the var is done.
pub struct VarFuture {
    probe: Probe,
}

impl VarFuture {
    pub(crate) fn new(probe: Probe) -> Self {
        VarFuture { probe }
    }
}

impl Future for VarFuture {
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = lock(&self.probe.mail.state);
        if let Some(answer) = &state.answer {
            return Poll::Ready(answer.clone());
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}
