//! The one door to atomics, locks and threads. Under `cfg(loom)` the same names come from loom, so that the protocols
//! built on them can be model-checked.
#![expect(unsafe_code, reason = "a lock hands out what it guards")]

#[cfg(not(loom))]
mod imp {
    pub(crate) use std::hint::spin_loop;
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
    pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
    pub(crate) use std::thread::yield_now;
    pub(crate) use std::thread_local;
}

#[cfg(loom)]
mod imp {
    pub(crate) use loom::cell::UnsafeCell as CheckedCell;
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
    pub(crate) use loom::thread::yield_now;
    pub(crate) use loom::thread_local;
    pub(crate) fn spin_loop() {
        yield_now();
    }
}

pub(crate) use imp::*;
// Only counts references: nothing in the protocols rests on its orderings, and loom's cannot hold trait objects.
pub(crate) use std::sync::Arc;

use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};

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

/// Waits on a condition variable for at most `time`; tells whether the time ran out.
pub(crate) fn wait_for<'a, T>(
    cv: &Condvar,
    guard: MutexGuard<'a, T>,
    time: std::time::Duration,
) -> (MutexGuard<'a, T>, bool) {
    let (guard, result) = cv.wait_timeout(guard, time).unwrap_or_else(std::sync::PoisonError::into_inner);
    (guard, result.timed_out())
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
