//! What a dying child says last: the address that it should not have touched.
#![expect(unsafe_code, reason = "handles a signal")]

use super::protocol::LAST_WORDS;
use std::ffi::{c_int, c_void};
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicI32, Ordering};
use std::{mem, ptr};

/// Where the handler writes.
static TO: AtomicI32 = AtomicI32::new(-1);

/// From now on a memory fault writes a line of [`LAST_WORDS`] to `to` before the process dies of it. No core files are written.
pub(crate) fn report_faults(to: RawFd) {
    TO.store(to, Ordering::Relaxed);
    // SAFETY: plain system calls with structures of their own kinds, whose zero is valid; the handler keeps to functions that may
    // be called in one, and runs on the stack that Rust gives each of its threads for this.
    unsafe {
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::setrlimit(libc::RLIMIT_CORE, &raw const none);
        let mut action: libc::sigaction = mem::zeroed();
        action.sa_sigaction = handler as extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESETHAND;
        libc::sigaction(libc::SIGSEGV, &raw const action, ptr::null_mut());
        libc::sigaction(libc::SIGBUS, &raw const action, ptr::null_mut());
    }
}

/// Writes the address and returns: the handler is gone by then, so that the same fault ends the process.
extern "C" fn handler(_signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let mut line = [0_u8; 64];
    let mut len = 0;
    let mut put = |bytes: &[u8]| {
        for byte in bytes {
            if let Some(place) = line.get_mut(len) {
                *place = *byte;
                len += 1;
            }
        }
    };
    put(b"\n");
    put(LAST_WORDS.as_bytes());
    put(match is_write(context) {
        Some(true) => b" write ",
        Some(false) => b" read ",
        None => b" touch ",
    });
    // SAFETY: the system hands a valid structure to handlers set with SA_SIGINFO.
    let address = unsafe { (*info).si_addr() }.addr();
    for digit in (0..16).rev() {
        put(&[b"0123456789abcdef"[(address >> (4 * digit)) & 15]]);
    }
    put(b"\n");
    // SAFETY: `write` may be called in a handler; the buffer is our own.
    unsafe { libc::write(TO.load(Ordering::Relaxed), line.as_ptr().cast(), len) };
}

/// Whether the fault was a write, where the processor says so.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn is_write(context: *mut c_void) -> Option<bool> {
    let context: *const libc::ucontext_t = context.cast();
    // SAFETY: the third argument of a handler set with SA_SIGINFO.
    let registers = unsafe { (*context).uc_mcontext.gregs };
    // Bit 1 of a page fault's error code.
    registers.get(usize::try_from(libc::REG_ERR).ok()?).map(|error| error & 2 != 0)
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn is_write(_context: *mut c_void) -> Option<bool> {
    None
}
