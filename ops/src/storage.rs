//! Memory that tensors are views of.
#![expect(unsafe_code, reason = "allocates aligned memory and hands out its address")]

use crate::{Error, Result};
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

/// The alignment of every storage and of every planned tensor, in bytes: a cache line, and the widest SIMD register.
pub const ALIGN_BYTES: usize = 64;

/// A block of host memory, zeroed at first. Who may touch it when is decided by the vars of the tensors in it.
pub struct Storage {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: a storage is an address and a size; all access to the memory goes through kernels, which the engine orders.
unsafe impl Send for Storage {}
// SAFETY: as above.
unsafe impl Sync for Storage {}

impl Storage {
    /// Allocates `len_bytes` of zeroes.
    ///
    /// # Errors
    /// When the system has no such block.
    pub fn zeroed(len_bytes: usize) -> Result<Storage> {
        let refuse = || Error::Data(format!("cannot allocate {len_bytes} bytes of host memory"));
        let layout = Layout::from_size_align(len_bytes.max(1), ALIGN_BYTES).map_err(|_| refuse())?;
        // SAFETY: the size is not zero.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or_else(refuse)?;
        Ok(Storage { start, layout })
    }

    /// The size in bytes.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.layout.size()
    }

    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout in `zeroed`.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}
