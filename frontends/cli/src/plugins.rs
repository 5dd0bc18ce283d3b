//! The plug-ins of a run: those of `--plugin`, then those that the environment names.

use std::path::PathBuf;
use varflow::ops::Registry;
use varflow::ops::plugin::Library;
use varflow::{Result, Runtime, load_plugins, plugin_path, registry, runtime_with};

/// Plug-ins, not yet loaded.
pub(crate) struct Plugins(pub(crate) Vec<PathBuf>);

impl Plugins {
    /// Their files.
    pub(crate) fn files(&self) -> Result<Vec<PathBuf>> {
        Ok([self.0.clone(), plugin_path()?].concat())
    }

    /// What is built in, and what the plug-ins bring; and these.
    pub(crate) fn registry(&self) -> Result<(Registry, Vec<Library>)> {
        let mut registry = registry()?;
        let libraries = load_plugins(&mut registry, &self.files()?)?;
        Ok((registry, libraries))
    }

    /// What is built in and what the plug-ins bring, with an engine of `cpus` workers; 0 stands for one for each core.
    pub(crate) fn runtime(&self, cpus: usize) -> Result<Runtime> {
        runtime_with(cpus, &self.files()?)
    }
}
