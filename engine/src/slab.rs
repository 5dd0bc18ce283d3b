//! Where tasks live: blocks of a few sizes, made in large chunks and used again.
//!
//! Pushers take blocks under a lock of their size; workers give them back in chains, through one atomic for each size, so
//! that neither touches the other's cache lines for each task. Memory goes back to the system with the engine.
#![expect(unsafe_code, reason = "an allocator")]

use crate::sync::{AtomicPtr, Ordering, Padded, SpinLock};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::{self, NonNull};

/// Blocks are multiples of this size, and so aligned.
pub(crate) const UNIT_BYTES: usize = 64;
/// Blocks of up to this many units are kept; larger ones come from the system each time.
const KEPT_UNITS: usize = 8;
const CHUNK_BYTES: usize = 1 << 16;
/// A chain of freed blocks is handed back when it is this long.
const CHAIN_LEN: usize = 64;

/// What a free block holds.
struct Free {
    next: *mut Free,
    /// In the first block of a chain, the next chain.
    next_chain: *mut Free,
}

/// All blocks of one engine.
#[derive(Default)]
pub(crate) struct Slab {
    sizes: [Padded<Size>; KEPT_UNITS],
}

struct Size {
    free: SpinLock<FreeBlocks>,
    /// Chains given back, by whoever ran the tasks.
    returned: Padded<AtomicPtr<Free>>,
}

struct FreeBlocks {
    /// The chain in use.
    first: *mut Free,
    /// Chains that wait, the one given back last first: its blocks are still in a cache.
    chains: *mut Free,
    chunks: Vec<NonNull<u8>>,
}

// SAFETY: the pointers are to memory that the slab owns, reached only by who holds the lock.
unsafe impl Send for FreeBlocks {}

impl Default for Size {
    fn default() -> Self {
        let free = FreeBlocks { first: ptr::null_mut(), chains: ptr::null_mut(), chunks: Vec::new() };
        let free = SpinLock::new(free);
        Size { free, returned: Padded(AtomicPtr::new(ptr::null_mut())) }
    }
}

fn layout(units: usize) -> Layout {
    // The size is a small multiple of the alignment, so this cannot fail; if it did, allocating nothing is refused.
    Layout::from_size_align(units * UNIT_BYTES, UNIT_BYTES).unwrap_or(Layout::new::<[u64; 8]>())
}

const CHUNK: Layout = match Layout::from_size_align(CHUNK_BYTES, UNIT_BYTES) {
    Ok(layout) => layout,
    Err(_) => panic!("a chunk has a valid layout"),
};

impl Slab {
    /// A block of `units` × [`UNIT_BYTES`], uninitialised.
    #[inline]
    pub(crate) fn alloc(&self, units: usize) -> NonNull<u8> {
        match self.sizes.get(units - 1) {
            Some(size) => size.alloc(units),
            None => system_alloc(layout(units)),
        }
    }

    /// Takes a chain back, at once.
    fn give_back(&self, units: usize, chain: &mut Chain) {
        let returned = &self.sizes[units - 1].returned;
        let mut head = returned.load(Ordering::Relaxed);
        loop {
            // SAFETY: the chain's blocks are free and the caller's.
            unsafe { (*chain.first).next_chain = head };
            // Release: pairs with the Acquire in `refill`: the links are seen by who takes the chain.
            match returned.compare_exchange_weak(head, chain.first, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => break,
                Err(now) => head = now,
            }
        }
        *chain = Chain::default();
    }
}

fn system_alloc(layout: Layout) -> NonNull<u8> {
    // SAFETY: the layout's size is not zero.
    NonNull::new(unsafe { alloc(layout) }).unwrap_or_else(|| handle_alloc_error(layout))
}

impl Size {
    #[inline]
    fn alloc(&self, units: usize) -> NonNull<u8> {
        let mut free = self.free.lock();
        if free.first.is_null() {
            self.refill(units, &mut free);
        }
        let block = free.first;
        // SAFETY: `refill` leaves at least one block; blocks in the list are free and hold a link.
        unsafe {
            free.first = (*block).next;
            prefetch(free.first);
            NonNull::new_unchecked(block.cast())
        }
    }

    /// Takes the chain that was given back last, or makes new blocks.
    #[cold]
    fn refill(&self, units: usize, free: &mut FreeBlocks) {
        if !self.returned.load(Ordering::Relaxed).is_null() {
            // Acquire: pairs with the Release in `give_back`.
            let returned = self.returned.swap(ptr::null_mut(), Ordering::Acquire);
            // SAFETY: the lock is held, and chains that were given back are the slab's.
            unsafe {
                let mut last = returned;
                while !(*last).next_chain.is_null() {
                    last = (*last).next_chain;
                }
                (*last).next_chain = free.chains;
            }
            free.chains = returned;
        }
        if free.chains.is_null() {
            free.add_chunk(units);
        }
        free.first = free.chains;
        // SAFETY: there is a chain.
        free.chains = unsafe { (*free.first).next_chain };
    }
}

/// Asks for a line that will be needed soon.
#[inline]
pub(crate) fn prefetch<T>(at: *const T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch of any address is harmless.
        unsafe { _mm_prefetch(at.cast(), _MM_HINT_T0) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = at;
}

impl FreeBlocks {
    /// One more chunk, as chains.
    fn add_chunk(&mut self, units: usize) {
        let chunk = system_alloc(CHUNK);
        self.chunks.push(chunk);
        let bytes = units * UNIT_BYTES;
        let (mut next, mut len) = (ptr::null_mut(), 0);
        for i in (0..CHUNK_BYTES / bytes).rev() {
            // SAFETY: the block lies inside the chunk and is aligned.
            let block = unsafe { chunk.add(i * bytes).cast::<Free>() };
            len += 1;
            let ends = len == CHAIN_LEN || i == 0;
            // SAFETY: as above, and nobody else knows the block.
            unsafe { block.write(Free { next, next_chain: self.chains }) };
            next = block.as_ptr();
            if ends {
                self.chains = next;
                (next, len) = (ptr::null_mut(), 0);
            }
        }
    }
}

impl Drop for Slab {
    fn drop(&mut self) {
        for size in &self.sizes {
            for chunk in size.free.lock().chunks.drain(..) {
                // SAFETY: allocated in `add_chunk` with this layout; no task lives longer than the engine.
                unsafe { dealloc(chunk.as_ptr(), CHUNK) };
            }
        }
    }
}

struct Chain {
    first: *mut Free,
    len: usize,
}

impl Default for Chain {
    fn default() -> Self {
        Chain { first: ptr::null_mut(), len: 0 }
    }
}

/// The blocks that one thread has freed and not yet given back.
#[derive(Default)]
pub(crate) struct Freed {
    chains: [Chain; KEPT_UNITS],
}

impl Freed {
    /// Frees a block.
    ///
    /// # Safety
    /// It was allocated by `slab` with as many units and nobody uses it any more.
    #[inline]
    pub(crate) unsafe fn free(&mut self, slab: &Slab, block: NonNull<u8>, units: usize) {
        let Some(chain) = self.chains.get_mut(units - 1) else {
            // SAFETY: large blocks come from the system with this layout.
            return unsafe { dealloc(block.as_ptr(), layout(units)) };
        };
        let block = block.cast::<Free>();
        // SAFETY: the block is large enough and the caller's.
        unsafe { block.write(Free { next: chain.first, next_chain: ptr::null_mut() }) };
        chain.first = block.as_ptr();
        chain.len += 1;
        if chain.len >= CHAIN_LEN {
            slab.give_back(units, chain);
        }
    }

    /// Gives everything back.
    pub(crate) fn flush(&mut self, slab: &Slab) {
        for (i, chain) in self.chains.iter_mut().enumerate() {
            if chain.len > 0 {
                slab.give_back(i + 1, chain);
            }
        }
    }
}
