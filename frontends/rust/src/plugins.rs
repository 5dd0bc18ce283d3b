//! Plug-ins that a program loads: named by its user, or found through the environment.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use varflow_ops::plugin::Library;
use varflow_ops::{Error, Registry, Result};

/// The environment variable that [`plugin_path`] reads.
pub const PLUGIN_PATH: &str = "VARFLOW_PLUGIN_PATH";

/// The plug-ins that the environment variable `VARFLOW_PLUGIN_PATH` names: a list, separated as `PATH` is, of files and
/// folders. Of a folder, the files that end in `.so`, `.dylib` or `.dll` are taken, in the order of their names. Empty if
/// the variable is not set.
///
/// # Errors
/// [`Error::Io`] for an entry that is not there or cannot be read.
pub fn plugin_path() -> Result<Vec<PathBuf>> {
    std::env::var_os(PLUGIN_PATH).map_or(Ok(Vec::new()), |list| plugin_files(&list))
}

fn plugin_files(list: &OsStr) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::env::split_paths(list).filter(|entry| !entry.as_os_str().is_empty()) {
        let failed = |e: io::Error| Error::io(format!("{PLUGIN_PATH} names {}", entry.display()), e);
        if !std::fs::metadata(&entry).map_err(failed)?.is_dir() {
            files.push(entry);
            continue;
        }
        let inside = std::fs::read_dir(&entry).map_err(failed)?.map(|file| Ok(file?.path()));
        let mut inside = inside.collect::<io::Result<Vec<_>>>().map_err(failed)?;
        inside.retain(|file| is_dylib(file));
        inside.sort();
        files.extend(inside);
    }
    Ok(files)
}

fn is_dylib(file: &Path) -> bool {
    file.extension().is_some_and(|e| e == "so" || e == "dylib" || e == "dll") && file.is_file()
}

/// Loads plug-ins into a registry, in this order. A file that is named twice is loaded once.
///
/// # Errors
/// As [`Registry::load`]; plug-ins before the one that failed stay loaded.
pub fn load_plugins(registry: &mut Registry, files: &[PathBuf]) -> Result<Vec<Library>> {
    // A file that is not there has no canonical path; loading it tells so.
    let mut seen = BTreeSet::new();
    let new = files.iter().filter(|file| seen.insert(file.canonicalize().unwrap_or_else(|_| (*file).clone())));
    new.map(|file| registry.load(file)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_files_or_folders() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::create_dir_all(path("folder/inner.so")).unwrap();
        for name in ["one", "folder/b.so", "folder/a.dylib", "folder/c.dll", "folder/readme.md", "folder/so"] {
            std::fs::write(path(name), "").unwrap();
        }
        let list = |entries: &[PathBuf]| plugin_files(&std::env::join_paths(entries).unwrap());
        let found = list(&[path("one"), PathBuf::new(), path("folder")]).unwrap();
        assert_eq!(found, ["one", "folder/a.dylib", "folder/b.so", "folder/c.dll"].map(path));
        assert_eq!(plugin_files(OsStr::new("")).unwrap(), Vec::<PathBuf>::new());
        let text = list(&[path("one"), path("gone")]).unwrap_err().to_string();
        assert!(text.starts_with(&format!("VARFLOW_PLUGIN_PATH names {}", path("gone").display())), "{text}");
    }

    #[test]
    fn files_that_are_no_plugins_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("libtext.so");
        let load =
            || load_plugins(&mut crate::registry().unwrap(), std::slice::from_ref(&file)).unwrap_err().to_string();
        assert!(load().contains("libtext.so") && load().contains("No such file"), "{}", load());
        std::fs::write(&file, "text").unwrap();
        assert!(load().contains("libtext.so"), "{}", load());
    }
}
