//! Symbols, graphs, passes over them, and their files.
#![allow(missing_docs, clippy::unwrap_used)]

mod compose;
mod deep;
mod gradient;
mod infer;
mod json;
mod params;
mod resolve;
mod safetensors;
mod support;
mod views;
