//! A var: a piece of state that tasks read and write.
#![expect(unsafe_code, reason = "a var lives as long as a handle or a task names it, without counting tasks")]

use crate::access::Mode;
use crate::engine::Core;
use crate::error::{Error, Failure};
use crate::fence::Fenced;
use crate::node::{SlotList, TaskRef};
use crate::queue::VarQueue;
use crate::sync::{Arc, AtomicPtr, AtomicUsize, Ordering, SpinGuard, SpinLock};
use crate::waiting::{Probe, VarFuture};
use smallvec::SmallVec;
use std::future::IntoFuture;
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};

/// A handle on a piece of state. The engine knows nothing of the state itself; it orders the tasks that name the var.
/// Clones stand for the same var. Made by [`Engine::var`](crate::Engine::var); every [`Data`](crate::Data) has one.
///
/// A var is a future: `var.await` does what [`wait`](Var::wait) does, without blocking the thread.
///
/// ```
/// use varflow_engine::Engine;
/// # fn main() -> Result<(), varflow_engine::Error> {
/// let engine = Engine::builder().cpu_workers(2).build()?;
/// let file = engine.var();
/// engine.raw("create").overwrite(&file).run(|_| Err::<(), _>("disk full"));
/// engine.raw("append").write(&file).run(|_| ()); // skipped
/// assert!(file.wait().is_err());
/// engine.raw("create").overwrite(&file).run(|_| ()); // heals
/// file.wait()?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Var {
    /// The same as the handle's: found without touching the handle's memory.
    state: NonNull<VarState>,
    _handle: Arc<Handle>,
}

// SAFETY: `VarState` may be used from any thread: see its fields.
unsafe impl Send for Var {}
// SAFETY: as above.
unsafe impl Sync for Var {}

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
/// It is freed by whoever finds, under the lock, that no handle and no pin is left and the queue is idle: the last handle's
/// drop, the last pin's, or the last task's finish.
#[repr(align(64))]
pub(crate) struct VarState {
    queue: SpinLock<Ordered, Size>,
    /// Null, or a box. Changed, and looked into, under the lock only. A task that holds the var may look without the lock
    /// whether it is null: what concerns it was there before its grant, which came under the lock.
    trouble: AtomicPtr<Trouble>,
    /// Twice its number in the engine, plus one while it is inside a recorded schedule.
    id: AtomicUsize,
    core: Arc<Core>,
}

// SAFETY: see the fields; failures are Send and Sync.
unsafe impl Send for VarState {}
// SAFETY: as above.
unsafe impl Sync for VarState {}

/// The lock of a var, held.
pub(crate) type OrderedGuard<'a> = SpinGuard<'a, Ordered, Size>;

/// What the lock of a var guards.
#[derive(Default)]
pub(crate) struct Ordered {
    pub(crate) queue: VarQueue<SlotList>,
    is_orphan: bool,
    pins: u32,
}

impl Ordered {
    fn is_unused(&self) -> bool {
        self.is_orphan && self.pins == 0 && self.queue.is_idle()
    }
}

/// What a task must know of a var before it touches it: rare, so behind one pointer.
#[derive(Default)]
struct Trouble {
    poison: Option<Failure>,
    /// Accesses whose device work may not be done, each with whether it was exclusive.
    fences: SmallVec<[(Arc<Fenced>, bool); 2]>,
}

/// What is dropped when a lock is released: foreign code.
type Left = (Option<Failure>, Option<Box<Trouble>>);

/// What a finished access leaves behind.
#[derive(Clone, Copy)]
pub(crate) enum Mark<'a> {
    /// Nothing.
    Keep,
    /// Takes the poison away.
    Heal,
    /// Puts this poison in its place.
    Poison(&'a Failure),
    /// Work on a device that is not done yet.
    Fence(&'a Arc<Fenced>),
    /// The same, and takes the poison away.
    HealAndFence(&'a Arc<Fenced>),
}

/// What a var counts against a bound on bytes. Seven bytes, so that a var fits in a cache line.
#[derive(Default)]
pub(crate) struct Size([u8; 7]);

impl Size {
    fn new(bytes: usize) -> Self {
        const MAX: u64 = (1 << 56) - 1;
        let [size @ .., _] = (bytes as u64).min(MAX).to_le_bytes();
        Size(size)
    }

    fn bytes(&self) -> u64 {
        let mut all = [0; 8];
        all[..7].copy_from_slice(&self.0);
        u64::from_le_bytes(all)
    }
}

#[cfg(not(any(loom, shuttle)))]
const _: () = assert!(size_of::<VarState>() == 64, "a var is one cache line");

impl VarState {
    #[inline]
    pub(crate) fn lock(&self) -> OrderedGuard<'_> {
        self.queue.lock()
    }

    /// What it counts against a bound on bytes.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.queue.neighbour().bytes()
    }

    pub(crate) fn try_lock(&self) -> Option<OrderedGuard<'_>> {
        self.queue.try_lock()
    }

    #[inline]
    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// Its number in the engine. Who locks several vars locks them in this order.
    #[inline]
    pub(crate) fn id(&self) -> usize {
        self.id.load(Ordering::Relaxed) >> 1
    }

    /// Whether only a recorded schedule may touch it.
    #[inline]
    pub(crate) fn is_inside(&self) -> bool {
        self.id.load(Ordering::Relaxed) & 1 == 1
    }

    /// Marks it as inside a recorded schedule. Refused if a task names it, issued ones included, if another schedule does,
    /// or if it is inside already.
    pub(crate) fn keep_inside(&self) -> bool {
        let guard = self.lock();
        let fits = guard.queue.is_idle() && guard.pins == 0 && !self.is_inside();
        if fits {
            self.id.fetch_or(1, Ordering::Relaxed);
        }
        fits
    }

    /// Ends that.
    pub(crate) fn let_outside(&self) {
        self.id.fetch_and(!1, Ordering::Relaxed);
    }

    /// Whether there may be poison or a fence. Without the lock only for tasks that hold the var.
    #[inline]
    pub(crate) fn is_troubled(&self) -> bool {
        // Relaxed: see the field.
        !self.trouble.load(Ordering::Relaxed).is_null()
    }

    /// The poison that an access in this mode inherits, if any.
    pub(crate) fn poison(&self, mode: Mode) -> Option<Failure> {
        let _guard = self.lock();
        // SAFETY: the lock is held.
        unsafe { self.trouble() }.and_then(|t| t.poison.clone().filter(|_| mode.sees_old()))
    }

    /// The fences behind which an access in this mode comes.
    pub(crate) fn fences(&self, mode: Mode, mut each: impl FnMut(&Arc<Fenced>)) {
        let _guard = self.lock();
        // SAFETY: the lock is held.
        let fences = unsafe { self.trouble() }.into_iter().flat_map(|t| &t.fences);
        fences.filter(|(_, exclusive)| *exclusive || mode.is_exclusive()).for_each(|(fence, _)| each(fence));
    }

    /// # Safety
    /// The caller holds the lock, and uses the result for as long only.
    unsafe fn trouble(&self) -> Option<&Trouble> {
        // SAFETY: null or a box; nobody changes it while the lock is held.
        unsafe { self.trouble.load(Ordering::Relaxed).as_ref() }
    }

    /// Changes the trouble; gives back what is to be dropped after the lock is released.
    ///
    /// # Safety
    /// The caller holds the lock.
    #[cold]
    unsafe fn change(&self, change: impl FnOnce(&mut Trouble)) -> Option<Box<Trouble>> {
        let at = self.trouble.load(Ordering::Relaxed);
        // SAFETY: null or a box, which only the holder of the lock touches.
        let mut trouble = if at.is_null() { Box::default() } else { unsafe { Box::from_raw(at) } };
        change(&mut trouble);
        let (keep, rest) = if trouble.poison.is_none() && trouble.fences.is_empty() {
            (None, Some(trouble))
        } else {
            (Some(trouble), None)
        };
        self.trouble.store(keep.map_or(ptr::null_mut(), Box::into_raw), Ordering::Relaxed);
        rest
    }

    /// Leaves a mark; gives back what is to be dropped after the lock is released.
    ///
    /// # Safety
    /// The caller holds the lock, and is a task that holds this access.
    #[cold]
    unsafe fn leave(&self, exclusive: bool, mark: Mark<'_>) -> Option<Box<Left>> {
        let (poison, fence) = match mark {
            Mark::Keep => return None,
            Mark::Heal => (Some(None), None),
            Mark::Poison(failure) => (Some(Some(failure.clone())), None),
            Mark::Fence(fence) => (None, Some(fence)),
            Mark::HealAndFence(fence) => (Some(None), Some(fence)),
        };
        let mut old = None;
        // SAFETY: the lock is held.
        let unused = unsafe {
            self.change(|trouble| {
                if let Some(poison) = poison {
                    old = std::mem::replace(&mut trouble.poison, poison);
                }
                if let Some(fence) = fence {
                    if exclusive {
                        // The device does this access after those: its fence stands for theirs.
                        trouble.fences.clear();
                    }
                    trouble.fences.push((fence.clone(), exclusive));
                }
            })
        };
        Some(Box::new((old, unused)))
    }

    /// Ends an access: leaves its mark, and hands the tasks that have now all they waited for to `ready`. Frees the var if
    /// nobody needs it any more.
    ///
    /// # Safety
    /// The caller is a task that holds this access, exclusively if so; `state` is not used afterwards.
    pub(crate) unsafe fn finish(state: NonNull<VarState>, exclusive: bool, mark: Mark<'_>, ready: impl FnMut(TaskRef)) {
        // SAFETY: passed on; the lock is held where the mark is left.
        unsafe { VarState::finish_leaving(state, exclusive, |var| var.leave(exclusive, mark), ready) };
    }

    /// The same for an access of a task that succeeded.
    ///
    /// # Safety
    /// As [`finish`](Self::finish).
    #[inline]
    pub(crate) unsafe fn finish_well(state: NonNull<VarState>, mode: Mode, ready: impl FnMut(TaskRef)) {
        let exclusive = mode.is_exclusive();
        let heal = |var: &VarState| match mode {
            // SAFETY: called with the lock held, by a task that holds this access.
            Mode::Overwrite if var.is_troubled() => unsafe { var.leave(exclusive, Mark::Heal) },
            _ => None,
        };
        // SAFETY: passed on.
        unsafe { VarState::finish_leaving(state, exclusive, heal, ready) };
    }

    #[inline]
    unsafe fn finish_leaving(
        state: NonNull<VarState>,
        exclusive: bool,
        leave: impl FnOnce(&VarState) -> Option<Box<Left>>,
        mut ready: impl FnMut(TaskRef),
    ) {
        // SAFETY: the caller's access keeps the var alive until the lock is released below.
        let var = unsafe { state.as_ref() };
        let mut guard = var.lock();
        let old = leave(var);
        guard.queue.finish(exclusive, |slot| {
            let task = slot.task();
            if task.grant_one() {
                ready(task);
            }
        });
        let unused = guard.is_unused();
        drop(guard);
        if let Some(old) = old {
            drop(old);
        }
        if unused {
            // SAFETY: no handle, no pin, no task; made by `Var::new`.
            drop(unsafe { Box::from_raw(state.as_ptr()) });
        }
    }

    /// Leaves the mark of an access that ends inside a recorded schedule, which holds the var itself.
    ///
    /// # Safety
    /// The caller is a task that holds this access, exclusively if so.
    pub(crate) unsafe fn mark(&self, exclusive: bool, mark: Mark<'_>) {
        let guard = self.lock();
        // SAFETY: the lock is held, and the caller holds the access.
        let old = unsafe { self.leave(exclusive, mark) };
        drop(guard);
        drop(old);
    }
}

impl Drop for VarState {
    fn drop(&mut self) {
        let trouble = self.trouble.load(Ordering::Relaxed);
        if !trouble.is_null() {
            // SAFETY: a box; nobody else has the var any more.
            drop(unsafe { Box::from_raw(trouble) });
        }
    }
}

/// Keeps a var alive that nobody may name any more.
pub(crate) struct VarPin(NonNull<VarState>);

// SAFETY: `VarState` may be used from any thread.
unsafe impl Send for VarPin {}
// SAFETY: as above.
unsafe impl Sync for VarPin {}

impl VarPin {
    /// # Safety
    /// The var lives.
    pub(crate) unsafe fn new(state: NonNull<VarState>) -> VarPin {
        // SAFETY: the var lives.
        unsafe { state.as_ref() }.lock().pins += 1;
        VarPin(state)
    }

    pub(crate) fn state(&self) -> &VarState {
        // SAFETY: the pin keeps it alive.
        unsafe { self.0.as_ref() }
    }

    /// Takes a fence away that has fired, and the pin with it. If it failed, and nothing wrote the var since, that poisons it.
    pub(crate) fn fired(self, fence: &Arc<Fenced>, failure: Option<&Failure>) {
        let pin = ManuallyDrop::new(self);
        let mut guard = pin.state().lock();
        let mut old = None;
        // SAFETY: the lock is held.
        let rest = unsafe {
            pin.state().change(|trouble| {
                let before = trouble.fences.len();
                let mut wrote = false;
                trouble.fences.retain(|(f, exclusive)| {
                    let is_it = Arc::ptr_eq(f, fence);
                    wrote |= is_it && *exclusive;
                    !is_it
                });
                if let Some(failure) = failure.filter(|_| wrote && before > trouble.fences.len()) {
                    old = trouble.poison.replace(failure.clone());
                }
            })
        };
        guard.pins -= 1;
        let unused = guard.is_unused();
        drop(guard);
        drop((old, rest));
        if unused {
            // SAFETY: no handle, no pin, no task; made by `Var::new`.
            drop(unsafe { Box::from_raw(pin.0.as_ptr()) });
        }
    }

    pub(crate) fn state_ptr(&self) -> NonNull<VarState> {
        self.0
    }
}

impl Drop for VarPin {
    fn drop(&mut self) {
        let mut guard = self.state().lock();
        guard.pins -= 1;
        let unused = guard.is_unused();
        drop(guard);
        if unused {
            // SAFETY: no handle, no pin, no task; made by `Var::new`.
            drop(unsafe { Box::from_raw(self.0.as_ptr()) });
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the handle keeps the var alive until it is marked below.
        let mut guard = unsafe { self.state.as_ref() }.lock();
        guard.is_orphan = true;
        let unused = guard.is_unused();
        drop(guard);
        if unused {
            // SAFETY: no handle, no pin, no task; made by `Var::new`. A task or pin that is left frees it.
            drop(unsafe { Box::from_raw(self.state.as_ptr()) });
        }
    }
}

impl Var {
    /// `bytes` is what it counts against a bound on bytes.
    pub(crate) fn new(core: Arc<Core>, bytes: usize) -> Self {
        let id = core.next_number();
        let queue = SpinLock::beside(Size::new(bytes), Ordered::default());
        let trouble = AtomicPtr::new(ptr::null_mut());
        let state = Box::new(VarState { queue, trouble, id: AtomicUsize::new(id << 1), core });
        let state = NonNull::from(Box::leak(state));
        Var { state, _handle: Arc::new(Handle { state }) }
    }

    #[inline]
    pub(crate) fn state(&self) -> &VarState {
        // SAFETY: the handle keeps it alive.
        unsafe { self.state.as_ref() }
    }

    #[inline]
    pub(crate) fn state_ptr(&self) -> NonNull<VarState> {
        self.state
    }

    #[inline]
    pub(crate) fn core(&self) -> &Arc<Core> {
        self.state().core()
    }

    pub(crate) fn pin(&self) -> VarPin {
        // SAFETY: the handle keeps it alive.
        unsafe { VarPin::new(self.state_ptr()) }
    }

    /// Whether both stand for the same state.
    #[must_use]
    pub fn same(&self, other: &Var) -> bool {
        self.state == other.state
    }

    /// What identifies the var in its engine: in messages, and in [traces](crate::Trace).
    #[must_use]
    pub fn number(&self) -> usize {
        self.state().id()
    }

    /// Waits until every task pushed so far that writes this var is done.
    ///
    /// # Errors
    /// The root cause, if the state is poisoned; it is told at each wait until a task overwrites the var.
    /// [`Error::WaitCycle`] when called inside a task that the wait depends on; [`Error::TooManyWaits`] when so many tasks wait
    /// that their lane has no thread to spare; [`Error::InsideVar`] if only a recorded schedule may touch the var.
    #[track_caller]
    pub fn wait(&self) -> Result<(), Error> {
        Probe::push(self).wait()
    }

    /// The failure that poisons the var now, without waiting.
    #[must_use]
    pub fn poison(&self) -> Option<Failure> {
        self.state().poison(Mode::Read)
    }
}

impl std::fmt::Debug for Var {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "var {}", self.state().id())
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
