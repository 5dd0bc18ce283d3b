//! The lanes that come with the engine.

mod parallel;
mod pool;
mod ranked;
mod serial;
#[cfg(not(loom))]
mod simulated;

pub use pool::Pool;
pub use serial::Serial;
#[cfg(not(loom))]
pub use simulated::{SimDevice, SimEvent, SimQueue};
