//! Memory whose neighbourhood tells on who strays out of it.
#![expect(unsafe_code, reason = "maps and protects pages")]

use std::io;
use std::ptr::{self, NonNull};

/// What tensors are aligned to, by the contract.
const ALIGN_BYTES: usize = 64;
/// What the bytes around a block hold.
const CANARY: u8 = 0xA5;

/// Where a block lies between its two inaccessible pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It ends where the page behind it begins, but for bytes that alignment leaves over.
    AtEnd,
    /// It begins where the page before it ends.
    AtStart,
    /// Pages that may be written lie on both sides: who strays is found afterwards and does not crash.
    Amidst,
}

/// A block of bytes between two inaccessible pages. Accessible bytes around it hold canaries.
pub(crate) struct Guarded {
    map: NonNull<u8>,
    map_bytes: usize,
    /// The offset of the block in the map.
    start: usize,
    len: usize,
    page: usize,
    read_only: bool,
}

// SAFETY: it owns its pages, as a box does.
unsafe impl Send for Guarded {}

impl Guarded {
    /// Maps a block of zeroes.
    ///
    /// # Errors
    /// When the system has no such block.
    pub(crate) fn new(len: usize, place: Place) -> io::Result<Guarded> {
        // SAFETY: asks for a number.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).map_err(io::Error::other)?;
        let room = |n: usize| n.max(1).checked_next_multiple_of(page).filter(|n| *n < 1 << 40);
        let margin = if place == Place::Amidst { room(len) } else { Some(0) };
        let (Some(inner), Some(margin)) = (room(len), margin) else {
            return Err(io::Error::new(io::ErrorKind::OutOfMemory, format!("{len} bytes are too many")));
        };
        let map_bytes = inner + 2 * margin + 2 * page;
        // SAFETY: a new private mapping where the system likes it.
        let map = unsafe {
            libc::mmap(ptr::null_mut(), map_bytes, libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
        };
        let map = NonNull::new(map.cast::<u8>()).filter(|_| map != libc::MAP_FAILED);
        let map = map.ok_or_else(io::Error::last_os_error)?;
        let start = match place {
            Place::AtEnd => page + inner - len.next_multiple_of(ALIGN_BYTES).min(inner),
            Place::AtStart => page,
            Place::Amidst => page + margin,
        };
        let mut block = Guarded { map, map_bytes, start, len, page, read_only: false };
        block.protect(libc::PROT_READ | libc::PROT_WRITE)?;
        block.whole_mut().fill(CANARY);
        block.bytes_mut().fill(0);
        Ok(block)
    }

    fn protect(&self, protection: i32) -> io::Result<()> {
        // SAFETY: the pages between the first and the last of our own map.
        let done = unsafe {
            libc::mprotect(self.map.as_ptr().add(self.page).cast(), self.map_bytes - 2 * self.page, protection)
        };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// From now on whoever writes into it, or around it, gets a fault; or no longer.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn set_read_only(&mut self, read_only: bool) -> io::Result<()> {
        self.protect(if read_only { libc::PROT_READ } else { libc::PROT_READ | libc::PROT_WRITE })?;
        self.read_only = read_only;
        Ok(())
    }

    /// The address of the block.
    pub(crate) fn start(&self) -> *mut u8 {
        // SAFETY: inside the map.
        unsafe { self.map.as_ptr().add(self.start) }
    }

    /// The bytes of the block.
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: readable since `new`, and initialised. Plug-ins are handed the address only while they run.
        unsafe { std::slice::from_raw_parts(self.start(), self.len) }
    }

    /// The bytes of the block, to be written.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        assert!(!self.read_only, "a read-only block is to be written");
        // SAFETY: as for `bytes`; writable, and borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.start(), self.len) }
    }

    fn whole_mut(&mut self) -> &mut [u8] {
        // SAFETY: all accessible pages, writable, and borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.map.as_ptr().add(self.page), self.map_bytes - 2 * self.page) }
    }

    fn whole(&self) -> &[u8] {
        // SAFETY: all accessible pages, readable and initialised.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr().add(self.page), self.map_bytes - 2 * self.page) }
    }

    /// How many bytes before the block, and how many behind it, were written up to: 0 when none.
    pub(crate) fn strayed(&self) -> (usize, usize) {
        let whole = self.whole();
        let start = self.start - self.page;
        let before = whole[..start].iter().position(|b| *b != CANARY).map_or(0, |i| start - i);
        let behind = whole[start + self.len..].iter().rposition(|b| *b != CANARY).map_or(0, |i| i + 1);
        (before, behind)
    }

    /// Makes the bytes around the block new.
    pub(crate) fn renew_canaries(&mut self) {
        let (start, len) = (self.start - self.page, self.len);
        let whole = self.whole_mut();
        whole[..start].fill(CANARY);
        whole[start + len..].fill(CANARY);
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: our own map, which nobody else knows any more.
        unsafe { libc::munmap(self.map.as_ptr().cast(), self.map_bytes) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_lies_where_it_is_wanted_and_tells_who_strays() {
        for place in [Place::AtEnd, Place::AtStart, Place::Amidst] {
            for len in [0, 1, 63, 64, 65, 4096, 5000] {
                let mut block = Guarded::new(len, place).expect("memory");
                assert!(block.start().addr().is_multiple_of(ALIGN_BYTES), "{place:?} {len}");
                assert_eq!(block.bytes(), vec![0; len]);
                block.bytes_mut().fill(7);
                assert_eq!(block.strayed(), (0, 0), "{place:?} {len}");
            }
        }
        let mut block = Guarded::new(100, Place::Amidst).expect("memory");
        let at = block.start - block.page;
        block.whole_mut()[at - 4] = 0;
        block.whole_mut()[at + 103] = 0;
        assert_eq!(block.strayed(), (4, 4));
        block.renew_canaries();
        assert_eq!(block.strayed(), (0, 0));
    }
}
