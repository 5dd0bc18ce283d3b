//! Every kernel, through operators and tensors: against oracles, against central differences, in place and not, on one
//! worker and on several.
#![allow(missing_docs, clippy::unwrap_used, clippy::type_complexity)]

mod arithmetic;
mod broadcast;
mod cast;
mod corners;
mod dense;
mod dot;
mod empty;
mod errors;
mod examples;
mod fill;
mod gradient;
mod graph;
mod indexing;
mod known;
mod layers;
mod local;
mod permuted;
mod random;
mod recompute;
mod reduce;
mod rnn;
mod softmax;
mod transpose;
mod typed;
mod uniform;
mod usage;

use std::sync::{LazyLock, Once};
use std::time::Duration;
use varflow_engine::Engine;
use varflow_ops::{Attrs, Registry, defs};

/// The built-in operators and the kernels of this crate.
fn registry() -> &'static Registry {
    static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
        let mut registry = Registry::new();
        registry.install(defs::provider()).unwrap();
        registry.install(varflow_cpu::provider()).unwrap();
        registry
    });
    &REGISTRY
}

fn attrs(pairs: &[(&str, &str)]) -> Attrs {
    pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
}

/// An engine of so many workers; with 0 tasks run where they are pushed. Under a deadline: a wait that never ends fails
/// the whole run instead of hanging it.
fn workers(n: usize) -> Engine {
    static DEADLINE: Once = Once::new();
    DEADLINE.call_once(|| {
        std::thread::spawn(|| {
            std::thread::sleep(Duration::from_secs(100));
            eprintln!("the tests take more than 100 seconds");
            std::process::exit(1);
        });
    });
    if n == 0 { Engine::serial() } else { Engine::builder().cpu_workers(n).build().unwrap() }
}

/// An engine for tests that do not care.
fn engine() -> &'static Engine {
    static ENGINE: LazyLock<Engine> = LazyLock::new(|| workers(2));
    &ENGINE
}
