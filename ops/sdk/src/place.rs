//! Where a panic happened: known to panic hooks only, and wanted in the message that the host gets.

use std::cell::Cell;
use std::panic;
use std::sync::Once;

thread_local! {
    /// Where this thread panicked last, until somebody asks.
    static PLACE: Cell<Option<String>> = const { Cell::new(None) };
}

/// From now on panics of this plug-in are located. A dylib has its own panic hook, so that this touches no one else's.
pub(crate) fn locate_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            // The hook runs inside a panic, perhaps while the thread ends: then there is nowhere to put it.
            let place = info.location().map(ToString::to_string);
            let _ = PLACE.try_with(|p| p.set(place));
            before(info);
        }));
    });
}

/// Where this thread panicked, if that is known and nobody has asked since.
pub(crate) fn take() -> Option<String> {
    PLACE.take()
}

/// Says where a panic happened that goes on in this thread.
pub(crate) fn set(place: Option<String>) {
    PLACE.set(place);
}
