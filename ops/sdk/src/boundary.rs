//! What every function that the host calls goes through: panics become errors, errors become a status and a message.
#![expect(unsafe_code, reason = "writes the host's message buffer")]

use crate::{Error, Result, place};
use std::any::Any;
use std::ffi::{CStr, CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use varflow_abi::{Message, Status, Text, Texts, status};

/// Runs what the host asked for.
///
/// # Safety
/// `message` is null or a message as the header describes it.
pub(crate) unsafe fn guard(message: *mut Message, body: impl FnOnce() -> Result<Status>) -> Status {
    match catch(body) {
        Ok(status) => status,
        // SAFETY: by the contract.
        Err(error) => unsafe { tell(message, &error) },
    }
}

/// Runs something; a panic becomes an error with its message.
///
/// What the body leaves half done is an instance's own state; the host is told, and authors who lock notice by the poison.
pub(crate) fn catch<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| Err(Error::panicked(panic_text(panic))))
}

/// The message of a panic that this thread has just caught, with its place in the source where that is known.
pub(crate) fn panic_text(panic: Box<dyn Any + Send>) -> String {
    let text = payload_text(panic);
    match place::take() {
        Some(place) => format!("{text} (at {place})"),
        None => text,
    }
}

fn payload_text(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<&'static str>() {
        Ok(text) => (*text).to_string(),
        Err(panic) => match panic.downcast::<String>() {
            Ok(text) => *text,
            Err(other) => {
                // Dropping a value that somebody panicked with may panic again.
                std::mem::forget(other);
                "a panic without a message".to_string()
            }
        },
    }
}

/// # Safety
/// As [`guard`].
unsafe fn tell(message: *mut Message, error: &Error) -> Status {
    let text = error.to_string();
    // SAFETY: by the contract it is null or readable.
    if let Some(message) = unsafe { message.as_ref() }
        && !message.text.is_null()
        && message.capacity > 0
    {
        let most = text.len().min(message.capacity - 1);
        let n = (0..=most).rev().find(|n| text.is_char_boundary(*n)).unwrap_or(0);
        // SAFETY: the buffer has `capacity` bytes, more than `n`.
        unsafe {
            std::ptr::copy_nonoverlapping(text.as_ptr(), message.text.cast::<u8>(), n);
            *message.text.add(n) = 0;
        }
    }
    error.status()
}

/// What the host wrote into a message buffer.
pub(crate) fn heard(status: Status, buffer: &[u8]) -> Error {
    let text = CStr::from_bytes_until_nul(buffer).map(CStr::to_string_lossy).unwrap_or_default();
    Error::with_status(if status == status::OK { status::ERROR } else { status }, text)
}

/// A text of the host, until the call returns.
///
/// # Safety
/// `text` is null or ends in a zero byte, and stays for `'a`.
pub(crate) unsafe fn text<'a>(text: Text) -> std::borrow::Cow<'a, str> {
    if text.is_null() {
        return "".into();
    }
    // SAFETY: by the contract.
    unsafe { CStr::from_ptr(text) }.to_string_lossy()
}

/// A text for the host. A zero byte would end it: it becomes a space.
pub(crate) fn c_text(text: &str) -> CString {
    CString::new(text.replace('\0', " ")).unwrap_or_default()
}

/// A text that stays for the rest of the process.
pub(crate) fn leak_text(text: &str) -> Text {
    c_text(text).into_raw().cast_const().cast::<c_char>()
}

/// A list of texts that stays for the rest of the process.
pub(crate) fn leak_texts<S: AsRef<str>>(texts: &[S]) -> Texts {
    let list: Vec<Text> = texts.iter().map(|t| leak_text(t.as_ref())).chain([std::ptr::null()]).collect();
    leak_list(list).as_ptr()
}

/// A list that stays for the rest of the process.
pub(crate) fn leak_list<T>(list: Vec<T>) -> &'static [T] {
    Box::leak(list.into_boxed_slice())
}

/// Locks; what a panicked holder left is whole in all uses of this crate.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
