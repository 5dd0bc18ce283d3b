//! Waiting for a var: a probe is a task that reads it and tells the waiter. Also: finding waits that would never end.

use crate::access::{AccessSet, Mode};
use crate::engine::Core;
use crate::error::{Error, Failure, Name};
use crate::sync::{Arc, AtomicUsize, Condvar, Mutex, lock, wait};
use crate::task::{Body, Task, running, running_stack, task_id};
use crate::var::Var;
use std::fmt::Write as _;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

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

    fn block(&self) -> Result<(), Error> {
        let mut state = lock(&self.mail.state);
        loop {
            if let Some(answer) = &state.answer {
                return answer.clone();
            }
            state = wait(&self.mail.arrived, state);
        }
    }

    pub(crate) fn wait(&self) -> Result<(), Error> {
        if let Some(answer) = self.answer() {
            return answer;
        }
        let Some(task) = running() else { return self.block() };
        let lane = task.lane.clone();
        loop {
            self.enter_blocked(&task)?;
            let helped = lane.help();
            if !helped {
                lane.begin_block().inspect_err(|_| self.leave_blocked())?;
                let answer = self.block();
                lane.end_block();
                self.leave_blocked();
                return answer;
            }
            self.leave_blocked();
            if let Some(answer) = self.answer() {
                return answer;
            }
        }
    }

    /// Makes this wait known, unless it closes a cycle.
    fn enter_blocked(&self, task: &Arc<Task>) -> Result<(), Error> {
        let mut beneath = running_stack();
        beneath.pop();
        let mut blocked = lock(&task.core.blocked);
        blocked.push(Blocked { task: task.clone(), probe: self.task.clone(), beneath });
        let found = find_cycle(&blocked, &self.task, task);
        match found {
            None => Ok(()),
            Some(path) => {
                blocked.retain(|b| !Arc::ptr_eq(&b.probe, &self.task));
                Err(Error::WaitCycle(tell_cycle(task, &path)))
            }
        }
    }

    fn leave_blocked(&self) {
        lock(&self.task.core.blocked).retain(|b| !Arc::ptr_eq(&b.probe, &self.task));
    }
}

fn tell_cycle(task: &Arc<Task>, path: &[Arc<Task>]) -> String {
    let mut text = format!("{}", task.id);
    for step in path {
        let _ = write!(text, " waits for {}", step.id);
    }
    let _ = write!(text, " waits for {} itself", task.id);
    text
}

/// Follows "cannot finish before" from the probe and looks for the waiting task.
///
/// Edges: a task not yet granted on a var → the conflicting tasks ahead of it there, and the blocked tasks that hold the
/// var; a blocked task → its probe; a task beneath a blocked one on its thread → the blocked one. Each edge lasts until
/// its head finishes, so edges seen at different moments of one walk still form a true cycle.
fn find_cycle(blocked: &[Blocked], probe: &Arc<Task>, target: &Arc<Task>) -> Option<Vec<Arc<Task>>> {
    let mut seen: Vec<*const Task> = Vec::new();
    // Depth first, with the path kept beside each entry as an index into `trail`.
    let mut trail: Vec<(Arc<Task>, usize)> = vec![(probe.clone(), usize::MAX)];
    let mut next = 0;
    while next < trail.len() {
        let task = trail[next].0.clone();
        for after in edges(blocked, &task) {
            if Arc::ptr_eq(&after, target) {
                let mut path = Vec::new();
                let mut at = next;
                while at != usize::MAX {
                    path.push(trail[at].0.clone());
                    at = trail[at].1;
                }
                path.reverse();
                return Some(path);
            }
            if !seen.contains(&Arc::as_ptr(&after)) {
                seen.push(Arc::as_ptr(&after));
                trail.push((after, next));
            }
        }
        next += 1;
    }
    None
}

fn edges(blocked: &[Blocked], task: &Arc<Task>) -> Vec<Arc<Task>> {
    let mut out = Vec::new();
    for b in blocked {
        if Arc::ptr_eq(&b.task, task) {
            out.push(b.probe.clone());
        }
        if b.beneath.iter().any(|t| Arc::ptr_eq(t, task)) {
            out.push(b.task.clone());
        }
    }
    for access in task.accesses.iter() {
        let exclusive = access.mode.is_exclusive();
        let var = access.var.lock();
        let Some(place) = var.queue.waiting().position(|(t, _)| Arc::ptr_eq(t, task)) else { continue };
        let ahead = var.queue.waiting().take(place).filter(|(_, e)| exclusive || *e).map(|(t, _)| t.clone());
        out.extend(ahead);
        drop(var);
        // Whoever holds the var and is blocked. (Holders that run will finish by themselves.) A reader that waits is
        // held up by an exclusive holder, or by a writer ahead of it, which has edges of its own.
        for b in blocked {
            for holder in b.beneath.iter().chain([&b.task]) {
                let conflict = |a: &&crate::access::Access| {
                    a.var.same(&access.var) && (exclusive || a.mode.is_exclusive())
                };
                if !Arc::ptr_eq(holder, task) && holder.accesses.iter().any(|a| conflict(&a)) {
                    out.push(holder.clone());
                }
            }
        }
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
