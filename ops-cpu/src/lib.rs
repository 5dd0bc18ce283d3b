//! CPU kernels of varflow.
//!
//! [`compute`] holds pure functions on slices: they know neither tensors nor operators, take their helpers through
//! [`compute::Par`] and give the same bits whatever the number of threads.

mod arch;
pub mod compute;
