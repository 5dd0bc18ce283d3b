//! Back-pressure: how much may be pending before a push waits.
//!
//! An engine with a bound keeps a ledger of what is pending. A push that does not fit joins a line and sleeps; whoever
//! finishes a task charges the ledger for the first in line that fit now, and wakes them. So nobody overtakes, the bound
//! holds at each moment, and one who gives up leaves its line without a trace. Engines without a bound have no ledger.

use crate::engine::{Core, Engine};
use crate::node::{Call, TaskRef};
use crate::parker::{block_on, wake_each};
use crate::sync::{Arc, Mutex, Padded, lock, yield_now};
use crate::task::is_running;
use crate::waiting::Waiting;
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// How often a push that finds no room looks again before it sleeps. To be woken costs as much as many short tasks; while
/// this thread lets others run, there may come to be room for many.
const LOOKS: usize = if cfg!(loom) { 1 } else { 16 };

/// The bounds of one engine, and what is pending.
pub(crate) struct Bounds {
    max_tasks: usize,
    max_bytes: Option<u128>,
    ledger: Padded<Mutex<Ledger>>,
}

#[derive(Default)]
struct Ledger {
    tasks: usize,
    /// Wide enough for any number of sizes.
    bytes: u128,
    next_key: u64,
    /// Those who wait and need no bytes, and those who do: they need different things, so the ones hold up the others
    /// no more than they must. Keys grow, so the first in a map came first.
    lines: [BTreeMap<u64, InLine>; 2],
}

struct InLine {
    bytes: u128,
    waker: Waker,
}

type Wakers = SmallVec<[Waker; 4]>;

impl Bounds {
    /// `None` if nothing is bounded.
    pub(crate) fn new(max_tasks: Option<usize>, max_bytes: Option<usize>) -> Option<Box<Bounds>> {
        (max_tasks.is_some() || max_bytes.is_some()).then(|| {
            Box::new(Bounds {
                max_tasks: max_tasks.unwrap_or(usize::MAX).max(1),
                max_bytes: max_bytes.map(|bytes| bytes as u128),
                ledger: Padded::default(),
            })
        })
    }

    /// Counts a task that is about to be pushed. Waits for room, unless some was reserved or this thread runs a task.
    pub(crate) fn enter(&self, core: &Core, bytes: u128, room: Option<Room>) {
        if let Some(mut room) = room {
            room.is_taken = true;
            return self.change(|ledger| ledger.bytes = ledger.bytes + bytes - room.bytes);
        }
        if is_running() {
            return self.force(bytes);
        }
        for _ in 0..LOOKS {
            if self.try_enter(bytes) {
                return;
            }
            yield_now();
        }
        let _waiting = Waiting::begin(core.this(), &|| self.fits(&lock(&self.ledger), bytes));
        let mut key = None;
        block_on(poll_fn(|cx| self.poll(&mut key, bytes, cx.waker())));
    }

    /// Counts a task without waiting for room.
    fn force(&self, bytes: u128) {
        lock(&self.ledger).count(bytes);
    }

    fn try_enter(&self, bytes: u128) -> bool {
        let mut ledger = lock(&self.ledger);
        let fits = ledger.lines[line_of(bytes)].is_empty() && self.fits(&ledger, bytes);
        if fits {
            ledger.count(bytes);
        }
        fits
    }

    /// Ready once the ledger is charged; until then `key` stands in line.
    fn poll(&self, key: &mut Option<u64>, bytes: u128, waker: &Waker) -> Poll<()> {
        // Wakers are foreign code: cloned before the lock is taken, and the old one dropped when it is free again.
        let mut waker = waker.clone();
        if key.is_none() && self.try_enter(bytes) {
            return Poll::Ready(());
        }
        let mut ledger = lock(&self.ledger);
        let line = &mut ledger.lines[line_of(bytes)];
        if let Some(own) = *key {
            let Some(place) = line.get_mut(&own) else {
                *key = None;
                return Poll::Ready(());
            };
            std::mem::swap(&mut place.waker, &mut waker);
            drop(ledger);
            return Poll::Pending;
        }
        let own = ledger.next_key;
        ledger.next_key += 1;
        ledger.lines[line_of(bytes)].insert(own, InLine { bytes, waker });
        *key = Some(own);
        // There may be room since the first look.
        let woken = self.grant(&mut ledger);
        drop(ledger);
        wake_each(woken);
        Poll::Pending
    }

    /// Takes a finished task, or a place given back, off the ledger.
    pub(crate) fn leave(&self, bytes: u128) {
        self.change(|ledger| {
            ledger.tasks -= 1;
            ledger.bytes -= bytes;
        });
    }

    /// Ends a wait that nobody wants any more.
    fn give_up(&self, key: u64, bytes: u128) {
        let mut gone = None;
        self.change(|ledger| {
            gone = ledger.lines[line_of(bytes)].remove(&key);
            if gone.is_none() {
                // Charged, and not told.
                ledger.tasks -= 1;
                ledger.bytes -= bytes;
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut Ledger)) {
        let mut ledger = lock(&self.ledger);
        change(&mut ledger);
        if ledger.lines.iter().all(BTreeMap::is_empty) {
            return;
        }
        let woken = self.grant(&mut ledger);
        drop(ledger);
        wake_each(woken);
    }

    /// Charges the ledger for those in line who fit, first come first.
    fn grant(&self, ledger: &mut Ledger) -> Wakers {
        let mut woken = Wakers::new();
        loop {
            let first = |line: &BTreeMap<u64, InLine>| {
                let (key, waiting) = line.first_key_value()?;
                self.fits(ledger, waiting.bytes).then_some((*key, waiting.bytes))
            };
            let Some((key, bytes)) = ledger.lines.iter().filter_map(first).min() else { return woken };
            ledger.count(bytes);
            woken.extend(ledger.lines[line_of(bytes)].remove(&key).map(|w| w.waker));
        }
    }

    /// A task that is larger than the whole bound fits when no other bytes are pending.
    fn fits(&self, ledger: &Ledger, bytes: u128) -> bool {
        let fits_bytes = |max: u128| bytes == 0 || ledger.bytes == 0 || ledger.bytes + bytes <= max;
        ledger.tasks < self.max_tasks && self.max_bytes.is_none_or(fits_bytes)
    }

    /// What the ledger is charged for a pending task, until it is done; `None` for waits, and for a schedule's holds on its
    /// vars: a run of a schedule is charged as a whole.
    pub(crate) fn charge_of(&self, task: TaskRef) -> Option<u128> {
        if matches!(task.call(), Call::Probe(_) | Call::Port(_) | Call::Recorded) {
            return None;
        }
        let written = task.slots().filter(|slot| slot.mode().is_exclusive());
        Some(self.sum(written.map(|slot| slot.var().size_bytes())))
    }

    /// The bytes that a task counts which writes vars of these sizes.
    pub(crate) fn sum(&self, sizes: impl Iterator<Item = u64>) -> u128 {
        if self.max_bytes.is_some() { sizes.map(u128::from).sum() } else { 0 }
    }
}

impl Ledger {
    fn count(&mut self, bytes: u128) {
        self.tasks += 1;
        self.bytes += bytes;
    }
}

fn line_of(bytes: u128) -> usize {
    usize::from(bytes > 0)
}

impl Engine {
    /// Room for one task, without blocking the thread: the push of the task that is given it does not wait.
    ///
    /// Those who wait, here or in a push, are served in the order in which they came. In an engine without a bound, and
    /// inside a task, there always is room.
    ///
    /// ```
    /// # fn block_on<F: Future>(f: F) -> F::Output {
    /// #     use std::task::{Context, Poll, Waker};
    /// #     let mut f = Box::pin(f);
    /// #     loop {
    /// #         match f.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
    /// #             Poll::Ready(out) => return out,
    /// #             Poll::Pending => std::thread::yield_now(),
    /// #         }
    /// #     }
    /// # }
    /// use varflow_engine::Engine;
    /// # block_on(async {
    /// let engine = Engine::builder().cpu_workers(2).max_pending_tasks(8).build()?;
    /// let sum = engine.data(0);
    /// for i in 0..100 {
    ///     let room = engine.room().await;
    ///     engine.task("add").room(room).write(&sum).run(move |sum| *sum += i);
    /// }
    /// assert_eq!(sum.wait()?, 4950);
    /// # Ok::<(), varflow_engine::Error>(()) }).unwrap();
    /// ```
    pub fn room(&self) -> RoomFuture {
        RoomFuture { core: self.core().clone(), bytes: 0, key: None, waiting: None }
    }
}

/// Completes when there is room for a task. Dropped before, it leaves the line.
#[must_use = "a future does nothing until polled"]
pub struct RoomFuture {
    core: Arc<Core>,
    bytes: u128,
    key: Option<u64>,
    /// From the first time that it was polled too early.
    waiting: Option<Waiting>,
}

impl RoomFuture {
    /// Asks for room for so many bytes of sized vars that the task will write. What it writes beyond them is counted,
    /// but not waited for.
    pub fn bytes(mut self, bytes: usize) -> Self {
        if self.key.is_none() {
            self.bytes = bytes as u128;
        }
        self
    }
}

impl Future for RoomFuture {
    type Output = Room;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Room> {
        let RoomFuture { core, bytes, key, waiting } = &mut *self;
        if let Some(bounds) = core.bounds() {
            if is_running() && key.is_none() {
                bounds.force(*bytes);
            } else if bounds.poll(key, *bytes, cx.waker()).is_pending() {
                if waiting.is_none() {
                    // What lanes keep back runs here; that it made room is told to the waker.
                    *waiting = Some(Waiting::begin(core.clone(), &|| false));
                }
                return Poll::Pending;
            }
        }
        *waiting = None;
        Poll::Ready(Room { core: core.clone(), bytes: *bytes, is_taken: false })
    }
}

impl Drop for RoomFuture {
    fn drop(&mut self) {
        if let (Some(bounds), Some(key)) = (self.core.bounds(), self.key) {
            bounds.give_up(key, self.bytes);
        }
    }
}

/// A place for one task, counted as pending until the task that takes it is done; given back when dropped. From
/// [`Engine::room`], for [`RawTask::room`](crate::RawTask::room) or [`TaskBuilder::room`](crate::TaskBuilder::room).
#[must_use = "dropped, it gives its place back"]
pub struct Room {
    pub(crate) core: Arc<Core>,
    bytes: u128,
    is_taken: bool,
}

impl Room {
    /// The place of what was just counted, if anything is bounded.
    pub(crate) fn of_entered(core: &Arc<Core>, bytes: u128) -> Option<Arc<Room>> {
        core.bounds().map(|_| Arc::new(Room { core: core.clone(), bytes, is_taken: false }))
    }

    /// A place beyond the bound if need be, for tasks that are part of a wait: a wait is never held up.
    pub(crate) fn beyond_bound(core: &Arc<Core>) -> Room {
        if let Some(bounds) = core.bounds() {
            bounds.force(0);
        }
        Room { core: core.clone(), bytes: 0, is_taken: false }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if let Some(bounds) = self.core.bounds().filter(|_| !self.is_taken) {
            bounds.leave(self.bytes);
        }
    }
}
