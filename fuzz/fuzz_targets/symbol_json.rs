//! Symbol JSON: what reads must resolve, or be refused, without a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use varflow_ops::{Registry, defs};

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    let mut registry = Registry::new();
    registry.install(defs::provider()).expect("built in");
    registry
});

fuzz_target!(|text: &str| {
    if let Ok(symbol) = varflow_symbol::json::from_str(text) {
        let _ = symbol.resolve(&REGISTRY);
    }
});
