//! The error of a slice that does not fit.

use std::fmt;

/// An argument does not fit the shape it is used with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The function or geometry that refuses.
    pub function: &'static str,
    /// The argument.
    pub argument: &'static str,
    /// What it has (a length, or a size).
    pub got: usize,
    /// What is wanted.
    pub wanted: usize,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} is {}, wanted {}", self.function, self.argument, self.got, self.wanted)
    }
}

impl std::error::Error for Mismatch {}

impl Mismatch {
    /// Ok if `got == wanted`.
    pub(crate) fn check(
        function: &'static str,
        argument: &'static str,
        got: usize,
        wanted: usize,
    ) -> Result<(), Mismatch> {
        if got == wanted { Ok(()) } else { Err(Mismatch { function, argument, got, wanted }) }
    }

    /// Ok if `got >= wanted`.
    pub(crate) fn check_at_least(
        function: &'static str,
        argument: &'static str,
        got: usize,
        wanted: usize,
    ) -> Result<(), Mismatch> {
        if got >= wanted { Ok(()) } else { Err(Mismatch { function, argument, got, wanted }) }
    }
}
