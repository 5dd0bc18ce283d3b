//! The lanes that come with the engine.

mod parallel;
mod pool;
mod ranked;
mod serial;
mod sleep;

pub use pool::Pool;
pub use serial::Serial;
