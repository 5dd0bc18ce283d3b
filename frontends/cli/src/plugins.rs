//! The plug-ins of a run: those of `--plugin`, then those that the environment names.

use std::path::PathBuf;
use varflow::ops::Registry;
use varflow::{Result, Runtime, plugin_path, registry_with, runtime_with};

/// Plug-ins, not yet loaded.
pub(crate) struct Plugins(pub(crate) Vec<PathBuf>);

impl Plugins {
    /// Their files.
    pub(crate) fn files(&self) -> Result<Vec<PathBuf>> {
        Ok([self.0.clone(), plugin_path()?].concat())
    }

    /// What is built in, and the plug-ins.
    pub(crate) fn registry(&self) -> Result<Registry> {
        registry_with(&self.files()?)
    }

    /// The same, with an engine of `cpus` workers; 0 stands for one for each core.
    pub(crate) fn runtime(&self, cpus: usize) -> Result<Runtime> {
        runtime_with(cpus, &self.files()?)
    }
}
