//! Loops whose iterations idle workers share.
#![expect(
    unsafe_code,
    reason = "lends a loop that lies on its owner's stack to other threads for as long as the owner waits"
)]

use crate::foreign::message_of;
use crate::sync::{AtomicBool, AtomicUsize, Mutex, Ordering, lock, rounds, spin_loop, yield_now};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;

/// How often its owner looks for the end of a loop before it leaves the processor to others.
const SPINS: u32 = rounds(1000);

/// The loops that are being run, each on the stack of its owner.
#[derive(Default)]
pub(super) struct Loops {
    open: Mutex<Vec<NonNull<SharedLoop>>>,
    /// How many there are, told without the lock.
    len: AtomicUsize,
}

// SAFETY: a loop lives for as long as it is in the list, and may be used from any thread: its body is Sync, all else in it an
// atomic, locked, or never changed.
unsafe impl Send for Loops {}
// SAFETY: as above.
unsafe impl Sync for Loops {}

impl Loops {
    /// Runs `body` for each of `0..n`, beside those who [`help`](Self::help). `published` is called when they can see the loop.
    pub(super) fn run(&self, n: usize, body: &(dyn Fn(usize) + Sync), published: impl FnOnce()) {
        // SAFETY: only the lifetime is changed: `body` is called within `SharedLoop::work` only, and this does not return, nor
        // unwind, before the last of those calls has.
        let body = unsafe {
            std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), *const (dyn Fn(usize) + Sync + 'static)>(body)
        };
        let shared = SharedLoop {
            body,
            n,
            next: AtomicUsize::new(0),
            helpers: AtomicUsize::new(0),
            panicked: AtomicBool::new(false),
            panic: Mutex::new(None),
        };
        let open = Open::new(self, &shared);
        published();
        shared.work();
        drop(open);
        let panic = lock(&shared.panic).take();
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    /// Runs iterations of a loop that has some to claim. Whether there was one.
    pub(super) fn help(&self) -> bool {
        let Some(found) = self.find(|shared| {
            // Relaxed: the owner looks after it has taken the lock, which is held here.
            shared.helpers.fetch_add(1, Ordering::Relaxed);
        }) else {
            return false;
        };
        // SAFETY: its owner waits for each helper that is counted.
        unsafe { found.as_ref() }.work();
        // Release: pairs with the Acquire in `Open`'s drop: the owner sees what was written here.
        // SAFETY: as above; the loop may be gone as soon as this is counted.
        unsafe { (*found.as_ptr()).helpers.fetch_sub(1, Ordering::Release) };
        true
    }

    /// Whether a loop has iterations to claim.
    pub(super) fn is_any_open(&self) -> bool {
        self.find(|_| ()).is_some()
    }

    /// A loop that has iterations to claim; `look` is called on it under the lock.
    fn find(&self, look: impl FnOnce(&SharedLoop)) -> Option<NonNull<SharedLoop>> {
        if self.len.load(Ordering::Relaxed) == 0 {
            return None;
        }
        for at in lock(&self.open).iter() {
            // SAFETY: its owner takes it out of the list, under the lock, before it goes.
            let shared = unsafe { at.as_ref() };
            if !shared.is_spent() {
                look(shared);
                return Some(*at);
            }
        }
        None
    }
}

/// While it lives, others can see a loop; when it is dropped, they are done with it.
struct Open<'a> {
    loops: &'a Loops,
    shared: &'a SharedLoop,
}

impl<'a> Open<'a> {
    fn new(loops: &'a Loops, shared: &'a SharedLoop) -> Self {
        lock(&loops.open).push(NonNull::from(shared));
        loops.len.fetch_add(1, Ordering::Relaxed);
        Open { loops, shared }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        lock(&self.loops.open).retain(|at| *at != NonNull::from(self.shared));
        self.loops.len.fetch_sub(1, Ordering::Relaxed);
        let mut spins = 0_u32;
        // Acquire: pairs with the Release in `help`. Nobody comes any more.
        while self.shared.helpers.load(Ordering::Acquire) > 0 {
            spins += 1;
            if spins < SPINS {
                spin_loop();
            } else {
                yield_now();
            }
        }
    }
}

/// A loop `0..n` that is being run.
struct SharedLoop {
    body: *const (dyn Fn(usize) + Sync),
    n: usize,
    /// The next iteration to be claimed.
    next: AtomicUsize,
    /// How many threads are at it besides its owner.
    helpers: AtomicUsize,
    panicked: AtomicBool,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

impl SharedLoop {
    /// Runs iterations until none is left to claim.
    fn work(&self) {
        loop {
            let i = self.next.fetch_add(1, Ordering::Relaxed);
            if i >= self.n {
                return;
            }
            if !self.panicked.load(Ordering::Relaxed) {
                // SAFETY: the owner does not return before this does.
                let body = unsafe { &*self.body };
                if let Err(panic) = catch_unwind(AssertUnwindSafe(|| body(i))) {
                    self.panicked.store(true, Ordering::Relaxed);
                    let others = lock(&self.panic).replace(panic);
                    others.map(message_of);
                }
            }
        }
    }

    /// Whether every iteration is claimed.
    fn is_spent(&self) -> bool {
        self.next.load(Ordering::Relaxed) >= self.n
    }
}

#[cfg(all(test, loom))]
#[allow(clippy::unwrap_used)]
mod model {
    use super::Loops;
    use crate::sync::{Arc, CheckedCell};
    use loom::thread;

    /// Cells that any thread may touch: loom tells when two do so unordered.
    struct Cells([CheckedCell<usize>; 2]);

    // SAFETY: loom checks the uses.
    unsafe impl Sync for Cells {}

    #[test]
    fn the_owner_sees_what_helpers_wrote_and_outlasts_them() {
        loom::model(|| {
            let loops = Arc::new(Loops::default());
            let helper = thread::spawn({
                let loops = loops.clone();
                move || loops.help()
            });
            let cells = Cells([CheckedCell::new(0), CheckedCell::new(0)]);
            loops.run(
                2,
                &|i| {
                    let cells = &cells;
                    // SAFETY: each iteration has a cell of its own.
                    cells.0[i].with_mut(|cell| unsafe { *cell += i + 1 });
                },
                || (),
            );
            // SAFETY: the loop is over.
            let sum: usize = cells.0.iter().map(|cell| cell.with(|cell| unsafe { *cell })).sum();
            assert_eq!(sum, 3);
            assert!(!loops.is_any_open());
            helper.join().unwrap();
        });
    }

    #[test]
    fn a_panic_is_passed_on_when_all_have_left() {
        loom::model(|| {
            let loops = Arc::new(Loops::default());
            let helper = thread::spawn({
                let loops = loops.clone();
                move || loops.help()
            });
            let run = std::panic::AssertUnwindSafe(|| loops.run(2, &|i| assert!(i > 0, "first"), || ()));
            assert!(std::panic::catch_unwind(run).is_err());
            helper.join().unwrap();
        });
    }
}
