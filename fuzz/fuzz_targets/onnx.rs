//! ONNX models: what imports must resolve, or be refused, without a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use varflow_ops::{Registry, defs};

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    let mut registry = Registry::new();
    registry.install(defs::provider()).expect("built in");
    registry
});

fuzz_target!(|bytes: &[u8]| {
    if let Ok(model) = varflow_symbol::onnx::read(bytes, None, &REGISTRY, &[]) {
        let _ = model.symbol.resolve(&REGISTRY);
    }
});
