//! The built-in operators: one file each, one line each in [`provider`].

use crate::registry::Provider;

mod fully_connected;

/// All built-in operators, without kernels.
#[must_use]
pub fn provider() -> Provider {
    Provider::new("builtin").operator(fully_connected::FullyConnected).operator(fully_connected::Backward)
}
