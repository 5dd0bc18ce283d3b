//! The lanes that come with the engine.

mod parallel;
mod pool;
mod serial;

pub use pool::Pool;
pub(crate) use serial::Inline;
pub use serial::Serial;
