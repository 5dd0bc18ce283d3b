//! The examples run, and what they claim holds.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used)]

mod support;

#[path = "../examples/plain.rs"]
mod plain;
#[path = "../examples/tokio.rs"]
mod tokio_example;
#[path = "../examples/typed.rs"]
mod typed;

use support::deadline;

#[test]
fn plain() {
    deadline(60, || plain::main().unwrap());
}

#[test]
fn typed() {
    deadline(60, || typed::main().unwrap());
}

#[test]
fn tokio() {
    deadline(60, || tokio_example::main().unwrap());
}
