//! How much of the heap is in use.
#![expect(unsafe_code, reason = "asks the allocator")]

/// Bytes that the process has allocated and not freed; `None` where the allocator does not tell.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn in_use() -> Option<usize> {
    // SAFETY: fills in and returns a structure of numbers.
    let info = unsafe { libc::mallinfo2() };
    Some(info.uordblks + info.hblkhd)
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn in_use() -> Option<usize> {
    None
}
