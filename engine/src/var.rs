//! A var: a piece of state that tasks read and write.
#![expect(unsafe_code, reason = "a var lives as long as a handle or a task names it, without counting tasks")]

use crate::engine::Core;
use crate::error::{Error, Failure};
use crate::node::{SlotList, TaskRef};
use crate::queue::VarQueue;
use crate::sync::{Arc, SpinGuard, SpinLock};
use crate::waiting::{Probe, VarFuture};
use std::cell::UnsafeCell;
use std::future::IntoFuture;
use std::ptr::NonNull;

/// A handle on a piece of state. The engine knows nothing of the state itself; it orders the tasks that name the var.
/// Clones stand for the same var.
#[derive(Clone)]
pub struct Var(Arc<Handle>);

/// Owned by the handles of one var. When the last is gone, the var itself lives on while tasks name it.
struct Handle {
    state: NonNull<VarState>,
}

// SAFETY: `VarState` may be used from any thread: see its fields.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

/// The var itself, on a cache line of its own.
///
/// It is freed by whoever finds, under the lock, that no handle is left and the queue is idle: the last handle's drop or
/// the last task's finish.
#[repr(align(64))]
pub(crate) struct VarState {
    queue: SpinLock<Ordered>,
    /// Written by the task that holds the var alone, under the lock as it finishes; read by tasks that hold it, and by
    /// anyone under the lock.
    poison: UnsafeCell<Option<Box<Failure>>>,
    /// Its number in the engine.
    id: usize,
    core: Arc<Core>,
}

// SAFETY: see the fields; failures are Send and Sync.
unsafe impl Send for VarState {}
// SAFETY: as above.
unsafe impl Sync for VarState {}

/// What the lock of a var guards.
#[derive(Default)]
pub(crate) struct Ordered {
    pub(crate) queue: VarQueue<SlotList>,
    is_orphan: bool,
}

impl VarState {
    #[inline]
    pub(crate) fn lock(&self) -> SpinGuard<'_, Ordered> {
        self.queue.lock()
    }

    pub(crate) fn try_lock(&self) -> Option<SpinGuard<'_, Ordered>> {
        self.queue.try_lock()
    }

    #[inline]
    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// Its place in the order in which tasks lock vars: that of addresses.
    #[inline]
    #[cfg(not(shuttle))]
    pub(crate) fn rank(state: NonNull<VarState>) -> NonNull<VarState> {
        state
    }

    /// As above, by age: addresses would make runs that cannot be repeated.
    #[cfg(shuttle)]
    pub(crate) fn rank(state: NonNull<VarState>) -> usize {
        // SAFETY: asked of vars of which the caller has a handle.
        unsafe { state.as_ref() }.id
    }

    pub(crate) fn id(&self) -> usize {
        self.id
    }

    /// # Safety
    /// The caller is a task that holds the var, or holds its lock.
    #[inline]
    pub(crate) unsafe fn poison(&self) -> Option<&Failure> {
        // SAFETY: nobody writes while the var or its lock is held.
        unsafe { &*self.poison.get() }.as_deref()
    }

    /// Ends an access: poisons the var or heals it, and hands the tasks that have now all they waited for to `ready`.
    /// Frees the var if nobody needs it any more.
    ///
    /// # Safety
    /// The caller is a task that holds this access, exclusively if so; `state` is not used afterwards.
    #[inline]
    pub(crate) unsafe fn finish(
        state: NonNull<VarState>,
        exclusive: bool,
        poison: Poison<'_>,
        mut ready: impl FnMut(TaskRef),
    ) {
        // SAFETY: the caller's access keeps the var alive until the lock is released below.
        let var = unsafe { state.as_ref() };
        let mut healed = None;
        let mut guard = var.lock();
        match poison {
            Poison::Keep => {}
            // SAFETY: the caller holds the var alone, and the lock.
            Poison::Heal => healed = unsafe { (*var.poison.get()).take() },
            // SAFETY: as above.
            Poison::Set(failure) => healed = unsafe { (*var.poison.get()).replace(Box::new(failure.clone())) },
        }
        guard.queue.finish(exclusive, |slot| {
            let task = slot.task();
            if task.grant_one() {
                ready(task);
            }
        });
        let unused = guard.is_orphan && guard.queue.is_idle();
        drop(guard);
        drop(healed);
        if unused {
            // SAFETY: no handle, no task; made by `Var::new`.
            drop(unsafe { Box::from_raw(state.as_ptr()) });
        }
    }
}

/// What a finished task does to the poison of a var.
#[derive(Clone, Copy)]
pub(crate) enum Poison<'a> {
    /// Nothing.
    Keep,
    /// Takes it away.
    Heal,
    /// Puts this in its place.
    Set(&'a Failure),
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the handle keeps the var alive until it is marked below.
        let mut guard = unsafe { self.state.as_ref() }.lock();
        guard.is_orphan = true;
        let unused = guard.queue.is_idle();
        drop(guard);
        if unused {
            // SAFETY: no handle, no task; made by `Var::new`. A task that is left frees it in `finish`.
            drop(unsafe { Box::from_raw(self.state.as_ptr()) });
        }
    }
}

impl Var {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        let id = core.next_number();
        let queue = SpinLock::new(Ordered::default());
        let state = Box::new(VarState { queue, poison: UnsafeCell::new(None), id, core });
        Var(Arc::new(Handle { state: NonNull::from(Box::leak(state)) }))
    }

    #[inline]
    pub(crate) fn state(&self) -> &VarState {
        // SAFETY: the handle keeps it alive.
        unsafe { self.0.state.as_ref() }
    }

    #[inline]
    pub(crate) fn state_ptr(&self) -> NonNull<VarState> {
        self.0.state
    }

    #[inline]
    pub(crate) fn core(&self) -> &Arc<Core> {
        self.state().core()
    }

    /// Whether both stand for the same state.
    #[must_use]
    pub fn same(&self, other: &Var) -> bool {
        self.0.state == other.0.state
    }

    /// Waits until every task pushed so far that writes this var is done.
    ///
    /// # Errors
    /// The root cause, if the state is poisoned; it is told at each wait until a task overwrites the var.
    /// [`Error::WaitCycle`] when called inside a task that the wait depends on.
    #[track_caller]
    pub fn wait(&self) -> Result<(), Error> {
        Probe::push(self).wait()
    }

    /// The failure that poisons the var now, without waiting.
    #[must_use]
    pub fn poison(&self) -> Option<Failure> {
        let _guard = self.state().lock();
        // SAFETY: the lock is held.
        unsafe { self.state().poison() }.cloned()
    }
}

impl std::fmt::Debug for Var {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "var {}", self.state().id)
    }
}

impl IntoFuture for &Var {
    type Output = Result<(), Error>;
    type IntoFuture = VarFuture;

    fn into_future(self) -> VarFuture {
        VarFuture::new(Probe::push(self))
    }
}

impl IntoFuture for Var {
    type Output = Result<(), Error>;
    type IntoFuture = VarFuture;

    fn into_future(self) -> VarFuture {
        (&self).into_future()
    }
}
