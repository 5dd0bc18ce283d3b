//! Plug-ins in C, compiled here and loaded: they work as what is built in, and what they do wrong is told.
#![allow(missing_docs, clippy::unwrap_used)]

mod compile;
mod gradients;
mod growth;
mod iterators;
mod loading;
mod operators;
mod planning;
mod reductions;

use std::sync::Once;
use std::time::Duration;
use varflow_engine::Engine;
use varflow_ops::{Attrs, Registry, defs};

/// A registry of the built-in operators, without kernels.
fn builtin() -> Registry {
    let mut registry = Registry::new();
    registry.install(defs::provider()).unwrap();
    registry
}

fn attrs(pairs: &[(&str, &str)]) -> Attrs {
    pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
}

/// An engine, under a deadline: a wait that never ends fails the whole run instead of hanging it.
fn engine() -> Engine {
    static DEADLINE: Once = Once::new();
    DEADLINE.call_once(|| {
        std::thread::spawn(|| {
            std::thread::sleep(Duration::from_secs(120));
            eprintln!("a test waits for more than 120 seconds");
            std::process::exit(1);
        });
    });
    Engine::builder().cpu_workers(2).build().unwrap()
}
