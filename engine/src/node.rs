//! How a task lies in memory: one block with a header, its accesses, and its closure.
//!
//! Who may touch what, when: `DESIGN.md` beside this crate has the table.
#![expect(unsafe_code, reason = "lays out tasks by hand: one allocation each, lists through the tasks themselves")]

use crate::access::Mode;
use crate::engine::Core;
use crate::error::{BoxError, Cause, Failure, TaskId};
use crate::foreign::contained;
use crate::name::Name;
use crate::observe::TaskNumber;
use crate::queue::WaitList;
use crate::recorded;
use crate::slab::{Freed, UNIT_BYTES};
use crate::sync::{AtomicPtr, AtomicU32, Ordering};
use crate::task::{Completion, Outcome, Scratch, TaskCtx};
use crate::var::VarState;
use std::cell::Cell;
use std::mem::{align_of, size_of};
use std::panic::Location;
use std::ptr::{self, NonNull};

/// Closures up to this size and alignment lie in the task's block; others are boxed.
const MAX_BODY_BYTES: usize = 256;
const BODY_ALIGN: usize = 16;

/// Flags of a task: its closure is still there; its block ends in room for a number; the number is there.
const HAS_BODY: u8 = 1;
const HAS_ROOM: u8 = 2;
const IS_NUMBERED: u8 = 4;

/// A task's header.
#[repr(C, align(64))]
pub(crate) struct Node {
    body: &'static BodyType,
    /// The link of whatever list the task is in: ready tasks of a thread, or a lane's inbox.
    next: Cell<Option<TaskRef>>,
    core: NonNull<Core>,
    name: Name,
    site: &'static Location<'static>,
    ungranted: AtomicU32,
    priority: i32,
    num_slots: u32,
    lane: u16,
    units: u8,
    flags: Cell<u8>,
}

// A larger header would cost each task a cache line more. (Loom's atomics are larger.)
#[cfg(not(loom))]
#[cfg(not(any(loom, shuttle)))]
const _: () = assert!(size_of::<Node>() == UNIT_BYTES);

/// One access of a task.
pub(crate) struct Slot {
    var: NonNull<VarState>,
    /// The next one waiting for the var; changed under the var's lock.
    next: Cell<Option<SlotRef>>,
    index: u32,
    mode: Mode,
}

/// What a kind of closure is called and dropped by.
pub(crate) struct BodyType {
    pub(crate) call: Call,
    drop: unsafe fn(NonNull<u8>),
}

/// How a closure is called. Each function takes the closure out of the given place.
#[derive(Clone, Copy)]
pub(crate) enum Call {
    /// Done when it returns.
    Sync(unsafe fn(NonNull<u8>, &TaskCtx<'_>) -> Result<(), BoxError>),
    /// Done when its token is used.
    Async(unsafe fn(NonNull<u8>, &TaskCtx<'_>, Completion)),
    /// Runs where it is released, with the failure it read if any: for waits.
    Probe(unsafe fn(NonNull<u8>, Option<Failure>)),
    /// Fails where it is released: a task that was refused.
    Refused(unsafe fn(NonNull<u8>) -> Cause),
    /// Runs where it is released, and goes on holding its vars: a recorded schedule's hold on one. The closure stays.
    Port(unsafe fn(NonNull<u8>, &mut Scratch)),
    /// A task of a recorded schedule: see `recorded.rs`.
    Recorded,
}

impl Call {
    /// Whether the task runs on whichever thread releases it.
    #[inline]
    pub(crate) fn is_inline(self) -> bool {
        matches!(self, Call::Probe(_) | Call::Refused(_) | Call::Port(_))
    }
}

/// A closure with its type.
///
/// # Safety
/// `TYPE` calls and drops a `Self`.
pub(crate) unsafe trait Body: Send + 'static {
    const TYPE: BodyType;
}

unsafe fn drop_body<B>(body: NonNull<u8>) {
    // SAFETY: the caller hands over a `B`.
    unsafe { body.cast::<B>().drop_in_place() };
}

/// See [`Call::Sync`].
#[repr(transparent)]
pub(crate) struct SyncBody<F>(pub(crate) F);
/// See [`Call::Async`].
#[repr(transparent)]
pub(crate) struct AsyncBody<F>(pub(crate) F);
/// See [`Call::Probe`].
#[repr(transparent)]
pub(crate) struct ProbeBody<F>(pub(crate) F);

// SAFETY: as below.
unsafe impl Body for Cause {
    const TYPE: BodyType = BodyType {
        // SAFETY: the caller hands over a `Self`.
        call: Call::Refused(|body| unsafe { body.cast::<Self>().read() }),
        drop: drop_body::<Self>,
    };
}

// SAFETY: the functions are made for this type.
unsafe impl<R: Outcome, F: FnOnce(&TaskCtx<'_>) -> R + Send + 'static> Body for SyncBody<F> {
    const TYPE: BodyType = BodyType {
        // SAFETY: the caller hands over a `Self`.
        call: Call::Sync(|body, ctx| (unsafe { body.cast::<Self>().read() }.0)(ctx).into_result()),
        drop: drop_body::<Self>,
    };
}

// SAFETY: as above.
unsafe impl<F: FnOnce(&TaskCtx<'_>, Completion) + Send + 'static> Body for AsyncBody<F> {
    const TYPE: BodyType = BodyType {
        // SAFETY: as above.
        call: Call::Async(|body, ctx, token| (unsafe { body.cast::<Self>().read() }.0)(ctx, token)),
        drop: drop_body::<Self>,
    };
}

// SAFETY: as above.
unsafe impl<F: FnOnce(Option<Failure>) + Send + 'static> Body for ProbeBody<F> {
    const TYPE: BodyType = BodyType {
        // SAFETY: as above.
        call: Call::Probe(|body, poison| (unsafe { body.cast::<Self>().read() }.0)(poison)),
        drop: drop_body::<Self>,
    };
}

/// A closure of a [`Call::Port`].
///
/// # Safety
/// As [`Body`]; `granted` leaves the closure where it is.
pub(crate) unsafe trait PortBody: Send + 'static {
    /// The task is granted all that it waits for.
    ///
    /// # Safety
    /// `body` is the place of a `Self`.
    unsafe fn granted(body: NonNull<u8>, scratch: &mut Scratch);
}

// SAFETY: the functions are made for this type.
unsafe impl<P: PortBody> Body for P {
    const TYPE: BodyType = BodyType { call: Call::Port(P::granted), drop: drop_body::<P> };
}

/// What a task is made of, but for its accesses and closure.
pub(crate) struct Header {
    pub(crate) name: Name,
    pub(crate) site: &'static Location<'static>,
    pub(crate) priority: i32,
    pub(crate) lane: u16,
}

/// A task. It lives from [`TaskRef::new`] until [`TaskRef::free`]; whoever holds one of these relies on that.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TaskRef(NonNull<Node>);

// SAFETY: which thread may touch which field when is the protocol that DESIGN.md proves; closures are Send.
unsafe impl Send for TaskRef {}
// SAFETY: as above.
unsafe impl Sync for TaskRef {}

/// One access of a living task.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct SlotRef(NonNull<Slot>);

const fn slots_end(num_slots: usize) -> usize {
    size_of::<Node>() + num_slots * size_of::<Slot>()
}

/// A closure with a number behind it.
const MAX_TAIL_BYTES: usize = MAX_BODY_BYTES + size_of::<TaskNumber>();

/// `tail_bytes` are the closure's and the number's. Blocks of more units than a header can record have room for any.
const fn units(num_slots: usize, tail_bytes: usize) -> usize {
    let units = (body_offset(num_slots) + tail_bytes).div_ceil(UNIT_BYTES);
    if units < 256 { units } else { (body_offset(num_slots) + MAX_TAIL_BYTES).div_ceil(UNIT_BYTES) }
}

/// The units and flags of a task that is to get a number.
#[cold]
fn with_room(num_slots: usize, body_bytes: usize) -> (usize, u8) {
    (units(num_slots, body_bytes + size_of::<TaskNumber>()), HAS_BODY | HAS_ROOM)
}

const fn body_offset(num_slots: usize) -> usize {
    slots_end(num_slots).next_multiple_of(BODY_ALIGN)
}

impl Node {
    /// The header of a task of a recorded schedule, which lies in no block and has neither slots nor a closure behind it.
    pub(crate) fn recorded(core: &Core, header: Header) -> Node {
        let Header { name, site, priority, lane } = header;
        Node {
            body: const { &BodyType { call: Call::Recorded, drop: drop_body::<()> } },
            next: Cell::new(None),
            core: NonNull::from(core),
            name,
            site,
            ungranted: AtomicU32::new(0),
            priority,
            num_slots: 0,
            lane,
            units: 0,
            flags: Cell::new(0),
        }
    }
}

impl TaskRef {
    /// The task whose header is there.
    pub(crate) fn of_recorded(node: NonNull<Node>) -> TaskRef {
        TaskRef(node)
    }

    /// The header, with the provenance that it was given.
    pub(crate) fn node_ptr(self) -> NonNull<Node> {
        self.0
    }

    /// The closure's place, where it stays.
    pub(crate) fn body(self) -> NonNull<u8> {
        // SAFETY: the closure lies in the same block.
        unsafe { self.0.cast::<u8>().add(body_offset(self.num_slots())) }
    }

    /// A new task. `accesses` are deduplicated and sorted.
    #[inline]
    pub(crate) fn new<B: Body>(
        core: &Core,
        header: Header,
        accesses: &[(NonNull<VarState>, Mode)],
        body: B,
    ) -> TaskRef {
        // Not a constant one: who boxes larger closures names this function for them too, on the path not taken.
        assert!(size_of::<B>() <= MAX_BODY_BYTES && align_of::<B>() <= BODY_ALIGN, "larger closures are boxed");
        let n = accesses.len();
        let (mut units, mut flags) = (units(n, size_of::<B>()), HAS_BODY);
        if core.observer.is_on() {
            (units, flags) = with_room(n, size_of::<B>());
        }
        let block = core.slab.alloc(units);
        let Header { name, site, priority, lane } = header;
        let node = Node {
            body: const { &B::TYPE },
            next: Cell::new(None),
            core: NonNull::from(core),
            name,
            site,
            ungranted: AtomicU32::new(0),
            priority,
            num_slots: u32::try_from(n).unwrap_or(u32::MAX),
            lane,
            units: u8::try_from(units).unwrap_or(0),
            flags: Cell::new(flags),
        };
        // SAFETY: the block has room for the header, `n` slots and the closure, at these aligned offsets.
        unsafe {
            block.cast::<Node>().write(node);
            let slots = block.add(size_of::<Node>()).cast::<Slot>();
            for (i, &(var, mode)) in accesses.iter().enumerate() {
                slots.add(i).write(Slot { var, next: Cell::new(None), index: i as u32, mode });
            }
            block.add(body_offset(n)).cast::<B>().write(body);
        }
        TaskRef(block.cast())
    }

    /// Whether the task was made while somebody observed, and so is to get a number.
    #[inline]
    pub(crate) fn has_room(self) -> bool {
        self.node().flags.get() & HAS_ROOM != 0
    }

    /// Numbers a task that nobody else has seen yet, if it has room.
    pub(crate) fn set_number(self, number: TaskNumber) {
        let flags = &self.node().flags;
        if self.has_room() {
            flags.set(flags.get() | IS_NUMBERED);
            // SAFETY: the block ends in room for a number, which nobody else uses.
            unsafe { self.number_place().write(number) };
        }
    }

    fn number_place(self) -> NonNull<TaskNumber> {
        // SAFETY: a block is larger than a number, and its end is aligned to `UNIT_BYTES`.
        unsafe { self.0.cast::<u8>().add(self.num_units() * UNIT_BYTES).cast::<TaskNumber>().sub(1) }
    }

    /// What identifies the task in traces; `None` if nobody observed when it was pushed.
    pub(crate) fn number(self) -> Option<TaskNumber> {
        if let Call::Recorded = self.call() {
            return recorded::number(self);
        }
        let is_numbered = self.node().flags.get() & IS_NUMBERED != 0;
        // SAFETY: the flag is set by `set_number` alone, which writes the number before anyone else knows the task.
        is_numbered.then(|| unsafe { self.number_place().read() })
    }

    /// The size of the block.
    fn num_units(self) -> usize {
        match self.node().units {
            0 => units(self.num_slots(), MAX_TAIL_BYTES),
            units => usize::from(units),
        }
    }

    #[inline]
    fn node(&self) -> &Node {
        // SAFETY: the task lives.
        unsafe { self.0.as_ref() }
    }

    #[inline]
    pub(crate) fn num_slots(self) -> usize {
        self.node().num_slots as usize
    }

    #[inline]
    pub(crate) fn slots(self) -> impl ExactSizeIterator<Item = SlotRef> {
        // SAFETY: the slots lie behind the header in the same block.
        let first = unsafe { self.0.add(1).cast::<Slot>() };
        // SAFETY: as above.
        (0..self.num_slots()).map(move |i| SlotRef(unsafe { first.add(i) }))
    }

    #[inline]
    pub(crate) fn call(self) -> Call {
        self.node().body.call
    }

    /// The closure's place; from now on it counts as taken. `None` if it was taken before.
    #[inline]
    pub(crate) fn take_body(self) -> Option<NonNull<u8>> {
        let flags = &self.node().flags;
        let has_body = flags.replace(flags.get() & !HAS_BODY) & HAS_BODY != 0;
        has_body.then(|| self.body())
    }

    /// The engine's core, which outlives the task.
    #[inline]
    pub(crate) fn core(self) -> NonNull<Core> {
        self.node().core
    }

    #[inline]
    pub(crate) fn ungranted(&self) -> &AtomicU32 {
        &self.node().ungranted
    }

    /// Counts one access as granted; whether it was the last.
    #[inline]
    pub(crate) fn grant_one(self) -> bool {
        // AcqRel: pairs with the other grants of this task, so that the last sees what all tasks before it wrote.
        self.ungranted().fetch_sub(1, Ordering::AcqRel) == 1
    }

    #[inline]
    pub(crate) fn priority(self) -> i32 {
        self.node().priority
    }

    #[inline]
    pub(crate) fn lane(self) -> u16 {
        self.node().lane
    }

    #[inline]
    pub(crate) fn next(&self) -> &Cell<Option<TaskRef>> {
        &self.node().next
    }

    pub(crate) fn name(&self) -> &Name {
        &self.node().name
    }

    pub(crate) fn id(self) -> TaskId {
        TaskId { name: self.node().name.clone(), site: self.node().site }
    }

    /// Ends the task's life.
    ///
    /// # Safety
    /// Nobody uses the task any more: it is in no list and all its accesses are finished.
    #[inline]
    pub(crate) unsafe fn free(self, freed: &mut Freed) {
        if let Some(body) = self.take_body() {
            let drop_body = self.node().body.drop;
            // SAFETY: the closure was never called.
            contained(|| unsafe { drop_body(body) });
        }
        // SAFETY: the core outlives the task.
        let slab = unsafe { &self.core().as_ref().slab };
        let units = self.num_units();
        // SAFETY: the header is initialised, and the block is from this slab.
        unsafe {
            ptr::drop_in_place(self.0.as_ptr());
            freed.free(slab, self.0.cast(), units);
        }
    }
}

impl SlotRef {
    fn slot(&self) -> &Slot {
        // SAFETY: the task lives.
        unsafe { self.0.as_ref() }
    }

    #[inline]
    pub(crate) fn mode(self) -> Mode {
        self.slot().mode
    }

    #[inline]
    pub(crate) fn var(&self) -> &VarState {
        // SAFETY: a var lives as long as any task names it: see `var.rs`.
        unsafe { self.slot().var.as_ref() }
    }

    #[inline]
    pub(crate) fn var_ptr(self) -> NonNull<VarState> {
        self.slot().var
    }

    #[inline]
    pub(crate) fn task(self) -> TaskRef {
        // SAFETY: slot `index` lies that many slots and one header behind the start of the block.
        TaskRef(unsafe { self.0.sub(self.slot().index as usize).cast::<Node>().sub(1) })
    }
}

impl SlotRef {
    /// Asks for the slot and the header, which will be needed when the var is released next.
    #[inline]
    fn prefetch(self) {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let at = self.0.as_ptr().cast::<i8>();
            // SAFETY: a prefetch of any address is harmless.
            unsafe {
                _mm_prefetch(at, _MM_HINT_T0);
                _mm_prefetch(at.wrapping_sub(64), _MM_HINT_T0);
            }
        }
    }
}

/// The accesses that wait for a var, linked through the tasks.
#[derive(Default)]
pub(crate) struct SlotList {
    ends: Option<(SlotRef, SlotRef)>,
}

impl WaitList for SlotList {
    type Item = SlotRef;

    fn push_back(&mut self, item: SlotRef, _exclusive: bool) {
        item.slot().next.set(None);
        self.ends = Some(match self.ends {
            None => (item, item),
            Some((first, last)) => {
                last.slot().next.set(Some(item));
                (first, item)
            }
        });
    }

    #[inline]
    fn front_is_exclusive(&self) -> Option<bool> {
        self.ends.map(|(first, _)| first.mode().is_exclusive())
    }

    fn pop_front(&mut self) -> Option<SlotRef> {
        let (first, last) = self.ends?;
        self.ends = first.slot().next.take().map(|second| (second, last));
        if let Some((second, _)) = self.ends {
            second.prefetch();
        }
        Some(first)
    }
}

impl SlotList {
    pub(crate) fn iter(&self) -> impl Iterator<Item = SlotRef> {
        std::iter::successors(self.ends.map(|(first, _)| first), |s| s.slot().next.get())
    }
}

/// A list to which any thread adds, and from which a thread takes all at once.
#[derive(Default)]
pub(crate) struct Inbox {
    last: AtomicPtr<Node>,
}

impl Inbox {
    /// Adds a task.
    #[inline]
    pub(crate) fn push(&self, task: TaskRef) {
        let mut last = self.last.load(Ordering::Relaxed);
        loop {
            task.next().set(NonNull::new(last).map(TaskRef));
            // Release: the task is seen by who takes it. SeqCst: see `Shared::submitted` in the pool.
            match self.last.compare_exchange_weak(last, task.0.as_ptr(), Ordering::SeqCst, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => last = now,
            }
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.last.load(Ordering::SeqCst).is_null()
    }

    /// Takes all tasks, oldest first.
    pub(crate) fn take(&self) -> impl Iterator<Item = TaskRef> {
        // Acquire: pairs with the push.
        let mut at = NonNull::new(self.last.swap(ptr::null_mut(), Ordering::Acquire)).map(TaskRef);
        let mut oldest = None;
        while let Some(task) = at {
            at = task.next().replace(oldest);
            oldest = Some(task);
        }
        std::iter::from_fn(move || {
            let task = oldest?;
            oldest = task.next().take();
            Some(task)
        })
    }
}

/// A first-in first-out list of tasks, linked through them.
#[derive(Default)]
pub(crate) struct TaskList {
    ends: Option<(TaskRef, TaskRef)>,
}

impl TaskList {
    #[inline]
    pub(crate) fn push(&mut self, task: TaskRef) {
        task.next().set(None);
        self.ends = Some(match self.ends {
            None => (task, task),
            Some((first, last)) => {
                last.next().set(Some(task));
                (first, task)
            }
        });
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<TaskRef> {
        let (first, last) = self.ends?;
        self.ends = first.next().take().map(|second| (second, last));
        Some(first)
    }
}

// SAFETY: tasks are Send.
unsafe impl Send for TaskList {}
