//! Items on their way from the one thread that writes them to the one that takes them; neither ever waits for the other.
//!
//! They lie in a chain of chunks. The writer adds a chunk when its last one is full; the reader leaves a chunk that it has
//! emptied when the next one has an item, and whoever leaves a chunk last frees it.
//!
//! One pair of orderings carries everything: the writer stores `published` with Release after it has written an item (and
//! before that, where the item is the first of a chunk, the link to it); the reader loads it with Acquire and touches
//! only what came before. No slot is used twice, so nothing has to be handed back in the other direction.
#![expect(unsafe_code, reason = "shares slots between a writer and a reader")]

use crate::sync::{Arc, AtomicUsize, CheckedCell, Ordering};

/// Small in model checks, which then see chunks come and go.
const CHUNK_LEN: usize = if cfg!(loom) { 2 } else { 256 };

struct Chunk<T> {
    /// Filled by the writer once, emptied by the reader once.
    slots: [CheckedCell<Option<T>>; CHUNK_LEN],
    /// Set by the writer once.
    next: CheckedCell<Option<Arc<Chunk<T>>>>,
}

// SAFETY: a slot or link is touched by the writer before it is published and by the reader after, see the module's
// text, so never by both at once; items move from one thread to another, so they must be Send.
unsafe impl<T: Send> Send for Chunk<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Chunk<T> {}

impl<T> Chunk<T> {
    fn new() -> Arc<Self> {
        Arc::new(Chunk { slots: std::array::from_fn(|_| CheckedCell::new(None)), next: CheckedCell::new(None) })
    }
}

/// Counts of items; each is written by one side.
#[derive(Default)]
struct Counts {
    /// By the writer: items that the reader may take.
    published: AtomicUsize,
    /// By the writer: items for which there was no room.
    lost: AtomicUsize,
    /// By the reader.
    taken: AtomicUsize,
}

/// A buffer that holds at most `limit` items; more are counted and dropped.
pub(super) fn buffer<T>(limit: usize) -> (Writer<T>, Reader<T>) {
    let (chunk, counts) = (Chunk::new(), Arc::new(Counts::default()));
    let writer = Writer { tail: chunk.clone(), at: 0, written: 0, taken: 0, limit, counts: counts.clone() };
    (writer, Reader { head: chunk, at: 0, taken: 0, lost: 0, counts })
}

/// The side that adds items.
pub(super) struct Writer<T> {
    tail: Arc<Chunk<T>>,
    /// How many slots of the tail are used.
    at: usize,
    written: usize,
    /// How many items the reader had taken when last looked at.
    taken: usize,
    limit: usize,
    counts: Arc<Counts>,
}

impl<T> Writer<T> {
    /// Adds an item, or counts it as lost.
    pub(super) fn push(&mut self, item: T) {
        if self.is_full() {
            // Relaxed: only this thread writes it, and nothing hangs on it.
            let lost = self.counts.lost.load(Ordering::Relaxed);
            return self.counts.lost.store(lost.wrapping_add(1), Ordering::Relaxed);
        }
        if self.at == CHUNK_LEN {
            let next = Chunk::new();
            // SAFETY: the link is not published: nothing that lies behind it is.
            self.tail.next.with_mut(|link| unsafe { *link = Some(next.clone()) });
            (self.tail, self.at) = (next, 0);
        }
        // SAFETY: the slot is not published.
        self.tail.slots[self.at].with_mut(|slot| unsafe { *slot = Some(item) });
        self.at += 1;
        self.written = self.written.wrapping_add(1);
        // Release: pairs with the Acquire in `Reader::take`, which then sees the item and the link to its chunk.
        self.counts.published.store(self.written, Ordering::Release);
    }

    fn is_full(&mut self) -> bool {
        if self.written.wrapping_sub(self.taken) >= self.limit {
            // Relaxed: an old count makes the buffer look fuller than it is; slots are not used again.
            self.taken = self.counts.taken.load(Ordering::Relaxed);
        }
        self.written.wrapping_sub(self.taken) >= self.limit
    }
}

/// The side that takes items.
pub(super) struct Reader<T> {
    head: Arc<Chunk<T>>,
    /// How many slots of the head are emptied.
    at: usize,
    taken: usize,
    /// How many lost items were told.
    lost: usize,
    counts: Arc<Counts>,
}

impl<T> Reader<T> {
    /// Hands over the items that are there, oldest first.
    pub(super) fn take(&mut self, mut each: impl FnMut(T)) {
        // Acquire: pairs with the Release in `Writer::push`.
        let published = self.counts.published.load(Ordering::Acquire);
        while self.taken != published {
            if self.at == CHUNK_LEN {
                // SAFETY: an item beyond this chunk is published, so the link is.
                let Some(next) = self.head.next.with(|link| unsafe { (*link).clone() }) else { break };
                (self.head, self.at) = (next, 0);
            }
            // SAFETY: the item is published, and the writer does not come back to its slot.
            let item = self.head.slots[self.at].with_mut(|slot| unsafe { (*slot).take() });
            self.at += 1;
            self.taken = self.taken.wrapping_add(1);
            item.into_iter().for_each(&mut each);
        }
        // Relaxed: see `Writer::is_full`.
        self.counts.taken.store(self.taken, Ordering::Relaxed);
    }

    /// How many items were lost since this was last asked.
    pub(super) fn lost(&mut self) -> usize {
        let lost = self.counts.lost.load(Ordering::Relaxed);
        lost.wrapping_sub(std::mem::replace(&mut self.lost, lost))
    }

    /// Whether the writer is gone: what is there now is all that will ever be.
    pub(super) fn is_abandoned(&mut self) -> bool {
        // Synchronises with the writer's drop, so that a `take` after this misses nothing.
        Arc::get_mut(&mut self.counts).is_some()
    }
}

impl<T> Drop for Reader<T> {
    /// Walks the chain, which would otherwise be freed by recursion.
    fn drop(&mut self) {
        self.take(drop);
    }
}

#[cfg(all(test, loom))]
#[allow(clippy::unwrap_used)]
mod model {
    use super::buffer;
    use loom::thread;

    #[test]
    fn items_arrive_in_order_while_they_are_written() {
        loom::model(|| {
            let (mut writer, mut reader) = buffer(usize::MAX);
            let other = thread::spawn(move || (0..5).for_each(|i| writer.push(Box::new(i))));
            let mut got = Vec::new();
            reader.take(|i| got.push(*i));
            reader.take(|i| got.push(*i));
            other.join().unwrap();
            assert!(reader.is_abandoned());
            reader.take(|i| got.push(*i));
            assert_eq!((got, reader.lost()), (vec![0, 1, 2, 3, 4], 0));
        });
    }

    #[test]
    fn each_item_beyond_the_limit_is_counted() {
        loom::model(|| {
            let (mut writer, mut reader) = buffer(2);
            let other = thread::spawn(move || (0..4).for_each(|i| writer.push(i)));
            let mut got = Vec::new();
            reader.take(|i| got.push(i));
            let told = reader.lost();
            other.join().unwrap();
            reader.take(|i| got.push(i));
            assert_eq!(got.len() + told + reader.lost(), 4);
            assert!(got.len() >= 2 && got.is_sorted());
        });
    }

    #[test]
    fn either_side_may_go_first() {
        loom::model(|| {
            let (mut writer, reader) = buffer(usize::MAX);
            let other = thread::spawn(move || (0..5).for_each(|i| writer.push(Box::new(i))));
            drop(reader);
            other.join().unwrap();
        });
    }
}
