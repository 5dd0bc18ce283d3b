//! Names of tasks, in twelve bytes.
#![expect(unsafe_code, reason = "packs a shared or static text into twelve bytes")]

use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;

/// A name that is either known at compile time or shared, and so is cheap to clone.
///
/// ```
/// use varflow_engine::Engine;
/// let engine = Engine::serial();
/// engine.raw("known").run(|ctx| assert_eq!(ctx.name().as_str(), "known"));
/// engine.raw(format!("layer {}", 3)).run(|ctx| assert_eq!(ctx.name().to_string(), "layer 3"));
/// engine.wait_all().unwrap();
/// ```
#[repr(C, packed(4))]
pub struct Name {
    start: NonNull<u8>,
    /// In bytes; with `SHARED` if the text is shared.
    len: u32,
}

const SHARED: u32 = 1 << 31;

// SAFETY: stands for a `&'static str` or an `Arc<str>`, which are Send and Sync.
unsafe impl Send for Name {}
// SAFETY: as above.
unsafe impl Sync for Name {}

impl Name {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // SAFETY: the text is static, or shared and kept alive by this name; both are valid UTF-8.
        unsafe { &*self.text() }
    }

    fn text(&self) -> *const str {
        let start = self.start;
        std::ptr::slice_from_raw_parts(start.as_ptr(), (self.len & !SHARED) as usize) as *const str
    }

    fn is_shared(&self) -> bool {
        self.len & SHARED != 0
    }
}

const TOO_LONG: &str = "(a name beyond 2 GiB)";

#[inline]
fn len_of(s: &str) -> Option<u32> {
    u32::try_from(s.len()).ok().filter(|len| len & SHARED == 0)
}

impl From<&'static str> for Name {
    #[inline]
    fn from(s: &'static str) -> Self {
        let Some(len) = len_of(s) else { return TOO_LONG.into() };
        Name { start: NonNull::from(s).cast(), len }
    }
}

impl From<Arc<str>> for Name {
    fn from(s: Arc<str>) -> Self {
        let Some(len) = len_of(&s) else { return TOO_LONG.into() };
        let start = Arc::into_raw(s).cast::<u8>().cast_mut();
        // SAFETY: the address of a text is not null.
        Name { start: unsafe { NonNull::new_unchecked(start) }, len: len | SHARED }
    }
}

impl From<String> for Name {
    fn from(s: String) -> Self {
        Arc::<str>::from(s).into()
    }
}

impl Clone for Name {
    fn clone(&self) -> Self {
        if self.is_shared() {
            // SAFETY: came from `Arc::into_raw` with this length, and is alive.
            unsafe { Arc::increment_strong_count(self.text()) };
        }
        Name { ..*self }
    }
}

impl Drop for Name {
    #[inline]
    fn drop(&mut self) {
        if self.is_shared() {
            // SAFETY: gives back the count that this name holds.
            unsafe { Arc::decrement_strong_count(self.text()) };
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
