//! Safetensors files: what reads is written back and reads as the same arrays.
#![no_main]

use libfuzzer_sys::fuzz_target;
use varflow_symbol::params::safetensors;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(mut arrays) = safetensors::read(bytes, bytes.len() as u64, "input") {
        let mut out = Vec::new();
        safetensors::write(&mut out, "output", &arrays).expect("what was read");
        let mut again = safetensors::read(&out[..], out.len() as u64, "output").expect("what was written");
        arrays.sort_by(|a, b| a.0.cmp(&b.0));
        again.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(again, arrays);
    }
});
