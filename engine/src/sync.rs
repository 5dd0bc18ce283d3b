//! The one door to atomics, locks, threads and clocks. Under `cfg(loom)` and `cfg(shuttle)` the same names come from those
//! checkers, so that the protocols built on them can be model-checked.
#![expect(unsafe_code, reason = "a lock hands out what it guards")]

#[cfg(not(any(loom, shuttle)))]
mod imp {
    pub(crate) use std::hint::spin_loop;
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
    pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
    pub(crate) use std::thread::{self, JoinHandle, yield_now};
    pub(crate) use std::thread_local;

    pub(crate) fn has_ended(thread: &JoinHandle<()>) -> bool {
        thread.is_finished()
    }
}

#[cfg(loom)]
mod imp {
    pub(crate) use loom::cell::UnsafeCell as CheckedCell;
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
    pub(crate) use loom::thread::{self, JoinHandle, yield_now};
    pub(crate) use loom::thread_local;

    pub(crate) fn spin_loop() {
        yield_now();
    }

    pub(crate) fn has_ended(_: &JoinHandle<()>) -> bool {
        false
    }
}

#[cfg(shuttle)]
mod imp {
    pub(crate) use shuttle::hint::spin_loop;
    pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
    pub(crate) use shuttle::sync::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
    pub(crate) use shuttle::thread::{self, JoinHandle, yield_now};
    pub(crate) use shuttle::thread_local;

    pub(crate) fn has_ended(_: &JoinHandle<()>) -> bool {
        false
    }
}

pub(crate) use imp::*;
// Only counts references: nothing in the protocols rests on its orderings, and loom's cannot hold trait objects.
pub(crate) use std::sync::Arc;

use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

/// How many rounds of something that is repeated only to save time: `usually`, or few where each is a step to model.
pub(crate) const fn rounds(usually: u32) -> u32 {
    if cfg!(any(loom, shuttle)) { 2 } else { usually }
}

/// Stands between a SeqCst read-modify-write and a SeqCst load of something else, which the language orders. Loom orders
/// by SeqCst fences only, so it gets one.
#[inline]
pub(crate) fn fence_for_loom() {
    #[cfg(loom)]
    fence(Ordering::SeqCst);
}

/// A cell whose uses loom checks for races.
#[cfg(not(loom))]
pub(crate) struct CheckedCell<T>(UnsafeCell<T>);

#[cfg(not(loom))]
impl<T> CheckedCell<T> {
    pub(crate) fn new(value: T) -> Self {
        CheckedCell(UnsafeCell::new(value))
    }

    pub(crate) fn with<R>(&self, look: impl FnOnce(*const T) -> R) -> R {
        look(self.0.get())
    }

    pub(crate) fn with_mut<R>(&self, change: impl FnOnce(*mut T) -> R) -> R {
        change(self.0.get())
    }
}

/// Locks, ignoring lock poisoning: every critical section in this crate either leaves the state valid at each step or
/// holds no invariant, and a panicking task must not take the engine down with it.
pub(crate) fn lock<T: ?Sized>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Waits on a condition variable, ignoring lock poisoning (see [`lock`]).
pub(crate) fn wait<'a, T>(cv: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    cv.wait(guard).unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Locks for reading, ignoring lock poisoning (see [`lock`]).
pub(crate) fn read<T>(l: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    l.read().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Locks for writing, ignoring lock poisoning (see [`lock`]).
pub(crate) fn write<T>(l: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    l.write().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Waits on a condition variable for at most `time`; tells whether the time ran out. The guard is of `m`.
#[cfg(not(shuttle))]
pub(crate) fn wait_for<'a, T>(
    cv: &Condvar,
    _m: &'a Mutex<T>,
    guard: MutexGuard<'a, T>,
    time: Duration,
) -> (MutexGuard<'a, T>, bool) {
    let (guard, result) = cv.wait_timeout(guard, time).unwrap_or_else(std::sync::PoisonError::into_inner);
    (guard, result.timed_out())
}

/// As above. Shuttle's condition variables never time out, so here the time always runs out, and soon: whoever waits like
/// this looks again and again.
#[cfg(shuttle)]
pub(crate) fn wait_for<'a, T>(
    _cv: &Condvar,
    m: &'a Mutex<T>,
    guard: MutexGuard<'a, T>,
    _time: Duration,
) -> (MutexGuard<'a, T>, bool) {
    drop(guard);
    yield_now();
    (lock(m), true)
}

/// Measures how long things take.
#[cfg(not(shuttle))]
pub(crate) struct StopWatch(std::time::Instant);

#[cfg(not(shuttle))]
impl StopWatch {
    pub(crate) fn start() -> Self {
        StopWatch(std::time::Instant::now())
    }

    /// The time since the start or the last call.
    pub(crate) fn lap(&mut self) -> Duration {
        let before = std::mem::replace(self, Self::start());
        self.0 - before.0
    }
}

/// As above, with times made up by the checker: a real clock would make runs that cannot be repeated.
#[cfg(shuttle)]
pub(crate) struct StopWatch;

#[cfg(shuttle)]
impl StopWatch {
    pub(crate) fn start() -> Self {
        StopWatch
    }

    pub(crate) fn lap(&mut self) -> Duration {
        use shuttle::rand::Rng;
        let short = shuttle::rand::thread_rng().gen_bool(0.97);
        Duration::from_nanos(if short { 100 } else { 100_000 })
    }
}

/// A value on cache lines of its own.
#[repr(align(128))]
#[derive(Default)]
pub(crate) struct Padded<T>(pub(crate) T);

impl<T> Deref for Padded<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

/// A lock of one byte for critical sections of a few instructions: spins, then yields. Unlocking is a plain store, which
/// a mutex that parks cannot have. `N` is a constant that fits into the padding beside that byte.
#[repr(C)]
pub(crate) struct SpinLock<T, N = ()> {
    locked: AtomicBool,
    neighbour: N,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached only through the guard, of which there is one at a time.
unsafe impl<T: Send, N: Send> Send for SpinLock<T, N> {}
// SAFETY: as above; the neighbour is only read.
unsafe impl<T: Send, N: Sync> Sync for SpinLock<T, N> {}

impl<T> SpinLock<T> {
    pub(crate) fn new(value: T) -> Self {
        SpinLock::beside((), value)
    }
}

impl<T, N> SpinLock<T, N> {
    pub(crate) fn beside(neighbour: N, value: T) -> Self {
        SpinLock { locked: AtomicBool::new(false), neighbour, value: UnsafeCell::new(value) }
    }

    pub(crate) fn neighbour(&self) -> &N {
        &self.neighbour
    }

    #[inline]
    pub(crate) fn lock(&self) -> SpinGuard<'_, T, N> {
        match self.try_lock() {
            Some(guard) => guard,
            None => self.lock_slowly(),
        }
    }

    #[inline]
    pub(crate) fn try_lock(&self) -> Option<SpinGuard<'_, T, N>> {
        // Acquire: pairs with the Release in the guard's drop.
        let free = self.locked.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok();
        free.then(|| SpinGuard(self))
    }

    #[cold]
    fn lock_slowly(&self) -> SpinGuard<'_, T, N> {
        let mut spins = 0;
        loop {
            while self.locked.load(Ordering::Relaxed) {
                spins += 1;
                // The holder may have lost its core: let it have ours.
                if spins % 64 == 0 { yield_now() } else { spin_loop() }
            }
            if let Some(guard) = self.try_lock() {
                return guard;
            }
        }
    }
}

/// The lock is held while this lives.
pub(crate) struct SpinGuard<'a, T, N = ()>(&'a SpinLock<T, N>);

impl<T, N> Deref for SpinGuard<'_, T, N> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the lock is held.
        unsafe { &*self.0.value.get() }
    }
}

impl<T, N> DerefMut for SpinGuard<'_, T, N> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the lock is held, and the guard is borrowed alone.
        unsafe { &mut *self.0.value.get() }
    }
}

impl<T, N> Drop for SpinGuard<'_, T, N> {
    #[inline]
    fn drop(&mut self) {
        // Release: what was done under the lock is seen by the next holder.
        self.0.locked.store(false, Ordering::Release);
    }
}
