//! The runtime of a training program: an engine on the host's processors, with all built-in operators and their kernels.

use varflow_engine::Engine;
use varflow_ops::{Registry, Result, Runtime, defs};

/// A runtime with `cpus` worker threads; 0 stands for one for each core.
///
/// # Errors
/// When threads cannot be started.
pub fn runtime(cpus: usize) -> Result<Runtime> {
    let builder = Engine::builder();
    let engine = if cpus == 0 { builder.build()? } else { builder.cpu_workers(cpus).build()? };
    Ok(Runtime::new(engine, registry()?))
}

/// The built-in operators and their kernels.
///
/// # Errors
/// When two providers clash, which the built-in ones do not.
pub fn registry() -> Result<Registry> {
    let mut registry = Registry::new();
    registry.install(defs::provider())?;
    registry.install(varflow_cpu::provider())?;
    Ok(registry)
}
