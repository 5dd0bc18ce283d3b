//! Plug-ins for varflow in safe Rust.
