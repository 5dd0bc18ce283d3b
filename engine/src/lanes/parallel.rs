//! A loop whose iterations idle workers share.
#![expect(unsafe_code, reason = "lends a borrowed closure to other threads for as long as the caller waits")]

use crate::foreign::message_of;
use crate::sync::{Arc, AtomicBool, AtomicUsize, Mutex, Ordering, lock, spin_loop, yield_now};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// A loop `0..n` that is being run. Claims are handed out by `next`; `left` counts the iterations not yet finished.
pub(super) struct SharedLoop {
    body: *const (dyn Fn(usize) + Sync),
    n: usize,
    next: AtomicUsize,
    left: AtomicUsize,
    panicked: AtomicBool,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

// SAFETY: `body` is dereferenced only between claiming an index below `n` and counting it in `left`, and the owner
// does not return from `run` before `left` is zero; the pointee is Sync.
unsafe impl Send for SharedLoop {}
// SAFETY: as above.
unsafe impl Sync for SharedLoop {}

impl SharedLoop {
    /// Runs the loop. `publish` shows it to other threads, which call [`help`](Self::help), `retract` hides it again.
    pub(super) fn run(
        n: usize,
        body: &(dyn Fn(usize) + Sync),
        publish: impl FnOnce(&Arc<SharedLoop>),
        retract: impl FnOnce(&Arc<SharedLoop>),
    ) {
        // SAFETY: only the lifetime is changed; see the impl of Send.
        let body = unsafe {
            std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), *const (dyn Fn(usize) + Sync + 'static)>(body)
        };
        let shared = Arc::new(SharedLoop {
            body,
            n,
            next: AtomicUsize::new(0),
            left: AtomicUsize::new(n),
            panicked: AtomicBool::new(false),
            panic: Mutex::new(None),
        });
        publish(&shared);
        shared.help();
        retract(&shared);
        let mut spins = 0_u32;
        // Acquire: pairs with the Release in `help`: what the helpers wrote is visible after the loop.
        while shared.left.load(Ordering::Acquire) > 0 {
            spins += 1;
            if spins < 1000 {
                spin_loop();
            } else {
                yield_now();
            }
        }
        let panic = lock(&shared.panic).take();
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    /// Runs iterations until none is left to claim.
    pub(super) fn help(&self) {
        loop {
            let i = self.next.fetch_add(1, Ordering::Relaxed);
            if i >= self.n {
                return;
            }
            if !self.panicked.load(Ordering::Relaxed) {
                // SAFETY: `i` is claimed and not yet counted, so the owner still waits.
                let body = unsafe { &*self.body };
                if let Err(panic) = catch_unwind(AssertUnwindSafe(|| body(i))) {
                    self.panicked.store(true, Ordering::Relaxed);
                    let others = lock(&self.panic).replace(panic);
                    others.map(message_of);
                }
            }
            // Release: pairs with the owner's Acquire.
            self.left.fetch_sub(1, Ordering::Release);
        }
    }

    /// Whether every iteration is claimed.
    pub(super) fn is_spent(&self) -> bool {
        self.next.load(Ordering::Relaxed) >= self.n
    }
}
