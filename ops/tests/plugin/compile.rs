//! Builds plug-ins from C.

use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A plug-in that is built, in a folder that goes with it.
pub(super) struct Built {
    folder: TempDir,
}

impl Built {
    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("libplugin.so")
    }
}

fn manifest() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Builds `tests/plugin/c/<file>` with these options of gcc, and the header in `abi/<header>`.
pub(super) fn build_with(header: &str, file: &str, options: &[&str]) -> Built {
    let built = Built { folder: TempDir::new().unwrap() };
    let mut gcc = Command::new("gcc");
    gcc.args(["-std=gnu11", "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-pthread", "-I"]);
    gcc.arg(manifest().join("abi").join(header)).args(options);
    gcc.arg(manifest().join("tests/plugin/c").join(file)).arg("-o").arg(built.path());
    let output = gcc.output().expect("gcc can be started: the plug-in tests need a C compiler");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    built
}

/// Builds it with the header of today.
pub(super) fn build(file: &str, options: &[&str]) -> Built {
    build_with("include", file, options)
}
