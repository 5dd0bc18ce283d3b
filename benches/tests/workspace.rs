//! Checks on the workspace itself: which crate may depend on which, and that files stay readable.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Each crate, and the varflow crates that it may use. `docs/ARCHITECTURE.md` says why.
const EDGES: &[(&str, &[&str])] = &[
    ("engine", &[]),
    ("ops", &["varflow-abi", "varflow-engine"]),
    ("ops/abi", &[]),
    ("ops/sdk", &["varflow-abi"]),
    ("ops-cpu", &["varflow-engine", "varflow-ops"]),
    ("ops-cuda", &["varflow-engine", "varflow-ops"]),
    ("io", &["varflow-engine", "varflow-ops"]),
    ("symbol", &["varflow-engine", "varflow-ops"]),
    (
        "frontends/rust",
        &["varflow-engine", "varflow-ops", "varflow-cpu", "varflow-cuda", "varflow-io", "varflow-symbol"],
    ),
    ("frontends/cli", &["varflow", "varflow-abi", "varflow-sdk"]),
    ("benches", &["varflow"]),
];

fn dependencies(manifest: &str) -> Vec<&str> {
    let mut inside = false;
    let mut out = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line == "[dependencies]";
        } else if let Some(end) = line.find(['.', ' ', '=']).filter(|_| inside) {
            out.push(&line[..end]);
        }
    }
    out
}

#[test]
fn crates_depend_on_what_they_may() {
    let workspace = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    for (folder, allowed) in EDGES {
        assert!(workspace.contains(&format!("\"{folder}\"")), "{folder} is no member of the workspace");
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        for dep in dependencies(&manifest).into_iter().filter(|d| d.starts_with("varflow")) {
            assert!(allowed.contains(&dep), "{folder} depends on {dep}; it may depend on {allowed:?}");
        }
    }
    let members = workspace.lines().find(|l| l.starts_with("members")).unwrap();
    assert_eq!(members.matches('"').count() / 2, EDGES.len(), "a crate is missing in the table above");
}

fn sources(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            sources(&path, out);
        } else if name.ends_with(".rs") {
            out.push(path);
        }
    }
}

#[test]
fn files_hold_one_concept() {
    const MOST_LINES: usize = 700;
    let mut files = Vec::new();
    sources(&root(), &mut files);
    assert!(files.len() > 50, "found only {} sources", files.len());
    for file in files {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(
            lines <= MOST_LINES,
            "{} has {lines} lines, at most {MOST_LINES}: does it hold two concepts?",
            file.display()
        );
    }
}

#[test]
fn sources_say_why_they_are_unsafe() {
    let mut files = Vec::new();
    sources(&root(), &mut files);
    for file in files.iter().filter(|f| f.components().any(|c| c.as_os_str() == "src")) {
        let text = fs::read_to_string(file).unwrap();
        let allowed = text.lines().any(|l| l.contains("allow(unsafe_code"));
        assert!(!allowed, "{}: use #![expect(unsafe_code, reason = …)]", file.display());
    }
}
