//! Every operator's examples and some small networks, beside what MXNet 1.9.1 once gave for them.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

fn agreement(args: &[&str], peers: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_varflow-bench"));
    command.arg("agreement").args(args).env("VARFLOW_PEERS", peers).env("VARFLOW_CACHE", peers).output().unwrap()
}

#[track_caller]
fn agrees(args: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let output = agreement(args, folder.path());
    let (printed, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{printed}");
    printed.into_owned()
}

#[test]
fn operators_agree() {
    let printed = agrees(&["--operators"]);
    assert!(printed.contains("stored references, made by mxnet 1.9.1"), "{printed}");
    assert!(printed.contains("| Convolution "), "{printed}");
}

#[test]
fn small_networks_agree() {
    let printed = agrees(&["--networks", "--only", "mlp", "--only", "lenet"]);
    assert!(printed.contains("| lenet "), "{printed}");
}

#[test]
fn without_mxnet_it_is_said_what_is_missing() {
    let printed = agrees(&["--peers", "--operators", "--only", "exp"]);
    assert!(printed.contains("not compared with: mxnet is not installed"), "{printed}");
    assert!(printed.contains("stored references"), "{printed}");
}

#[test]
fn names_that_nothing_has_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let output = agreement(&["--only", "nosuch"], folder.path());
    assert!(String::from_utf8_lossy(&output.stderr).contains("is called nosuch"));
    assert!(!output.status.success());
}

#[test]
fn references_are_small() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("references/agreement.json");
    let len_bytes = path.metadata().unwrap().len();
    assert!(len_bytes < 500_000, "{} is {len_bytes} bytes long", path.display());
}
