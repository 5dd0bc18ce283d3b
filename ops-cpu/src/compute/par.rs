//! Parallel loops, handed in by the caller.

#![expect(unsafe_code, reason = "threads write disjoint parts of one slice")]

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// Threads that share the iterations of a loop.
pub trait Par: Sync {
    /// Runs `body(i)` once for every `i` in `0..n`, in any order and on any threads; returns when all are done.
    fn for_each(&self, n: usize, body: &(dyn Fn(usize) + Sync));

    /// How many threads may take part. Results never depend on it.
    fn width(&self) -> usize;
}

/// Runs loops on the calling thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Serial;

impl Par for Serial {
    fn for_each(&self, n: usize, body: &(dyn Fn(usize) + Sync)) {
        for i in 0..n {
            body(i);
        }
    }

    fn width(&self) -> usize {
        1
    }
}

/// The most parts that a loop is cut into.
pub(crate) const MOST_PARTS: usize = 256;

/// Runs `body(i)` for every part, without waking anyone for a single one.
pub(crate) fn each_part(par: &dyn Par, parts: usize, body: &(dyn Fn(usize) + Sync)) {
    debug_assert!(parts <= MOST_PARTS);
    match parts {
        0 => {}
        1 => body(0),
        _ => par.for_each(parts, body),
    }
}

/// `total` items cut into `parts` ranges whose lengths differ by at most `unit`, each a multiple of `unit` but the last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Split {
    total: usize,
    unit: usize,
    parts: usize,
}

impl Split {
    /// At least `grain` items a part where possible, and at most `most` parts.
    pub(crate) fn new(total: usize, unit: usize, grain: usize, most: usize) -> Split {
        let parts = (total / grain.max(1)).min(total.div_ceil(unit)).clamp(1, most.clamp(1, MOST_PARTS));
        Split { total, unit, parts }
    }

    pub(crate) fn parts(self) -> usize {
        self.parts
    }

    pub(crate) fn range(self, part: usize) -> Range<usize> {
        let units = self.total.div_ceil(self.unit);
        let edge = |i: usize| (i * units / self.parts * self.unit).min(self.total);
        edge(part)..edge(part + 1)
    }
}

/// Remembers which parts have been handed out, so that a [`Par`] that runs an iteration twice cannot make two threads
/// write to one place.
#[derive(Default)]
pub(crate) struct Claims([AtomicU64; MOST_PARTS / 64]);

impl Claims {
    /// Panics if `part` was claimed before.
    pub(crate) fn claim(&self, part: usize) {
        let bit = 1 << (part % 64);
        // Relaxed: only the uniqueness of the claim matters; `Par` orders the writes behind it.
        let before = self.0[part / 64].fetch_or(bit, Ordering::Relaxed);
        assert!(before & bit == 0, "Par ran iteration {part} twice");
    }
}

/// A slice whose parts are written by different threads.
pub(crate) struct Parts<'a, T> {
    start: *mut T,
    split: Split,
    scale: usize,
    claims: Claims,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: a part is handed out once, so sharing `Parts` sends each number to at most one thread.
unsafe impl<T: Send> Sync for Parts<'_, T> {}

impl<'a, T> Parts<'a, T> {
    /// Cuts `slice` as `split` says, `scale` numbers an item.
    pub(crate) fn new(slice: &'a mut [T], split: Split, scale: usize) -> Parts<'a, T> {
        assert_eq!(slice.len(), split.total * scale);
        Parts { start: slice.as_mut_ptr(), split, scale, claims: Claims::default(), slice: PhantomData }
    }

    /// The numbers of `part`. Panics when asked for it a second time.
    #[expect(clippy::mut_from_ref, reason = "each part is handed out once")]
    pub(crate) fn take(&self, part: usize) -> &mut [T] {
        assert!(part < self.split.parts);
        self.claims.claim(part);
        let range = self.split.range(part);
        // SAFETY: the ranges of different parts are disjoint and inside the slice, and this part was never taken before.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start * self.scale), range.len() * self.scale) }
    }
}

/// A pointer that threads may share. Whoever dereferences it says why that is sound.
pub(crate) struct Shared<T>(pub(crate) *mut T);

// SAFETY: sharing the address is harmless; uses are unsafe and argue for themselves.
unsafe impl<T: Send> Sync for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Shared<T> {}

impl<T> Shared<T> {
    /// The address. A method, so that closures capture the whole wrapper.
    pub(crate) fn ptr(&self) -> *mut T {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_cover_everything_once() {
        for total in [0, 1, 7, 8, 9, 100, 1000, 4097] {
            for unit in [1, 8, 64] {
                for grain in [1, 10, 100] {
                    let split = Split::new(total, unit, grain, 64);
                    let mut at = 0;
                    for i in 0..split.parts() {
                        let range = split.range(i);
                        assert_eq!(range.start, at);
                        assert!(range.end == total || range.end.is_multiple_of(unit));
                        at = range.end;
                    }
                    assert_eq!(at, total);
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "twice")]
    fn a_part_is_handed_out_once() {
        let mut numbers = [0; 10];
        let parts = Parts::new(&mut numbers, Split::new(10, 1, 1, 4), 1);
        parts.take(1);
        parts.take(1);
    }
}
