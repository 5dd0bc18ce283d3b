//! `.params` files: what reads is written back and reads as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use varflow_symbol::params;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(arrays) = params::read(bytes, bytes.len() as u64, "input") {
        let mut out = Vec::new();
        params::write(&mut out, "output", &arrays).expect("what was read");
        assert_eq!(params::read(&out[..], out.len() as u64, "output").expect("what was written"), arrays);
    }
});
