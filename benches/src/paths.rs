//! Where the benchmarks keep what they need between runs.

use crate::Result;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::{env, fs};

/// The environment variables, for `--help`.
pub const HELP: &str = "\
Environment:
  VARFLOW_CACHE  folder for what can be made again [default: $XDG_CACHE_HOME/varflow or ~/.cache/varflow]
  VARFLOW_PEERS  folder of the peers' Python environments, mxnet/ and torch/ [default: peers/ in the cache]";

fn from_env(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from)
}

fn cache() -> Result<PathBuf> {
    from_env("VARFLOW_CACHE")
        .or_else(|| from_env("XDG_CACHE_HOME").map(|d| d.join("varflow")))
        .or_else(|| from_env("HOME").map(|d| d.join(".cache/varflow")))
        .ok_or_else(|| "there is no cache folder: set VARFLOW_CACHE, XDG_CACHE_HOME or HOME".into())
}

/// The folder of the peers' Python environments.
pub fn peers() -> Result<PathBuf> {
    from_env("VARFLOW_PEERS").map_or_else(|| Ok(cache()?.join("peers")), Ok)
}

/// A folder that holds these files. It is named after their content and `salt` (what is made of them depends on it), so that
/// a change makes a new one.
pub fn unpacked(name: &str, files: &[(&str, &str)], salt: &str) -> Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    (files, salt).hash(&mut hasher);
    let folder = cache()?.join("bench").join(format!("{name}-{:016x}", hasher.finish()));
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    for (file, text) in files {
        let path = folder.join(file);
        fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(folder)
}

/// A folder that is removed with this value.
pub struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    /// Makes it.
    pub fn new() -> Result<Self> {
        let path = env::temp_dir().join(format!("varflow-bench-{}", std::process::id()));
        fs::create_dir_all(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(TemporaryFolder(path))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's cleaning of its temporary folder.
        let _ = fs::remove_dir_all(&self.0);
    }
}
