//! Every lane keeps the contract of lanes, and a lane that breaks a rule is found out.
#![allow(clippy::unwrap_used)]

#[path = "support/own_lane.rs"]
mod own_lane;

use own_lane::{Fault, Own};
use std::time::Duration;
use varflow_engine::conformance::{check, check_within};
use varflow_engine::{Pool, Serial, Shuffled, SimDevice};

#[test]
fn serial() {
    check(|| Serial::new("serial")).unwrap();
}

#[test]
fn pools() {
    for width in 1..=4 {
        check(|| Pool::start("pool", width).unwrap()).unwrap();
    }
}

#[test]
fn shuffled() {
    for seed in 0..4 {
        check(|| Shuffled::new(seed)).unwrap();
    }
}

#[test]
fn simulated_device() {
    check(|| SimDevice::start("device").unwrap().queue("compute", Duration::from_micros(20))).unwrap();
}

#[test]
fn an_embedders_own() {
    check(|| Own::new(None)).unwrap();
}

/// Each fault is seen by the check that looks for it. Others may see it too, or be held up by it.
fn finds(fault: Fault, meant: &str) {
    let found = check_within(Duration::from_secs(2), || Own::new(Some(fault))).unwrap_err();
    println!("{fault:?}: {found}");
    let by = found.violations.iter().find(|v| v.check == meant);
    assert!(by.is_some(), "{fault:?} is not found by \"{meant}\" but only by: {found}");
}

macro_rules! finds {
    ($($name:ident: $fault:ident by $meant:literal),* $(,)?) => {
        $(#[test] fn $name() { finds(Fault::$fault, $meant); })*
    };
}

finds! {
    losing_tasks: LosesTasks by "every task runs",
    keeping_tasks_back: KeepsTasksBack by "nothing is kept back",
    running_beyond_its_width: RunsBeyondItsWidth by "width",
    overstating_its_width: OverstatesItsWidth by "width",
    ignoring_priorities: IgnoresPriorities by "priorities",
    blocking_in_submit: BlocksInSubmit by "submitting returns",
    skipping_an_index: SkipsAnIndex by "loops are complete",
    repeating_an_index: RepeatsAnIndex by "loops are complete",
    swallowing_panics: SwallowsPanics by "loops pass panics on",
    starving_in_waits: StarvesInWaits by "waiting tasks",
    forgetting_tasks_at_shutdown: ForgetsTasksAtShutdown by "submitting after shutdown",
    deadlocking_in_shutdown: DeadlocksInShutdown by "shutdown from a task",
}
