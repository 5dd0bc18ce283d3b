//! Running a recorded schedule.
//!
//! A [`Plan`] is a graph whose edges were drawn once. One run of it holds each outside var through a *port*: a task with
//! that one access, which stands in the var's queue like any other, lets the first users of the var go when it is granted, and
//! ends when the last of them are done. One more var, the *gate*, lets one run of a plan begin when the one before
//! has ended, so that counters, headers and inside vars serve all runs; several plans may have one gate, and inside vars in common. `DESIGN.md` has the argument.
#![expect(unsafe_code, reason = "tasks that lie in a plan, and runs that hand the plan to each other")]

mod parts;
mod step;
mod submit;

pub(crate) use parts::{Edge, InsideVar, MAX_TASKS, PlanParts, PortSpec, RecordedBody, TaskSpec};
pub(crate) use step::Step;

use crate::access::Mode;
use crate::bounds::Room;
use crate::ending;
use crate::engine::Core;
use crate::error::{Cause, Failure};
use crate::fence::{Fence, Fenced};
use crate::foreign::{contained, message_of};
use crate::gate::Gate;
use crate::name::Name;
use crate::node::{Call, LooseNode, PortBody, TaskRef};
use crate::observe::{Release, TaskNumber};
use crate::sync::{Arc, AtomicU32, Mutex, Ordering, lock};
use crate::task::finish as finish_task;
use crate::task::{Completion, Entry, Scratch, TaskCtx, as_running, look, mark, mark_issued};
use crate::var::{OrderedGuard, Var, VarPin, VarState};
use std::cell::UnsafeCell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

/// A task of a plan. Lanes know it by its header.
#[repr(C)]
pub(crate) struct RecordedTask {
    node: LooseNode,
    body: RecordedBody,
    plan: *const Plan,
    /// Its place among the tasks.
    index: u32,
    /// How many tasks, ports and gate must let it go.
    waits: u32,
    /// Its part of [`Plan::edges`].
    successors: Range<u32>,
    /// Its part of [`Plan::releases`].
    releases: Range<u32>,
}

impl RecordedTask {
    fn new(core: &Core, plan: *const Plan, index: usize, spec: TaskSpec) -> Self {
        RecordedTask {
            node: LooseNode::new(core, spec.header),
            body: spec.body,
            plan,
            index: index as u32,
            waits: spec.waits,
            successors: spec.successors,
            releases: spec.releases,
        }
    }
}

/// Who lets tasks go, for those who observe.
#[derive(Clone, Copy)]
enum By {
    Task(TaskRef),
    /// The gate's task or a port's, with the var's number.
    Hold(TaskRef, usize),
}

/// A graph of tasks, resolved once.
pub(crate) struct Plan {
    core: Arc<Core>,
    name: Name,
    tasks: Box<[RecordedTask]>,
    /// What each task waits for still; it sets its own anew as it ends. Apart from the tasks, so that it stays in cache.
    counters: Box<[AtomicU32]>,
    edges: Box<[Edge]>,
    /// The ports that end with a task.
    releases: Box<[u32]>,
    ports: Box<[PortSpec]>,
    /// How many last users of each port are not done.
    port_users: Box<[AtomicU32]>,
    /// The tasks that wait for the gate and for no other task.
    gate_firsts: Range<u32>,
    /// Tasks without successors, and how many of them are not done.
    num_sinks: u32,
    sinks_left: AtomicU32,
    accesses: Box<[(NonNull<VarState>, Mode)]>,
    task_accesses: Box<[Range<u32>]>,
    /// All vars, outside and inside; the latter are only touched behind the gate as long as the plan lives.
    outside: Box<[VarPin]>,
    _inside: Box<[Arc<InsideVar>]>,
    gate: Gate,
    /// The run that has begun and not ended. Written where the gate is granted and where the run ends, which never happen side by
    /// side; read by the run's tasks and by walks that know one of them to be unfinished.
    current: UnsafeCell<Option<NonNull<Run>>>,
    /// Boxed, since the tasks of a run point to it.
    #[expect(clippy::vec_box)]
    spare: Mutex<Vec<Box<Run>>>,
    first_failure: Mutex<Option<Failure>>,
}

// SAFETY: vars are pinned; `current` and the tasks' headers are used as their comments say; bodies are Send and Sync.
unsafe impl Send for Plan {}
// SAFETY: as above.
unsafe impl Sync for Plan {}

/// One submission of a plan. Changed by who submits it, until the gate's task is let go, and by who ends it; only read between.
#[derive(Default)]
pub(crate) struct Run {
    /// While it is pending.
    plan: Option<Arc<Plan>>,
    /// What its submitter has to tell the tasks.
    argument: u64,
    gate: Option<TaskRef>,
    ports: Vec<TaskRef>,
    /// Its place on the ledger of a bounded engine, which it shares with its issued tasks: the last of them gives it back.
    room: Option<Arc<Room>>,
    /// The number of its first task, if it was submitted while somebody observed.
    first_number: Option<TaskNumber>,
    /// Kept for its memory: the locks held while the run enters the queues.
    guards: Vec<OrderedGuard<'static>>,
}

// SAFETY: the guards are there within `submit` only; tasks are Send.
unsafe impl Send for Run {}

/// What the tasks of the gate and the ports hold.
#[derive(Clone, Copy)]
struct Hold {
    run: NonNull<Run>,
    /// `None`: the gate.
    port: Option<u32>,
}

// SAFETY: the run lives until the gate's task ends, which is after the ports'.
unsafe impl Send for Hold {}

// SAFETY: `Call::Port` is called with a place that holds a `Self`, and leaves it there.
unsafe impl PortBody for Hold {
    unsafe fn granted(body: NonNull<u8>, scratch: &mut Scratch) {
        // SAFETY: of this type.
        let Hold { run, port } = unsafe { body.cast::<Hold>().read() };
        match port {
            None => begin(run, scratch),
            Some(port) => {
                // SAFETY: the run is pending.
                let Some(plan) = (unsafe { &run.as_ref().plan }) else { return };
                // SAFETY: the gate was granted before, so the run has begun.
                unsafe { open(Arc::as_ptr(plan), port as usize, scratch) };
            }
        }
    }
}

impl Plan {
    pub(crate) fn new(core: &Arc<Core>, parts: PlanParts) -> Arc<Plan> {
        let specs = parts.tasks;
        let num_sinks = specs.iter().filter(|t| t.successors.is_empty()).count();
        Arc::new_cyclic(|weak| Plan {
            core: core.clone(),
            name: parts.name,
            counters: specs.iter().map(|t| AtomicU32::new(t.waits)).collect(),
            task_accesses: specs.iter().map(|t| t.accesses.clone()).collect(),
            tasks: specs
                .into_iter()
                .enumerate()
                .map(|(i, spec)| RecordedTask::new(core, weak.as_ptr(), i, spec))
                .collect(),
            edges: parts.edges.into(),
            releases: parts.releases.into(),
            port_users: parts.ports.iter().map(|p| AtomicU32::new(p.lasts)).collect(),
            ports: parts.ports.into(),
            gate_firsts: parts.gate_firsts,
            num_sinks: num_sinks as u32,
            sinks_left: AtomicU32::new(0),
            accesses: parts.accesses.into(),
            outside: parts.outside,
            _inside: parts.inside.into(),
            gate: parts.gate,
            current: UnsafeCell::new(None),
            spare: Mutex::new(Vec::new()),
            first_failure: Mutex::new(None),
        })
    }

    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    pub(crate) fn num_tasks(&self) -> usize {
        self.tasks.len()
    }

    /// The var of its gate.
    pub(crate) fn gate(&self) -> &Var {
        self.gate.var()
    }

    fn task(&self, index: usize) -> TaskRef {
        TaskRef::of_loose(NonNull::from(&self.tasks[index]).cast())
    }

    /// Counts an edge down. Whether that was the last one that its task waited for.
    #[inline]
    fn count_down(&self, edge: Edge) -> bool {
        // AcqRel: pairs with the other predecessors, so that the task sees what all of them wrote.
        edge.is_sole() || self.counters[edge.to()].fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// The number of a var for which one task comes after another.
    fn conflict(&self, before: &RecordedTask, after: &RecordedTask) -> usize {
        let conflicts = |(var, mode): &(NonNull<VarState>, Mode)| {
            let same = self.accesses(after).find(|(v, _)| v == var);
            same.is_some_and(|(_, m)| m.is_exclusive() || mode.is_exclusive())
        };
        // SAFETY: pinned by the plan.
        self.accesses(before).find(conflicts).map_or(0, |(var, _)| unsafe { var.as_ref() }.id())
    }
}

/// Lets tasks go on the part of what is before them.
///
/// After the last edge the plan may be gone. So neither this nor who calls it is handed a reference to the plan.
///
/// # Safety
/// The edges are the plan's, and it lives until the last of them is counted down.
#[inline]
unsafe fn let_go(plan: *const Plan, edges: Range<u32>, by: By, scratch: &mut Scratch) {
    if scratch.is_observed {
        // SAFETY: passed on.
        return unsafe { let_go_observed(plan, edges, by, scratch) };
    }
    for at in edges {
        // SAFETY: this edge is not counted down yet.
        let plan = unsafe { &*plan };
        let edge = plan.edges[at as usize];
        let task = plan.task(edge.to());
        if plan.count_down(edge) {
            scratch.ready.push(task);
        }
    }
}

/// The same, and tells who is released by whom.
///
/// # Safety
/// As [`let_go`].
#[cold]
unsafe fn let_go_observed(plan: *const Plan, edges: Range<u32>, by: By, scratch: &mut Scratch) {
    let (task, number, mut var) = match by {
        By::Task(task) => (Some(task), task.number(), 0),
        By::Hold(hold, var) => (None, hold.number(), var),
    };
    for at in edges {
        // SAFETY: this edge is not counted down yet.
        let plan = unsafe { &*plan };
        let edge = plan.edges[at as usize];
        let next = plan.task(edge.to());
        if let Some(task) = task {
            // SAFETY: the caller's task, which is not done.
            var = plan.conflict(unsafe { recorded(task) }.0, &plan.tasks[edge.to()]);
        }
        let core = plan.core.clone();
        if plan.count_down(edge) {
            core.observer.ready(next, Some(Release { task: number, var }));
            scratch.ready.push(next);
        }
    }
}

/// A run begins: the one before has ended.
fn begin(run: NonNull<Run>, scratch: &mut Scratch) {
    // SAFETY: the run is pending, and nobody changes it before its end: not before the gate's firsts ran.
    let run_ref = unsafe { run.as_ref() };
    let (Some(plan), Some(gate)) = (&run_ref.plan, run_ref.gate) else { return };
    // SAFETY: no other run is between its beginning and its end.
    unsafe { *plan.current.get() = Some(run) };
    // Relaxed: seen by whom the firsts below let go.
    plan.sinks_left.store(plan.num_sinks, Ordering::Relaxed);
    for (port, task) in run_ref.ports.iter().enumerate() {
        if task.grant_one() {
            if scratch.is_observed {
                plan.core.observer.ready(*task, Some(Release { task: gate.number(), var: plan.gate().number() }));
            }
            // SAFETY: the run does not end before the gate's firsts.
            unsafe { open(Arc::as_ptr(plan), port, scratch) };
        }
    }
    let (edges, by) = (plan.gate_firsts.clone(), By::Hold(gate, plan.gate().number()));
    // SAFETY: the run does not end before the gate's firsts.
    unsafe { let_go(Arc::as_ptr(plan), edges, by, scratch) };
}

/// An outside var is granted, to a run that has begun. The plan may be gone afterwards.
///
/// # Safety
/// The plan's run has begun, and this port has not been opened in it.
unsafe fn open(plan: *const Plan, port: usize, scratch: &mut Scratch) {
    // SAFETY: the run does not end before the port's firsts.
    let alive = unsafe { &*plan };
    let spec = &alive.ports[port];
    // SAFETY: pinned by the plan.
    let var = unsafe { spec.var.as_ref() };
    if var.is_troubled() {
        alive.gate.trouble();
    }
    // SAFETY: the run has begun, and does not end before its ports.
    let Some(run) = (unsafe { alive.current_run() }) else { return };
    let (edges, by) = (spec.firsts.clone(), By::Hold(run.ports[port], var.id()));
    // SAFETY: as above.
    unsafe { let_go(plan, edges, by, scratch) };
}

/// # Safety
/// The task's call is [`Call::Recorded`], and its run has not ended.
unsafe fn recorded<'a>(task: TaskRef) -> (&'a RecordedTask, &'a Plan) {
    debug_assert!(matches!(task.call(), Call::Recorded));
    // SAFETY: the header is the first field of a recorded task, and came with the provenance of the whole; the plan
    // keeps its tasks, and the run the plan.
    unsafe {
        let recorded = task.node_ptr().cast::<RecordedTask>().as_ref();
        (recorded, &*recorded.plan)
    }
}

impl Plan {
    fn accesses(&self, task: &RecordedTask) -> impl Iterator<Item = (NonNull<VarState>, Mode)> {
        let range = &self.task_accesses[task.index as usize];
        self.accesses[range.start as usize..range.end as usize].iter().copied()
    }

    /// # Safety
    /// A run has begun, and does not end before the caller is done with the result.
    unsafe fn current_run(&self) -> Option<&Run> {
        // SAFETY: nobody changes `current` between the beginning and the end of a run.
        unsafe { (*self.current.get()).as_ref().map(|run| run.as_ref()) }
    }

    fn is_troubled(&self) -> bool {
        self.gate.is_troubled()
    }
}

/// The number of an unfinished recorded task, if its run has any.
pub(crate) fn number(task: TaskRef) -> Option<TaskNumber> {
    // SAFETY: the caller's task is recorded and unfinished.
    let (task, plan) = unsafe { recorded(task) };
    // SAFETY: as above.
    unsafe { plan.current_run() }?.first_number?.checked_add(task.index as usize)
}

/// What an unfinished recorded task touches.
pub(crate) fn accesses<'a>(task: TaskRef) -> impl Iterator<Item = (NonNull<VarState>, Mode)> + 'a {
    // SAFETY: the caller's task is recorded and unfinished.
    let (task, plan) = unsafe { recorded(task) };
    plan.accesses(task)
}

/// Runs a recorded task that is ready.
pub(crate) fn run(task: TaskRef, scratch: &mut Scratch) {
    // SAFETY: it is ready, so its run has not ended.
    let (recorded, plan) = unsafe { recorded(task) };
    if plan.is_troubled() {
        match look(task, plan.accesses(recorded)) {
            Entry::Free | Entry::Refused(_) => {}
            Entry::Poisoned(failure) => return end(task, Err(&failure.through(task.id())), scratch),
            Entry::Held => return,
        }
    }
    if plan.core.is_cancelling() {
        return finish(task, Err(Cause::Cancelled), scratch);
    }
    if scratch.is_observed {
        plan.core.observer.started(task);
    }
    // SAFETY: it is not done. An asynchronous task may be before its body returns, so the argument is read now.
    let argument = unsafe { plan.current_run() }.map_or(0, |run| run.argument);
    let ctx = TaskCtx::new(task, argument);
    match &recorded.body {
        RecordedBody::Sync(f) => {
            let result = as_running(task, || catch_unwind(AssertUnwindSafe(|| f(&ctx))));
            match result {
                Ok(Ok(())) => end(task, Ok(()), scratch),
                Ok(Err(e)) => finish(task, Err(Cause::of_body(e)), scratch),
                Err(panic) => finish(task, Err(Cause::Panicked(message_of(panic))), scratch),
            }
        }
        RecordedBody::Async(f) => {
            // The token may be used, and the run end, before the body returns.
            // SAFETY: plans are made by `Plan::new` only, in an Arc, which lives.
            let keep = unsafe {
                Arc::increment_strong_count(plan);
                Arc::from_raw(plan)
            };
            ending::begin(task, 1);
            let token = Completion::new(task, plan.core.this());
            as_running(task, || contained(|| f(&ctx, token)));
            contained(|| drop(keep));
        }
    }
}

/// A recorded task is done.
pub(crate) fn finish(task: TaskRef, result: Result<(), Cause>, scratch: &mut Scratch) {
    let result = result.map_err(|cause| {
        let failure = Failure::new(task.id(), task.number(), cause);
        // SAFETY: the core outlives its tasks.
        unsafe { task.core().as_ref() }.note_failure(&failure);
        failure
    });
    end(task, result.as_ref().copied(), scratch);
}

pub(crate) fn end(task: TaskRef, result: Result<(), &Failure>, scratch: &mut Scratch) {
    // SAFETY: it is not done, so its run has not ended.
    let (recorded, plan) = unsafe { recorded(task) };
    if result.is_err() || plan.is_troubled() {
        leave_marks(plan, recorded, result);
    }
    if scratch.is_observed {
        plan.core.observer.finished(task.number(), result);
    }
    // SAFETY: it is not done.
    unsafe { release(task, scratch) };
}

#[cold]
fn leave_marks(plan: &Plan, task: &RecordedTask, result: Result<(), &Failure>) {
    if let Err(failure) = result {
        plan.gate.trouble();
        lock(&plan.first_failure).get_or_insert_with(|| failure.clone());
    }
    for (var, mode) in plan.accesses(task) {
        // SAFETY: pinned by the plan; the task holds it.
        unsafe { var.as_ref().mark(mode.is_exclusive(), mark(result, mode)) };
    }
}

/// A recorded task is issued. Done is it when the fence fires.
pub(crate) fn finish_issued(task: TaskRef, fence: &Arc<dyn Fence>, scratch: &mut Scratch) -> Arc<Fenced> {
    // SAFETY: it is not done, so its run has not ended.
    let (recorded, plan) = unsafe { recorded(task) };
    // SAFETY: as above.
    let room = unsafe { plan.current_run() }.and_then(|run| run.room.clone());
    let fenced = Fenced::new(task, fence, plan.accesses(recorded), room);
    plan.gate.trouble();
    for (var, mode) in plan.accesses(recorded) {
        // SAFETY: pinned by the plan; the task holds it.
        unsafe { var.as_ref().mark(mode.is_exclusive(), mark_issued(&fenced, mode)) };
    }
    // The run may end before the fence fires, which counts it as done.
    plan.core.run_begun(1);
    // SAFETY: it is not done.
    unsafe { release(task, scratch) };
    fenced
}

/// Lets go what waits for a recorded task. The plan may be gone afterwards.
///
/// # Safety
/// The task is recorded, and has not been released in this run.
#[inline]
unsafe fn release(itself: TaskRef, scratch: &mut Scratch) {
    // SAFETY: its run has not ended.
    let (task, plan) = unsafe { recorded(itself) };
    if task.waits > 1 {
        // For the next run. Relaxed: whoever counts it down then comes after the end of this run.
        plan.counters[task.index as usize].store(task.waits, Ordering::Relaxed);
    }
    for &port in &plan.releases[task.releases.start as usize..task.releases.end as usize] {
        let (users, lasts) = (&plan.port_users[port as usize], plan.ports[port as usize].lasts);
        // AcqRel: pairs with the other last users, so that whoever gets the var sees what all of them did.
        if lasts == 1 || users.fetch_sub(1, Ordering::AcqRel) == 1 {
            // Relaxed: for the next run, which begins after this one.
            users.store(lasts, Ordering::Relaxed);
            // SAFETY: the run has not ended, so nobody changes `current`.
            if let Some(run) = unsafe { plan.current_run() } {
                finish_task(run.ports[port as usize], Ok(()), scratch);
            }
        }
    }
    let (edges, plan) = (task.successors.clone(), task.plan);
    if !edges.is_empty() {
        // SAFETY: the run does not end before the tasks after this one.
        unsafe { let_go(plan, edges, By::Task(itself), scratch) };
        return;
    }
    // SAFETY: the run does not end before its sinks, of which this is one.
    // AcqRel: pairs with the other sinks.
    if unsafe { &*plan }.sinks_left.fetch_sub(1, Ordering::AcqRel) == 1 {
        // SAFETY: this was the last.
        unsafe { end_run(plan, scratch) };
    }
}

/// All tasks of the run are done.
///
/// # Safety
/// The plan's run has begun and was not ended.
unsafe fn end_run(plan: *const Plan, scratch: &mut Scratch) {
    // SAFETY: the run keeps the plan.
    let plan = unsafe { &*plan };
    // SAFETY: the run's last task ends here, and the next run does not begin before the gate's task ends below.
    let Some(run) = (unsafe { &mut *plan.current.get() }).take() else { return };
    // SAFETY: made by `Box::leak`, and in nobody else's hands any more.
    let mut run = unsafe { Box::from_raw(run.as_ptr()) };
    let Some(plan) = run.plan.take() else { return };
    let failure = lock(&plan.first_failure).take();
    if plan.is_troubled() {
        plan.gate.end_troubled_run();
    }
    let gate = run.gate.take();
    let room = run.room.take();
    run.ports.clear();
    lock(&plan.spare).push(run);
    drop(room);
    // Before the gate: who has waited for the last run finds the vars of a schedule that was dropped free.
    contained(|| drop(plan));
    if let Some(gate) = gate {
        finish_task(gate, failure.as_ref().map_or(Ok(()), Err), scratch);
    }
}
