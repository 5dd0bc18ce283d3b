//! The command `convert`.
#![allow(clippy::unwrap_used)]

#[path = "../../../symbol/tests/onnx_support/mod.rs"]
mod onnx_support;
mod support;

use support::{bytes, ok, refused};
use varflow::symbol::{HostArray, json, params};

#[test]
fn parameters_go_to_safetensors_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let array = |n: usize| HostArray::from_slice([n], &vec![0.5_f32; n]).unwrap();
    let arrays = [("arg:w".to_string(), array(3)), ("aux:m".to_string(), array(2))];
    params::save(path("net-0010.params"), &arrays).unwrap();
    let out = ok(&["convert", &path("net-0010.params"), &path("new/net.safetensors")]).out;
    assert!(out.contains("2 arrays, 20 bytes"), "{out}");
    ok(&["convert", &path("new/net.safetensors"), &path("back.params")]);
    assert_eq!(bytes(path("back.params").as_ref()), bytes(path("net-0010.params").as_ref()));
}

#[test]
fn onnx_models_become_checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("small.onnx"), onnx_support::small()).unwrap();
    let out = ok(&["convert", &path("small.onnx"), &path("out/small")]).out;
    assert!(out.contains("input x (?, 3, 4, 4)\noutput y_output\n") && out.contains("5 arrays"), "{out}");
    assert!(json::load(path("out/small-symbol.json")).is_ok());
    let keys: Vec<_> = params::load(path("out/small-0000.params")).unwrap().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["arg:w", "arg:s", "arg:b", "aux:m", "aux:v"]);
    let out = ok(&["convert", &path("small.onnx"), &path("out/one"), "--input-shape", "x=1,?,4,4"]).out;
    assert!(out.contains("input x (1, 3, 4, 4)"), "{out}");
    refused(&["convert", &path("small.onnx"), &path("out/one"), "--input-shape", "z=1"], 1, &["no input \"z\"", "x"]);
    refused(&["convert", &path("small.onnx"), &path("out/one"), "--input-shape", "x=1,b"], 2, &["\"b\" is no extent"]);
}

/// A network is not left with the parameters of another.
#[test]
fn a_checkpoint_is_replaced_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("small.onnx"), onnx_support::small()).unwrap();
    std::fs::write(path("net-symbol.json"), "old").unwrap();
    std::fs::create_dir(path("net-0000.params")).unwrap();
    refused(&["convert", &path("small.onnx"), &path("net")], 1, &["net-0000.params", "not a regular file"]);
    assert_eq!(bytes(path("net-symbol.json").as_ref()), b"old");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
}

#[test]
fn what_cannot_be_converted_is_told() {
    let convert =
        |source: &str, target: &str, code: i32, texts: &[&str]| refused(&["convert", source, target], code, texts);
    convert("a.txt", "b.params", 2, &["SOURCE is a.txt", ".safetensors"]);
    convert("a.params", "b.onnx", 2, &["read, not written"]);
    convert("a.params", "b", 2, &["TARGET is b", ".params or .safetensors"]);
    convert("a.onnx", "b.params", 2, &["wanted a prefix"]);
    convert("/gone.params", "/tmp/b.safetensors", 1, &["/gone.params"]);
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.onnx").display().to_string();
    std::fs::write(&broken, [0x0a, 0x7f, 1]).unwrap();
    convert(&broken, "b", 1, &[&broken, "byte 2"]);
}
