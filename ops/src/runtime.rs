//! What everything above the operators is handed: an engine and a registry.

use crate::Registry;
use std::sync::Arc;
use varflow_engine::Engine;

/// An engine and a registry. Cheap to clone.
#[derive(Clone)]
pub struct Runtime {
    /// Where tasks are pushed.
    pub engine: Engine,
    /// What operators and kernels there are.
    pub registry: Arc<Registry>,
}

impl Runtime {
    /// From its parts.
    #[must_use]
    pub fn new(engine: Engine, registry: Registry) -> Self {
        Runtime { engine, registry: Arc::new(registry) }
    }
}
