//! Memory plans of small networks beside what MXNet 1.9.1 once planned for them, and what running them takes.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn memory(args: &[&str], peers: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_varflow-bench"));
    command.arg("memory").args(args).env("VARFLOW_PEERS", peers).env("VARFLOW_CACHE", peers).output().unwrap()
}

#[track_caller]
fn printed(args: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let output = memory(args, folder.path());
    let (printed, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{printed}");
    printed.into_owned()
}

#[track_caller]
fn refused(args: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let output = memory(args, folder.path());
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn lines(args: &[&str]) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lines.jsonl");
    printed(&[args, &["--json", path.to_str().unwrap()]].concat());
    fs::read_to_string(path).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

#[test]
fn small_networks_take_less_than_in_mxnet() {
    let lines = lines(&["--only", "mlp", "--only", "lenet", "--only", "resnet-20"]);
    let bytes = |line: &Value, key: &str| line[key].as_f64().unwrap();
    for line in &lines {
        let planned = bytes(line, "planned_bytes");
        let concurrent = line["variant"] == "most concurrent";
        assert!(concurrent || planned <= 1.02 * bytes(line, "lower_bound_bytes"), "{line}");
        assert!(!concurrent || line["waits"] == 0, "{line}");
        assert!(planned <= bytes(line, "naive_bytes"), "{line}");
        assert!(concurrent || planned / 1048576.0 <= bytes(line, "mxnet_mb"), "{line}");
        assert!(line["against"].as_str().unwrap().contains("stored references, made by mxnet 1.9.1"), "{line}");
    }
    let all = |key: &str, value: &str| lines.iter().filter(|l| l[key] == value).count();
    let variants = ["plain", "recompute cheap", "most concurrent"].map(|variant| all("variant", variant));
    assert_eq!((variants, all("mode", "inference")), ([6, 3, 6], 6));
}

#[test]
fn batches_are_as_large_as_asked_for() {
    let lines = lines(&["--only", "mlp", "--batch-size", "4"]);
    assert!(!lines.is_empty() && lines.iter().all(|l| l["batch_size"] == 4), "{lines:?}");
    // What MXNet planned is stored for batches of another size.
    assert!(lines.iter().all(|l| l["mxnet_mb"].is_null()), "{lines:?}");
    assert!(refused(&["--only", "mlp", "--batch-size", "0"]).contains("--batch-size"));
}

#[test]
fn a_budget_is_kept_to() {
    let printed = printed(&["--only", "inception-bn"]);
    assert!(printed.contains("## With a budget"), "{printed}");
    assert!(!printed.contains("refused"), "{printed}");
}

#[test]
fn resident_memory_is_measured_in_other_processes() {
    let lines = lines(&["--only", "mlp", "--rss"]);
    let resident: Vec<_> = lines.iter().filter(|l| l["variant"] == "resident").collect();
    assert_eq!(resident.len(), 2);
    for line in resident {
        let (counted, grown) = (line["counted_bytes"].as_f64().unwrap(), line["resident_bytes"].as_f64().unwrap());
        // What the allocator and the processes' own data take is much beside a network this small, but not without limit.
        assert!(counted > 3e6 && grown > 0.8 * counted && grown < counted + 3e7, "{line}");
        assert!(line["mxnet_resident_bytes"].is_null(), "{line}");
    }
}

#[test]
fn without_mxnet_it_is_said_what_is_missing() {
    let printed = printed(&["--peers", "--only", "mlp"]);
    assert!(printed.contains("not compared with: mxnet is not installed"), "{printed}");
    assert!(printed.contains("stored references"), "{printed}");
}

#[test]
fn bad_arguments_are_refused() {
    assert!(refused(&["--only", "nosuch"]).contains("nosuch"));
    assert!(refused(&["--only", "mlp", "--all"]).contains("--all"));
    assert!(refused(&["--store", "file"]).contains("--peers"));
    assert!(refused(&["--threads", "0", "--only", "mlp"]).contains("--threads"));
    assert!(refused(&["--only", "mlp", "--json", "/nosuch/folder/file"]).contains("/nosuch/folder/file"));
    assert!(refused(&["--peers", "--only", "mlp", "--store", "file"]).contains("mxnet is not installed"));
}

#[test]
fn every_network_of_the_zoo_has_a_reference() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("references/memory.json");
    let references: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let missing: Vec<String> = varflow::zoo::names().filter(|n| references["plans"][n].is_null()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
