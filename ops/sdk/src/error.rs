//! What went wrong in a plug-in, as the host will hear it.

use std::fmt;
use varflow_abi::{Status, status};

/// What the functions of plug-ins return.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong: a message that names the thing, its value and what was wanted ("data has 3 axes, wanted 4").
///
/// The host puts the plug-in's name and the operator's and node's before it.
///
/// ```
/// use varflow_sdk::{Error, Result};
/// fn wanted_even(n: usize) -> Result<usize> {
///     if n % 2 == 0 { Ok(n / 2) } else { Err(Error::param(format!("n is {n}, wanted an even number"))) }
/// }
/// assert_eq!(wanted_even(3).unwrap_err().to_string(), "n is 3, wanted an even number");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    status: Status,
    message: String,
}

impl Error {
    /// Anything that the others do not say.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Error { status: status::ERROR, message: message.into() }
    }

    /// A shape that does not fit.
    #[must_use]
    pub fn shape(message: impl Into<String>) -> Self {
        Error { status: status::BAD_SHAPE, message: message.into() }
    }

    /// An element type that does not fit.
    #[must_use]
    pub fn dtype(message: impl Into<String>) -> Self {
        Error { status: status::BAD_DTYPE, message: message.into() }
    }

    /// A parameter that does not fit.
    #[must_use]
    pub fn param(message: impl Into<String>) -> Self {
        Error { status: status::BAD_PARAM, message: message.into() }
    }

    /// Values that cannot be: a label out of range, a broken record.
    #[must_use]
    pub fn data(message: impl Into<String>) -> Self {
        Error { status: status::BAD_DATA, message: message.into() }
    }

    /// Something that this plug-in does not do.
    #[must_use]
    pub fn unsupported(message: impl Into<String>) -> Self {
        Error { status: status::UNSUPPORTED, message: message.into() }
    }

    pub(crate) fn panicked(message: impl Into<String>) -> Self {
        Error { status: status::PANICKED, message: message.into() }
    }

    pub(crate) fn with_status(status: Status, message: impl Into<String>) -> Self {
        Error { status, message: message.into() }
    }

    pub(crate) fn status(&self) -> Status {
        self.status
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<String> for Error {
    fn from(message: String) -> Self {
        Error::new(message)
    }
}

impl From<&str> for Error {
    fn from(message: &str) -> Self {
        Error::new(message)
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Error::new(error.to_string())
    }
}
