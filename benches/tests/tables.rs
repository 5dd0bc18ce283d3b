//! The tables, run small: what they print and keep.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::fs;
use std::process::{Command, Output};

fn bench(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_varflow-bench")).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn engine_table() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("results.json");
    let json_arg = json.to_str().unwrap();
    let sizes = ["engine", "--reps", "2", "--tasks", "2000", "--most-pending", "1000", "--json", json_arg];
    let only = ["--workload", "chain", "--workload", "fan", "--measure", "throughput", "--measure", "pending"];
    let output = bench(&[&sizes[..], &only].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    assert!(printed.contains("| varflow raw | 2") && printed.contains("2 workers over 1"), "{printed}");

    let lines: Vec<Value> =
        fs::read_to_string(&json).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    // Two ways, two worker counts, three settings, two workloads; then time and memory of pending tasks, which are pushed.
    assert_eq!(lines.len(), 2 * 2 * 3 * 2 + 2 * 2);
    assert!(printed.contains("| varflow recorded | 2"), "{printed}");
    for line in &lines {
        assert_eq!((&line["system"], &line["table"], &line["reps"]), (&"varflow".into(), &"engine".into(), &2.into()));
        let [min, median, max] = ["min", "median", "max"].map(|k| line[k].as_f64().unwrap());
        assert!(min <= median && median <= max && (min > 0.0 || line["unit"] == "bytes/task"), "{line}");
    }
}

#[test]
fn train_table() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("results.json");
    let json_arg = json.to_str().unwrap();
    let sizes = ["--reps", "1", "--network", "mlp", "--batch-size", "8", "--seconds", "0.05", "--json", json_arg];
    let output = bench(&[&["train"], &sizes[..]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let line: Value = serde_json::from_str(fs::read_to_string(&json).unwrap().trim()).unwrap();
    assert_eq!((&line["workload"], &line["unit"]), (&"mlp".into(), &"samples/s".into()));
    assert!(line["median"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_missing_peer_is_named_with_its_command() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["train", "--peers", "--system", "torch", "--reps", "1"];
    let output = Command::new(env!("CARGO_BIN_EXE_varflow-bench"))
        .args(args)
        .env("VARFLOW_PEERS", folder.path())
        .env("VARFLOW_CACHE", folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    assert!(printed.contains("torch is not installed") && printed.contains("install 'torch'"), "{printed}");
}

#[test]
fn bad_arguments_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let no_file = bench(&["subject", "engine", "raw", "1", "throughput", "chain=/nowhere/chain"]);
    assert!(text(&no_file.stderr).contains("/nowhere/chain"), "{}", text(&no_file.stderr));
    let short = folder.path().join("short");
    fs::write(&short, [1, 2, 3]).unwrap();
    let bad_file = bench(&["subject", "engine", "raw", "1", "throughput", &format!("chain={}", short.display())]);
    assert!(text(&bad_file.stderr).contains("no workload"), "{}", text(&bad_file.stderr));
    assert_eq!(bench(&["engine", "--workload", "nosuch"]).status.code(), Some(2));
    assert_eq!(bench(&["engine", "--reps", "0"]).status.code(), Some(2));
}
