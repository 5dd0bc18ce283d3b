//! The life of a task: pushed, ready, running, done.
#![expect(unsafe_code, reason = "keeps the promises that the task's memory layout asks for")]

mod handles;

pub use handles::{Completion, Outcome, ReadyTask, TaskCtx};

use crate::access::Mode;
use crate::ending;
use crate::engine::Core;
use crate::error::{Cause, Failure};
use crate::fence::{Fence, Fenced, Signal};
use crate::foreign::{contained, message_of};
use crate::node::{Call, TaskList, TaskRef};
use crate::observe::Release;
use crate::recorded;
use crate::slab::Freed;
use crate::sync::{Arc, Ordering, thread_local};
use crate::var::{Mark, OrderedGuard, VarState};
use smallvec::SmallVec;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

/// How deep the handing on of tasks may nest: see `hand_on_all`.
const MAX_DEPTH: u32 = 64;

/// A task that this thread runs, on its stack; the one beneath is further down the same stack. Without a task: foreign code
/// between the engine's own steps.
#[derive(Clone, Copy)]
struct Frame {
    task: Option<TaskRef>,
    beneath: Option<NonNull<Frame>>,
}

thread_local! {
    /// The innermost task that this thread runs.
    #[allow(clippy::missing_const_for_thread_local)] // loom's threads know no constants
    static RUNNING: Cell<Option<NonNull<Frame>>> = Cell::new(None);

    /// How many calls of `hand_on_all` are nested on this thread, and the tasks that were left because it were too many.
    #[allow(clippy::missing_const_for_thread_local)]
    static DEPTH: Cell<u32> = Cell::new(0);
    static LEFT: Cell<TaskList> = Cell::new(TaskList::default());
}

/// The tasks that this thread runs, innermost first. They live: this thread is inside them.
pub(crate) fn running() -> Vec<TaskRef> {
    let mut out = Vec::new();
    let mut at = RUNNING.with(Cell::get);
    while let Some(frame) = at {
        // SAFETY: frames lie on this thread's stack and are taken out of `RUNNING` before they go.
        let frame = unsafe { *frame.as_ref() };
        out.extend(frame.task);
        at = frame.beneath;
    }
    out
}

/// Whether this thread runs a task, or foreign code that a task has left.
pub(crate) fn is_running() -> bool {
    RUNNING.with(Cell::get).is_some()
}

/// Runs `body` with `task` marked as the one that this thread runs. `body` does not unwind.
#[inline]
pub(crate) fn as_running<R>(task: TaskRef, body: impl FnOnce() -> R) -> R {
    in_frame(Some(task), body)
}

/// The same, for what is no task's body but must not hold the engine up either.
pub(crate) fn as_inside<R>(body: impl FnOnce() -> R) -> R {
    in_frame(None, body)
}

#[inline]
fn in_frame<R>(task: Option<TaskRef>, body: impl FnOnce() -> R) -> R {
    let frame = Frame { task, beneath: RUNNING.with(Cell::get) };
    RUNNING.with(|r| r.set(Some(NonNull::from(&frame))));
    let result = body();
    RUNNING.with(|r| r.set(frame.beneath));
    result
}

/// What a thread that runs tasks keeps for itself between them.
pub(crate) struct Scratch {
    /// Where this thread counts finished tasks.
    pub(crate) counter: usize,
    /// Tasks that became ready and are not handed on yet.
    pub(crate) ready: TaskList,
    freed: Freed,
    /// Whether the task that runs now is observed.
    pub(crate) is_observed: bool,
}

impl Scratch {
    pub(crate) fn new(counter: usize) -> Self {
        Scratch { counter, ready: TaskList::default(), freed: Freed::default(), is_observed: false }
    }

    /// Gives back the memory of finished tasks.
    pub(crate) fn flush(&mut self, core: &Core) {
        self.freed.flush(&core.slab);
    }
}

/// Enters all var queues at once, so that two tasks pushed from two threads stand in the same order everywhere. Runs or
/// hands on the task if nothing holds it up.
pub(crate) fn push(core: &Core, task: TaskRef) {
    core.task_begun();
    let is_observed = task.has_room();
    if is_observed {
        core.observer.pushed(task);
    }
    let waits = enter(task);
    if waits == 0 {
        if is_observed {
            core.observer.ready(task, None);
        }
        hand_on(core, task);
    }
}

/// Returns how many accesses were not granted. If any, the task may be gone when this returns.
#[inline(always)] // a call would be felt on every push
fn enter(task: TaskRef) -> u32 {
    let mut slots = task.slots();
    match (slots.next(), slots.len()) {
        (None, _) => 0,
        (Some(slot), 0) => {
            // Relaxed: published by the lock.
            task.ungranted().store(1, Ordering::Relaxed);
            let granted = slot.var().lock().queue.push(slot, slot.mode().is_exclusive());
            u32::from(!granted)
        }
        _ => {
            let mut waits = 0;
            let mut guards: SmallVec<[OrderedGuard<'static>; 4]> = SmallVec::new();
            for slot in task.slots() {
                let mut guard = slot.var().lock();
                waits += u32::from(!guard.queue.push(slot, slot.mode().is_exclusive()));
                // SAFETY: the var lives while the task, which holds or awaits it, does: the task cannot finish before
                // the guards are dropped, or, if it is granted everything, before it is handed on below.
                guards.push(unsafe { std::mem::transmute::<OrderedGuard<'_>, OrderedGuard<'static>>(guard) });
            }
            // Relaxed: nobody can grant before the locks are released.
            task.ungranted().store(waits, Ordering::Relaxed);
            waits
        }
    }
}

/// Gives a ready task to its lane, or runs it here.
pub(crate) fn hand_on(core: &Core, task: TaskRef) {
    if !task.call().is_inline() && !core.is_removed(task.lane()) {
        return core.submit(task);
    }
    let mut scratch = Scratch::new(0);
    scratch.ready.push(task);
    hand_on_all(core, &mut scratch);
}

/// Hands on what became ready on a thread that is no worker, and gives back what it freed.
///
/// A lane may run or drop a task while it is handed over, which ends here again, so a long chain of such tasks would
/// nest as deep. Beyond a limit what becomes ready is therefore left to the deepest caller that may still hand on.
fn hand_on_all(core: &Core, scratch: &mut Scratch) {
    let depth = DEPTH.with(Cell::get);
    if depth == MAX_DEPTH {
        LEFT.with(|left| {
            let mut list = left.take();
            std::iter::from_fn(|| scratch.ready.pop()).for_each(|task| list.push(task));
            left.set(list);
        });
        return scratch.flush(core);
    }
    DEPTH.with(|d| d.set(depth + 1));
    hand_on_each(core, scratch);
    if depth + 1 == MAX_DEPTH {
        while let Some((core, mut scratch)) = take_left() {
            hand_on_each(&core, &mut scratch);
        }
    }
    DEPTH.with(|d| d.set(depth));
}

/// Hands on what was left by callers nested too deep. For threads that are about to wait, perhaps for just that.
pub(crate) fn hand_on_left() {
    let depth = DEPTH.with(|d| d.replace(0));
    while let Some((core, mut scratch)) = take_left() {
        hand_on_all(&core, &mut scratch);
    }
    DEPTH.with(|d| d.set(depth));
}

/// One of the tasks left, in a scratch of its own: they may be different engines'.
fn take_left() -> Option<(Arc<Core>, Scratch)> {
    let mut list = LEFT.with(Cell::take);
    let task = list.pop();
    LEFT.with(|left| left.set(list));
    let task = task?;
    let mut scratch = Scratch::new(0);
    scratch.ready.push(task);
    Some((ReadyTask::core_of(task), scratch))
}

fn hand_on_each(core: &Core, scratch: &mut Scratch) {
    while let Some(task) = scratch.ready.pop() {
        if task.call().is_inline() {
            run(task, scratch);
        } else {
            hand_over(core, task, scratch);
        }
    }
    scratch.flush(core);
}

/// Gives a ready task to its lane, or fails it if that was removed.
#[inline]
pub(crate) fn hand_over(core: &Core, task: TaskRef, scratch: &mut Scratch) {
    if core.is_removed(task.lane()) { give_up(core, task, scratch) } else { core.submit(task) }
}

/// What a ready task meets.
pub(crate) enum Entry {
    /// It may run.
    Free,
    /// It reads poison.
    Poisoned(Failure),
    /// It waits for a fence, and has been put where it will go on from.
    Held,
    /// It names a var that has become a schedule's own since.
    Refused(Cause),
}

#[inline]
fn entry(task: TaskRef) -> Entry {
    if task.slots().any(|s| s.var().is_troubled() || s.var().is_inside()) {
        look(task, task.slots().map(|s| (s.var_ptr(), s.mode())))
    } else {
        Entry::Free
    }
}

/// What a ready task meets that touches `accesses`, which it holds.
#[cold]
pub(crate) fn look(task: TaskRef, accesses: impl Iterator<Item = (NonNull<VarState>, Mode)>) -> Entry {
    // SAFETY: the core outlives its tasks.
    let core = unsafe { task.core().as_ref() };
    let lane = (!task.call().is_inline()).then(|| core.lane(task.lane()));
    // The poison of the var with the lowest number, so that it does not depend on addresses.
    let mut found: Option<(usize, Failure)> = None;
    let mut understood: SmallVec<[Arc<Fenced>; 4]> = SmallVec::new();
    for (var, mode) in accesses {
        // SAFETY: the task holds the var.
        let var = unsafe { var.as_ref() };
        // It was outside when the task was described, and idle when it was taken inside: then came the task's push.
        if var.is_inside() && matches!(task.call(), Call::Sync(_) | Call::Async(_)) {
            return Entry::Refused(Cause::InsideVar(format!("var {}", var.id())));
        }
        let mut ahead: SmallVec<[Arc<Fenced>; 4]> = SmallVec::new();
        var.fences(mode, |fence| ahead.push(fence.clone()));
        for fence in ahead {
            if lane.zip(fence.fence()).is_some_and(|(l, f)| l.understands(&*f)) {
                understood.push(fence);
            } else if fence.hold(task, core) {
                return Entry::Held;
            }
        }
        // Only now: a fence that fired a moment ago has left its poison before it said so.
        if let Some(failure) = var.poison(mode).filter(|_| found.as_ref().is_none_or(|(id, _)| *id > var.id())) {
            found = Some((var.id(), failure));
        }
    }
    // A task that is skipped issues nothing that the device could have wait. And if work ahead of it fails yet, that may be
    // the failure that counts.
    if found.is_some() && understood.iter().any(|fence| fence.hold(task, core)) {
        return Entry::Held;
    }
    found.map_or(Entry::Free, |(_, failure)| Entry::Poisoned(failure))
}

/// The fences that a ready task comes after and that may not have fired.
fn fences(task: TaskRef) -> Vec<Arc<dyn Fence>> {
    let mut out = Vec::new();
    let mut add = |var: &VarState, mode| {
        if var.is_troubled() {
            var.fences(mode, |f| out.extend(f.fence()));
        }
    };
    if let Call::Recorded = task.call() {
        // SAFETY: the task holds the vars.
        recorded::accesses(task).for_each(|(var, mode)| add(unsafe { var.as_ref() }, mode));
    } else {
        task.slots().for_each(|s| add(s.var(), s.mode()));
    }
    out
}

/// Runs a ready task; what becomes ready by it is left in `scratch`.
#[inline]
pub(crate) fn run(task: TaskRef, scratch: &mut Scratch) {
    // SAFETY: the core outlives its tasks.
    let core = unsafe { task.core().as_ref() };
    scratch.is_observed = core.observer.is_on();
    match task.call() {
        Call::Sync(_) | Call::Async(_) => {
            match entry(task) {
                Entry::Free => {}
                Entry::Poisoned(failure) => return finish(task, Err(&failure.through(task.id())), scratch),
                Entry::Held => return,
                Entry::Refused(cause) => return fail(task, cause, scratch),
            }
            if core.is_cancelling() {
                return fail(task, Cause::Cancelled, scratch);
            }
            if let Some(body) = task.take_body() {
                if scratch.is_observed {
                    core.observer.started(task);
                }
                call(task, body, scratch);
            }
        }
        Call::Recorded => recorded::run(task, scratch),
        // SAFETY: the closure is of this type, and stays.
        Call::Port(f) => unsafe { f(task.body(), scratch) },
        Call::Probe(_) | Call::Refused(_) => run_inline(task, scratch),
    }
}

fn run_inline(task: TaskRef, scratch: &mut Scratch) {
    // SAFETY: the core outlives its tasks.
    let core = unsafe { task.core().as_ref() };
    let poison = match entry(task) {
        Entry::Free | Entry::Refused(_) => None,
        Entry::Poisoned(failure) => Some(failure),
        Entry::Held => return,
    };
    let Some(body) = task.take_body() else { return };
    match task.call() {
        Call::Probe(f) => {
            if scratch.is_observed {
                core.observer.started(task);
            }
            // SAFETY: the closure was just taken, and is of this type.
            unsafe { f(body, poison) };
            finish(task, Ok(()), scratch);
        }
        Call::Refused(f) => {
            // SAFETY: as above.
            let cause = unsafe { f(body) };
            fail(task, cause, scratch);
        }
        Call::Sync(_) | Call::Async(_) | Call::Port(_) | Call::Recorded => {}
    }
}

#[inline]
fn call(task: TaskRef, body: NonNull<u8>, scratch: &mut Scratch) {
    match task.call() {
        Call::Sync(f) => {
            // SAFETY: the closure was just taken, and is of this type.
            let body = || unsafe { f(body, &TaskCtx::new(task, 0)) };
            match as_running(task, || catch_unwind(AssertUnwindSafe(body))) {
                Ok(Ok(())) => finish(task, Ok(()), scratch),
                Ok(Err(e)) => fail(task, Cause::of_body(e), scratch),
                Err(panic) => fail(task, Cause::Panicked(message_of(panic)), scratch),
            }
        }
        Call::Async(f) => {
            // SAFETY: the core outlives its tasks.
            let core = unsafe { task.core().as_ref() }.this();
            // The task's memory goes when both the body has returned and the token is used.
            ending::begin(task, 2);
            let token = Completion::new(task, core);
            // SAFETY: as above.
            let body = || unsafe { f(body, &TaskCtx::new(task, 0), token) };
            // A panic drops the token, unless the body has passed it on: then its holder still completes the task.
            as_running(task, || contained(body));
            if task.grant_one() {
                // SAFETY: the token was used, so all accesses are finished; the body has returned.
                unsafe { task.free(&mut scratch.freed) };
            }
        }
        Call::Probe(_) | Call::Refused(_) | Call::Port(_) | Call::Recorded => {}
    }
}

#[cold]
fn fail(task: TaskRef, cause: Cause, scratch: &mut Scratch) {
    let failure = Failure::new(task.id(), task.number(), cause);
    // SAFETY: the core outlives its tasks.
    unsafe { task.core().as_ref() }.note_failure(&failure);
    finish(task, Err(&failure), scratch);
}

/// Poisons or heals what the task writes, lets the next ones go, frees the task and counts it as done.
#[inline]
pub(crate) fn finish(task: TaskRef, result: Result<(), &Failure>, scratch: &mut Scratch) {
    let core = task.core();
    // SAFETY: the core outlives the count of this task.
    let alive = unsafe { core.as_ref() };
    // The vars may go with their accesses, so this comes first.
    let charge = alive.bounds().and_then(|bounds| Some((bounds, bounds.charge_of(task)?)));
    if scratch.is_observed {
        alive.observer.finished(task.number(), result);
    }
    match result {
        Ok(()) if !scratch.is_observed => end_accesses_well(task, scratch),
        _ => end_accesses(task, scratch, |mode| mark(result, mode)),
    }
    // Relaxed: set by this thread, or before the token came to it.
    if task.ungranted().load(Ordering::Relaxed) == 0 || task.grant_one() {
        // SAFETY: all accesses are finished, and whoever ran the body has let go of it.
        unsafe { task.free(&mut scratch.freed) };
    }
    if let Some((bounds, bytes)) = charge {
        bounds.leave(bytes);
    }
    // SAFETY: the core outlives the count of this task.
    unsafe { core.as_ref() }.task_done(scratch.counter);
}

/// What a finished access leaves on its var.
#[inline]
pub(crate) fn mark(result: Result<(), &Failure>, mode: Mode) -> Mark<'_> {
    match (result, mode) {
        (Err(failure), Mode::Write | Mode::Overwrite) => Mark::Poison(failure),
        (Ok(()), Mode::Overwrite) => Mark::Heal,
        _ => Mark::Keep,
    }
}

/// Ends all accesses of a task that succeeded; what becomes ready by it is left in `scratch`.
#[inline]
fn end_accesses_well(task: TaskRef, scratch: &mut Scratch) {
    for slot in task.slots() {
        // SAFETY: the task is granted all its accesses and ends each once.
        unsafe { VarState::finish_well(slot.var_ptr(), slot.mode(), |t| scratch.ready.push(t)) };
    }
}

/// Ends all accesses, each with its mark.
#[cold]
fn end_accesses<'m>(task: TaskRef, scratch: &mut Scratch, mark: impl Fn(Mode) -> Mark<'m>) {
    if scratch.is_observed {
        return end_accesses_observed(task, scratch, &mark);
    }
    for slot in task.slots() {
        let (var, mode) = (slot.var_ptr(), slot.mode());
        // SAFETY: the task is granted all its accesses and ends each once.
        unsafe { VarState::finish(var, mode.is_exclusive(), mark(mode), |t| scratch.ready.push(t)) };
    }
}

/// The same, and tells who is released by it: outside the locks, and before anyone can run them.
#[cold]
fn end_accesses_observed<'m>(task: TaskRef, scratch: &mut Scratch, mark: &dyn Fn(Mode) -> Mark<'m>) {
    // SAFETY: the core outlives its tasks.
    let core = unsafe { task.core().as_ref() };
    let mut released: SmallVec<[TaskRef; 8]> = SmallVec::new();
    for slot in task.slots() {
        let release = Release { task: task.number(), var: slot.var().id() };
        let (var, mode) = (slot.var_ptr(), slot.mode());
        // SAFETY: as in `end_accesses`.
        unsafe { VarState::finish(var, mode.is_exclusive(), mark(mode), |t| released.push(t)) };
        for ready in released.drain(..) {
            core.observer.ready(ready, Some(release));
            scratch.ready.push(ready);
        }
    }
}

/// Finishes a task whose token is used, on whatever thread.
fn finish_here(core: &Core, task: TaskRef, result: Result<(), Cause>) {
    ending::end(task);
    let mut scratch = Scratch::new(0);
    scratch.is_observed = core.observer.is_on();
    match (task.call(), result) {
        (Call::Recorded, result) => recorded::finish(task, result, &mut scratch),
        (_, Ok(())) => finish(task, Ok(()), &mut scratch),
        (_, Err(cause)) => fail(task, cause, &mut scratch),
    }
    hand_on_all(core, &mut scratch);
}

/// Lets the next ones go while the task's work goes on behind a fence. The task counts as done when that fires.
fn finish_issued(core: &Arc<Core>, task: TaskRef, fence: Arc<dyn Fence>) {
    ending::end(task);
    let mut scratch = Scratch::new(0);
    scratch.is_observed = core.observer.is_on();
    if scratch.is_observed {
        core.observer.issued(task);
    }
    let fenced = if let Call::Recorded = task.call() {
        recorded::finish_issued(task, &fence, &mut scratch)
    } else {
        let fenced = Fenced::new(task, &fence, task.slots().map(|s| (s.var_ptr(), s.mode())), None);
        end_accesses(task, &mut scratch, |mode| mark_issued(&fenced, mode));
        if task.grant_one() {
            // SAFETY: as in `finish`.
            unsafe { task.free(&mut scratch.freed) };
        }
        fenced
    };
    hand_on_all(core, &mut scratch);
    fence.on_fire(Signal::new(core.clone(), fenced));
}

/// What the access of an issued task leaves on its var.
pub(crate) fn mark_issued(fenced: &Arc<Fenced>, mode: Mode) -> Mark<'_> {
    if mode == Mode::Overwrite { Mark::HealAndFence(fenced) } else { Mark::Fence(fenced) }
}

/// Ends a ready task that its lane does not run.
#[cold]
fn give_up(core: &Core, task: TaskRef, scratch: &mut Scratch) {
    let met = match task.call() {
        Call::Recorded => look(task, recorded::accesses(task)),
        _ => entry(task),
    };
    scratch.is_observed = core.observer.is_on();
    let lane = core.lane_name(task.lane());
    let cause = if core.is_removed(task.lane()) { Cause::LaneRemoved(lane) } else { Cause::LaneGaveUp(lane) };
    match (task.call(), met) {
        (_, Entry::Held) => {}
        (Call::Recorded, Entry::Free) => recorded::finish(task, Err(cause), scratch),
        (Call::Recorded, Entry::Poisoned(failure)) => recorded::end(task, Err(&failure.through(task.id())), scratch),
        (_, Entry::Free) => fail(task, cause, scratch),
        (_, Entry::Refused(cause)) => fail(task, cause, scratch),
        (_, Entry::Poisoned(failure)) => finish(task, Err(&failure.through(task.id())), scratch),
    }
}
