//! `varflow plugin check`: what an operator says to planners of memory is tried, and each wrong saying is found by name.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::process::Command;
use std::time::Duration;
use support::{finish_within, varflow};

/// Operator, the check that finds it, and what that says.
const FAULTS: [(&str, &str, &str); 9] = [
    ("Again", "in place", "forward of Again on float32 (16,): output 0 in the place of input 0 gives other results"),
    (
        "Ahead",
        "in place",
        "output 0 in the place of input 0, where its loop goes from the end to the start, gives other",
    ),
    ("Both", "in place", "output 0 in the place of input 0 and output 1 in the place of input 1 gives other results"),
    ("Half", "in place", "forward declares that output 0 may take the memory of input 0, and in no use that was tried"),
    ("Shifted", "view", "in input 0 from byte 4 on, and its kernel writes another element 0"),
    ("Beyond", "view", "in input 0 from byte 64 on, wanted at most 32, and a multiple of 4"),
    (
        "Centred",
        "per sample",
        "which inputs [0] hold, and of samples 8..16 of 16 alone gives another output 0 than of all",
    ),
    (
        "Nobody",
        "per sample",
        "which inputs [] hold, wanted inputs that it has, with as many elements along their first axis",
    ),
    ("Secret", "inference", "it draws random numbers, and does not say so: wanted its flag VF_RANDOM"),
];

#[test]
fn wrong_sayings_are_found_and_right_ones_pass() {
    let dir = tempfile::tempdir().unwrap();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = dir.path().join("libplanning.so").display().to_string();
    let mut cc = Command::new("cc");
    cc.args(["-O1", "-shared", "-fPIC", "-o", &file, "-I"]).arg(here.join("../../ops/abi/include"));
    let done = cc.arg(here.join("tests/plugins_in_c/planning_faults.c")).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let child = varflow(&["plugin", "check", "--json", &file]).spawn().unwrap();
    let ran = finish_within(child, Duration::from_secs(120));
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    let mut failed = Vec::new();
    for line in ran.out.lines() {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| object[key].as_str().unwrap().to_string();
        let (subject, check) = (text("subject"), text("check"));
        if subject == "operator Right" && ["in place", "view", "per sample"].contains(&&*check) {
            assert_eq!(object["outcome"], "ok", "{line}");
        }
        if object["outcome"] == "failed" {
            failed.push((subject, check, text("message")));
        }
    }
    for (op, check, wanted) in FAULTS {
        let of = |f: &&(String, String, String)| f.0 == format!("operator {op}");
        let found: Vec<_> = failed.iter().filter(of).collect();
        assert!(matches!(found[..], [(_, by, text)] if by == check && text.contains(wanted)), "{op}: {found:?}");
    }
    assert_eq!(failed.len(), FAULTS.len(), "{failed:?}");
}
