//! A failing test on the shuffled lane says by which seed it failed.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used)]

use std::process::Command;
use varflow_engine::Engine;

const ASKED: &str = "VARFLOW_TEST_FAILS";

/// Fails when the test below asks for it, in a process of its own.
#[test]
fn fails_when_asked() {
    let engine = Engine::shuffled(20_250);
    let var = engine.var();
    engine.raw("task").write(&var).run(|_| ());
    assert!(std::env::var_os(ASKED).is_none(), "asked to fail");
}

#[test]
fn a_failing_test_tells_the_seed() {
    let run = |asked: bool| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "fails_when_asked", "--nocapture"]);
        if asked {
            command.env(ASKED, "1");
        }
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (succeeds, told) = run(true);
    assert!(!succeeds && told.contains("Shuffled::new(20250)"), "{told}");
    let (succeeds, told) = run(false);
    assert!(succeeds && !told.contains("Shuffled"), "{told}");
}
