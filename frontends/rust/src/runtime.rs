//! The runtime of a training program: an engine on the host's processors, with all built-in operators and their kernels, and
//! what plug-ins bring.

use crate::plugins::load_plugins;
use std::path::PathBuf;
use varflow_engine::Engine;
use varflow_ops::{Registry, Result, Runtime, defs};

/// A runtime with `cpus` worker threads; 0 stands for one for each core.
///
/// # Errors
/// When threads cannot be started.
pub fn runtime(cpus: usize) -> Result<Runtime> {
    runtime_with(cpus, &[])
}

/// As [`runtime`], with these plug-ins.
///
/// ```no_run
/// // Those that the user's environment names, and one more.
/// let mut plugins = varflow::plugin_path()?;
/// plugins.push("libswish.so".into());
/// let rt = varflow::runtime_with(2, &plugins)?;
/// # Ok::<(), varflow::Error>(())
/// ```
///
/// # Errors
/// When threads cannot be started; as [`registry_with`].
pub fn runtime_with(cpus: usize, plugins: &[PathBuf]) -> Result<Runtime> {
    let registry = registry_with(plugins)?;
    let builder = Engine::builder();
    let engine = if cpus == 0 { builder.build()? } else { builder.cpu_workers(cpus).build()? };
    Ok(Runtime::new(engine, registry))
}

/// The built-in operators and their kernels, iterators, reductions and update rules.
///
/// # Errors
/// When two providers clash, which the built-in ones do not.
pub fn registry() -> Result<Registry> {
    let mut registry = Registry::new();
    registry.install(defs::provider())?;
    registry.install(varflow_cpu::provider())?;
    registry.install(varflow_io::provider())?;
    Ok(registry)
}

/// As [`registry`], with these plug-ins.
///
/// # Errors
/// As [`load_plugins`].
pub fn registry_with(plugins: &[PathBuf]) -> Result<Registry> {
    let mut registry = registry()?;
    load_plugins(&mut registry, plugins)?;
    Ok(registry)
}
