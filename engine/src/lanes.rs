//! The lanes that come with the engine.

mod parallel;
mod pool;
mod ranked;
mod serial;
mod shuffled;
#[cfg(not(loom))]
mod simulated;
mod turns;

pub use pool::Pool;
pub use serial::Serial;
pub use shuffled::Shuffled;
#[cfg(not(loom))]
pub use simulated::{SimDevice, SimEvent, SimQueue};
