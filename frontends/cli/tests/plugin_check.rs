//! `varflow plugin check`: a healthy plug-in passes, and each of many planted faults is found and called by its name.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::process::Command;
use std::time::Duration;
use support::{Ran, finish_within, ok, refused, varflow};

fn compile(dir: &Path, source: &str, name: &str, fault: u32) -> String {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = dir.join(format!("lib{name}.so"));
    let mut cc = Command::new("cc");
    cc.args(["-O1", "-shared", "-fPIC", &format!("-DFAULT={fault}"), "-I"]).arg(here.join("../../ops/abi/include"));
    let done = cc.arg(here.join(source)).arg("-o").arg(&file).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    file.display().to_string()
}

fn check(file: &str, more: &[&str]) -> Ran {
    let args = [&["plugin", "check", file], more].concat();
    finish_within(varflow(&args).spawn().unwrap(), Duration::from_secs(120))
}

/// Number in `faulty.c`, the check that finds it, and what it says.
const FAULTS: [(u32, &str, &[&str]); 20] = [
    (1, "gradient", &["the gradient of element 0 of input 0 is", "central differences of forward give"]),
    (2, "inference", &["inferred shape"]),
    (3, "access", &["wrote into input 0, which it does not declare as mutated"]),
    (4, "access", &["did not write element", "of output 0"]),
    (5, "guard pages", &["output 0"]),
    (6, "threads", &["results of parallel calls differ from those of the same calls one by one: a data race"]),
    (7, "inference", &["panicked: index out of range"]),
    (8, "inference", &["SIGABRT", "forward of Affine on float32"]),
    (9, "leaks", &["200 runs leak", "each"]),
    (10, "dtypes", &["float64 is claimed but not served", "wanted float32"]),
    (11, "access", &["two runs on the same inputs differ"]),
    (12, "in place", &["output 0 in the place of input 0 gives other results than apart from it"]),
    (13, "guard pages", &["output 0"]),
    (14, "inference", &["forward of Affine on float32"]),
    (15, "inference", &["SIGSEGV", "forward of Affine on float32"]),
    (16, "leaks", &["instances leak"]),
    (17, "schema", &["it has no doc"]),
    (18, "inference", &["forward of Affine on float32"]),
    (19, "gradient", &["is NaN"]),
    (20, "inference", &["from its outputs alone, inference says that data is (17,), and it is (16,)"]),
];

/// The message of a failed check.
fn failure(ran: &Ran, check: &str) -> Option<String> {
    let wanted = format!("    {check:<13} FAILED");
    ran.out.lines().find_map(|line| line.strip_prefix(&wanted)).map(str::to_string)
}

#[test]
fn every_planted_fault_is_found_and_named() {
    let dir = tempfile::tempdir().unwrap();
    for (fault, by, texts) in FAULTS {
        let file = compile(dir.path(), "tests/plugins_in_c/faulty.c", &format!("faulty{fault}"), fault);
        let ran = check(&file, &[]);
        let message = failure(&ran, by)
            .unwrap_or_else(|| panic!("fault {fault}: \"{by}\" did not fail:\n{}{}", ran.out, ran.err));
        texts.iter().for_each(|text| assert!(message.contains(text), "fault {fault}: no \"{text}\" in: {message}"));
        assert_eq!(ran.code, 1, "fault {fault}");
        assert!(ran.err.contains("checks failed"), "{}", ran.err);
    }
}

#[test]
fn a_healthy_plugin_passes_and_tells_in_json() {
    let dir = tempfile::tempdir().unwrap();
    let file = compile(dir.path(), "tests/plugins_in_c/faulty.c", "healthy", 0);
    let ran = check(&file, &[]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("operator Affine") && !ran.out.contains("FAILED"), "{}", ran.out);
    let lines = check(&file, &["--json"]).out;
    for line in lines.lines() {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!((&object["plugin"], &object["subject"]), (&"faulty 1".into(), &"operator Affine".into()), "{line}");
        assert!(object["outcome"] == "ok" || object["outcome"] == "skipped", "{line}");
    }
    assert!(lines.lines().count() >= 8, "{lines}");
}

/// What `plugin new` writes builds and passes, in either language and of each kind.
#[test]
fn new_projects_pass() {
    let dir = tempfile::tempdir().unwrap();
    for kind in ["op", "iter", "reduction"] {
        for lang in ["rust", "c"] {
            let name = format!("My_{kind}_{lang}");
            let project = dir.path().join(&name).display().to_string();
            let made = ok(&["plugin", "new", "--kind", kind, "--lang", lang, "--dir", &project, &name]).out;
            assert!(made.contains("varflow plugin check"), "{made}");
            // What it says is to be done next, but in the folder for debug builds.
            let line = made.lines().find(|l| l.starts_with("  cargo build") || l.starts_with("  cc ")).unwrap();
            let build = line.trim().trim_end_matches(" --release");
            let mut shell = Command::new("bash");
            let done = shell.args(["-c", build]).current_dir(&project).env_remove("CARGO_TARGET_DIR").output().unwrap();
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            let folder = if lang == "rust" { format!("{project}/target/debug") } else { project.clone() };
            let file = format!("{folder}/lib{}.so", name.to_lowercase());
            let ran = check(&file, &[]);
            assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
            assert!(ran.out.contains(&name) && ran.out.contains("checks passed"), "{}", ran.out);
            // What is there already is not written over.
            refused(&["plugin", "new", "--dir", &project, &name], 1, &["not empty", "--dir"]);
        }
    }
    refused(&["plugin", "new", "2fast"], 2, &["2fast", "wanted a letter"]);
}

#[test]
fn what_is_no_plugin_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let text = dir.path().join("text.so").display().to_string();
    std::fs::write(&text, "no library").unwrap();
    refused(&["plugin", "check", &text], 1, &["text.so"]);
    refused(&["plugin", "check", "nowhere.so"], 1, &["nowhere.so", "No such file"]);
    refused(&["plugin", "check"], 2, &["<FILE>"]);
}
