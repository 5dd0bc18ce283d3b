//! The lanes that come with the engine.

mod parallel;
mod pool;
mod ranked;
mod serial;
mod shuffled;
#[cfg(not(any(loom, shuttle)))]
mod simulated;
mod sleep;
mod turns;

pub use pool::Pool;
pub use serial::Serial;
pub use shuffled::Shuffled;
#[cfg(not(any(loom, shuttle)))]
pub use simulated::{SimDevice, SimEvent, SimQueue};
