//! CPU kernels of varflow: [`provider`] brings them to a registry.
//!
//! [`compute`] holds pure functions on slices: they know neither tensors nor operators, take their helpers through
//! [`compute::Par`] and give the same bits whatever the number of threads. `kernels` wraps them for the operators.

mod arch;
pub mod compute;
mod kernels;

pub use kernels::provider;
