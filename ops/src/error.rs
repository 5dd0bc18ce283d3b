//! What can go wrong with operators, tensors and the registry.

/// The result type of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error that names the thing, the value and what was wanted.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A shape does not fit. The text says which tensor, the shape it has, the shape wanted and why.
    #[error("{0}")]
    Shape(String),
    /// A dtype does not fit.
    #[error("{0}")]
    DType(String),
    /// An operator parameter is missing, unknown or out of range.
    #[error("{0}")]
    Param(String),
    /// A name that the registry does not hold, or holds already.
    #[error("{0}")]
    Registry(String),
    /// Data from outside that is not what it should be.
    #[error("{0}")]
    Data(String),
    /// A kernel or an operator was used against its contract.
    #[error("{0}")]
    Contract(String),
    /// A plug-in that cannot be loaded, breaks the contract of plug-ins, or says that something went wrong.
    #[error("{0}")]
    Plugin(String),
    /// A file or device operation failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done, with the file's name.
        what: String,
        /// The system's answer.
        source: std::sync::Arc<std::io::Error>,
    },
    /// A task failed, or a wait could not end.
    #[error(transparent)]
    Engine(#[from] varflow_engine::Error),
    /// An error inside a named place, such as an operator node.
    #[error("{place}: {source}")]
    At {
        /// The place, such as `Convolution "conv1"`.
        place: String,
        /// What went wrong there.
        source: Box<Error>,
    },
}

impl Error {
    /// The same error, said of a place.
    #[must_use]
    pub fn at(self, place: impl Into<String>) -> Error {
        Error::At { place: place.into(), source: Box::new(self) }
    }

    /// A failed file operation: `what` names the operation and the file.
    pub fn io(what: impl Into<String>, source: std::io::Error) -> Error {
        Error::Io { what: what.into(), source: std::sync::Arc::new(source) }
    }
}
