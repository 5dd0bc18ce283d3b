//! How a task lies in memory: one block with a header, its accesses, and its closure.
//!
//! Who may touch what, when: `DESIGN.md` beside this crate has the table.
#![expect(unsafe_code, reason = "lays out tasks by hand: one allocation each, lists through the tasks themselves")]

mod lists;

pub(crate) use lists::{Inbox, SlotList, TaskList};

use crate::access::Mode;
use crate::engine::{Core, MAX_LANES};
use crate::error::{BoxError, Cause, Failure, TaskId};
use crate::foreign::contained;
use crate::name::Name;
use crate::observe::TaskNumber;
use crate::recorded;
use crate::slab::{Freed, UNIT_BYTES, prefetch};
use crate::sync::{AtomicU32, Ordering};
use crate::task::{Completion, Outcome, Scratch, TaskCtx};
use crate::var::VarState;
use std::cell::Cell;
use std::num::NonZero;
use std::panic::Location;
use std::ptr::{self, NonNull};

/// Closures up to this size and alignment lie in the task's block; others are boxed.
const MAX_BODY_BYTES: usize = 256;
const BODY_ALIGN: usize = 16;

/// The parts of [`Node::shape`]: how many accesses the task has, its lane, and flags: its closure is still there; its block ends in
/// room for a number.
const NUM_SLOTS: u32 = (1 << 24) - 1;
const LANE_SHIFT: u32 = 24;
const LANE: u32 = 63 << LANE_SHIFT;
const HAS_BODY: u32 = 1 << 30;
const HAS_ROOM: u32 = 1 << 31;

/// The most accesses of a task.
pub(crate) const MAX_ACCESSES: usize = NUM_SLOTS as usize;
const _: () = assert!(MAX_LANES <= 1 << (HAS_BODY.trailing_zeros() - LANE_SHIFT));

/// A task's header. Behind it lie its slots, at least one.
#[repr(C)]
pub(crate) struct Node {
    body: &'static BodyType,
    core: NonNull<Core>,
    site: &'static Location<'static>,
    name: Name,
    ungranted: AtomicU32,
    priority: i32,
    /// Changed by the thread that has the task; the other parts are read by any.
    shape: AtomicU32,
}

// With one slot and no captured values a task is one cache line. (Loom's atomics are larger.)
#[cfg(not(any(loom, shuttle)))]
const _: () = assert!(body_offset(0) == UNIT_BYTES && body_offset(1) == UNIT_BYTES);

/// One access of a task.
///
/// The first one's link also serves the task as a whole, in whatever list of ready tasks it is: it waits for no var then.
#[repr(C)]
pub(crate) struct Slot {
    /// The next one waiting for the var; changed under the var's lock.
    next: Cell<Option<SlotRef>>,
    /// The var's address, which has its low bits to spare: the mode, and the place among the task's slots up to `FAR`.
    var_and_place: NonNull<VarState>,
}

const MODE_BITS: u32 = 2;
const MODE: usize = (1 << MODE_BITS) - 1;
/// Slots at this place or a later one carry it: their task is found by going back as far, as often as needed.
const FAR: usize = 15;
const _: () = assert!(align_of::<VarState>() > (FAR << MODE_BITS | MODE));

impl Slot {
    #[inline]
    fn new(var: NonNull<VarState>, mode: Mode, place: usize) -> Slot {
        let bits = place.min(FAR) << MODE_BITS | mode as usize;
        Slot { next: Cell::new(None), var_and_place: var.map_addr(|address| address | bits) }
    }

    #[inline]
    fn var(&self) -> NonNull<VarState> {
        // SAFETY: without the low bits it is the address of a var, which is not null.
        self.var_and_place.map_addr(|a| unsafe { NonZero::new_unchecked(a.get() & !(FAR << MODE_BITS | MODE)) })
    }

    #[inline]
    fn mode(&self) -> Mode {
        match self.var_and_place.addr().get() & MODE {
            0 => Mode::Read,
            1 => Mode::Write,
            _ => Mode::Overwrite,
        }
    }

    #[inline]
    fn place(&self) -> usize {
        self.var_and_place.addr().get() >> MODE_BITS & FAR
    }
}

/// What a kind of closure is called and dropped by.
pub(crate) struct BodyType {
    pub(crate) call: Call,
    drop: unsafe fn(NonNull<u8>),
    size: usize,
}

impl BodyType {
    const fn of<B>(call: Call) -> BodyType {
        BodyType { call, drop: drop_body::<B>, size: size_of::<B>() }
    }
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
    const TYPE: BodyType =
        // SAFETY: the caller hands over a `Self`.
        BodyType::of::<Self>(Call::Refused(|body| unsafe { body.cast::<Self>().read() }));
}

// SAFETY: the functions are made for this type.
unsafe impl<R: Outcome, F: FnOnce(&TaskCtx<'_>) -> R + Send + 'static> Body for SyncBody<F> {
    const TYPE: BodyType =
        // SAFETY: the caller hands over a `Self`.
        BodyType::of::<Self>(Call::Sync(|body, ctx| (unsafe { body.cast::<Self>().read() }.0)(ctx).into_result()));
}

// SAFETY: as above.
unsafe impl<F: FnOnce(&TaskCtx<'_>, Completion) + Send + 'static> Body for AsyncBody<F> {
    const TYPE: BodyType =
        // SAFETY: as above.
        BodyType::of::<Self>(Call::Async(|body, ctx, token| (unsafe { body.cast::<Self>().read() }.0)(ctx, token)));
}

// SAFETY: as above.
unsafe impl<F: FnOnce(Option<Failure>) + Send + 'static> Body for ProbeBody<F> {
    const TYPE: BodyType =
        // SAFETY: as above.
        BodyType::of::<Self>(Call::Probe(|body, poison| (unsafe { body.cast::<Self>().read() }.0)(poison)));
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
    const TYPE: BodyType = BodyType::of::<P>(Call::Port(P::granted));
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
    let at_least_one = if num_slots == 0 { 1 } else { num_slots };
    size_of::<Node>() + at_least_one * size_of::<Slot>()
}

const fn body_offset(num_slots: usize) -> usize {
    slots_end(num_slots).next_multiple_of(BODY_ALIGN)
}

#[inline]
const fn units(num_slots: usize, body_bytes: usize, has_room: bool) -> usize {
    let room = if has_room { size_of::<Option<TaskNumber>>() } else { 0 };
    (body_offset(num_slots) + body_bytes + room).div_ceil(UNIT_BYTES)
}

/// The units of a task that is to get a number.
#[cold]
fn units_with_room(num_slots: usize, body_bytes: usize) -> usize {
    units(num_slots, body_bytes, true)
}

#[inline]
fn shape(num_slots: usize, lane: u16, flags: u32) -> u32 {
    debug_assert!(num_slots <= MAX_ACCESSES);
    num_slots as u32 | u32::from(lane) << LANE_SHIFT | flags
}

/// A task of a recorded schedule: it lies in no block, has no slots, and no closure behind it.
#[repr(C)]
pub(crate) struct LooseNode {
    node: Node,
    /// In the place of the first slot's link.
    next: Cell<Option<TaskRef>>,
}

impl LooseNode {
    pub(crate) fn new(core: &Core, header: Header) -> LooseNode {
        let Header { name, site, priority, lane } = header;
        let node = Node {
            body: const { &BodyType::of::<()>(Call::Recorded) },
            core: NonNull::from(core),
            site,
            name,
            ungranted: AtomicU32::new(0),
            priority,
            shape: AtomicU32::new(shape(0, lane, 0)),
        };
        LooseNode { node, next: Cell::new(None) }
    }
}

impl TaskRef {
    /// The task whose header is there.
    pub(crate) fn of_loose(node: NonNull<LooseNode>) -> TaskRef {
        TaskRef(node.cast())
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
        let (mut units, mut flags) = (units(n, size_of::<B>(), false), HAS_BODY);
        if core.observer.is_on() {
            (units, flags) = (units_with_room(n, size_of::<B>()), HAS_BODY | HAS_ROOM);
        }
        let block = core.slab.alloc(units);
        let Header { name, site, priority, lane } = header;
        let node = Node {
            body: const { &B::TYPE },
            core: NonNull::from(core),
            site,
            name,
            ungranted: AtomicU32::new(0),
            priority,
            shape: AtomicU32::new(shape(n, lane, flags)),
        };
        let task = TaskRef(block.cast());
        // SAFETY: the block has room for the header, `n` slots but one at least, the closure, and a number if asked for, at
        // these aligned offsets.
        unsafe {
            block.cast::<Node>().write(node);
            let slots = block.add(size_of::<Node>()).cast::<Slot>();
            if n == 0 {
                slots.cast::<Cell<Option<TaskRef>>>().write(Cell::new(None));
            }
            for (i, &(var, mode)) in accesses.iter().enumerate() {
                slots.add(i).write(Slot::new(var, mode, i));
            }
            block.add(body_offset(n)).cast::<B>().write(body);
            if flags & HAS_ROOM != 0 {
                task.number_place().write(None);
            }
        }
        task
    }

    /// Whether the task was made while somebody observed, and so is to get a number.
    #[inline]
    pub(crate) fn has_room(self) -> bool {
        self.shape() & HAS_ROOM != 0
    }

    /// Relaxed: published with the task; only `take_body` changes it, and only that looks at what it changes.
    #[inline]
    fn shape(self) -> u32 {
        self.node().shape.load(Ordering::Relaxed)
    }

    /// Numbers a task that nobody else has seen yet, if it has room.
    pub(crate) fn set_number(self, number: TaskNumber) {
        if self.has_room() {
            // SAFETY: the block ends in room for a number, which nobody else uses.
            unsafe { self.number_place().write(Some(number)) };
        }
    }

    fn number_place(self) -> NonNull<Option<TaskNumber>> {
        // SAFETY: a block is larger than a number, and its end is aligned to `UNIT_BYTES`.
        unsafe { self.0.cast::<u8>().add(self.num_units() * UNIT_BYTES).cast::<Option<TaskNumber>>().sub(1) }
    }

    /// What identifies the task in traces; `None` if nobody observed when it was pushed.
    pub(crate) fn number(self) -> Option<TaskNumber> {
        if let Call::Recorded = self.call() {
            return recorded::number(self);
        }
        // SAFETY: a block with room was made with something in it, changed before anyone else knew the task.
        self.has_room().then(|| unsafe { self.number_place().read() }).flatten()
    }

    /// The size of the block.
    #[inline]
    fn num_units(self) -> usize {
        units(self.num_slots(), self.node().body.size, self.has_room())
    }

    #[inline]
    fn node(&self) -> &Node {
        // SAFETY: the task lives.
        unsafe { self.0.as_ref() }
    }

    #[inline]
    pub(crate) fn num_slots(self) -> usize {
        (self.shape() & NUM_SLOTS) as usize
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
        let shape = self.shape();
        // Not one atomic step: one thread at a time has the task.
        self.node().shape.store(shape & !HAS_BODY, Ordering::Relaxed);
        (shape & HAS_BODY != 0).then(|| self.body())
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
        ((self.shape() & LANE) >> LANE_SHIFT) as u16
    }

    #[inline]
    pub(crate) fn next(&self) -> &Cell<Option<TaskRef>> {
        // SAFETY: behind the header is the first slot, which begins with its link, or the link of a loose task. Both kinds of
        // link are an address or null.
        unsafe { self.0.add(1).cast::<Cell<Option<TaskRef>>>().as_ref() }
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
        self.slot().mode()
    }

    #[inline]
    pub(crate) fn var(&self) -> &VarState {
        // SAFETY: a var lives as long as any task names it: see `var.rs`.
        unsafe { self.slot().var().as_ref() }
    }

    #[inline]
    pub(crate) fn var_ptr(self) -> NonNull<VarState> {
        self.slot().var()
    }

    #[inline]
    pub(crate) fn task(self) -> TaskRef {
        let mut at = self;
        loop {
            let place = at.slot().place();
            // SAFETY: a slot with this place has at least as many before it.
            at = SlotRef(unsafe { at.0.sub(place) });
            if place < FAR {
                // SAFETY: this is the first slot, which lies behind the header.
                return TaskRef(unsafe { at.0.cast::<Node>().sub(1) });
            }
        }
    }
}

impl SlotRef {
    /// Asks for the slot and the header, which will be needed when the var is released next.
    #[inline]
    fn prefetch(self) {
        prefetch(self.0.as_ptr());
        prefetch(self.0.as_ptr().cast::<u8>().wrapping_sub(UNIT_BYTES));
    }
}
