//! Import of ONNX models that tests write themselves.
#![allow(clippy::unwrap_used)]

mod onnx_support;

use onnx_support::{Message, header, int_attribute, model, node, small, tensor};
use varflow_ops::{Error, PartialShape, Registry, defs};
use varflow_symbol::onnx::{self, Model};

fn registry() -> Registry {
    let mut registry = Registry::new();
    registry.install(defs::provider()).unwrap();
    registry
}

fn read(bytes: &[u8]) -> Result<Model, Error> {
    onnx::read(bytes, None, &registry(), &[])
}

fn refused(bytes: &[u8], texts: &[&str]) {
    let Err(error) = read(bytes) else { panic!("it was read, wanted an error with {texts:?}") };
    let error = error.to_string();
    texts.iter().for_each(|text| assert!(error.contains(text), "no \"{text}\" in: {error}"));
}

#[test]
fn initializers_become_arguments_and_auxiliary_states() {
    let model = read(&small()).unwrap();
    let keys: Vec<_> = model.params.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["arg:w", "arg:s", "arg:b", "aux:m", "aux:v"]);
    assert_eq!(model.params[1].1.to_vec::<f32>().unwrap(), [0.5, 1.5]);
    assert_eq!(model.inputs, [("x".to_string(), PartialShape::new([None, Some(3), Some(4), Some(4)]))]);
    let graph = model.symbol.resolve(&registry()).unwrap();
    assert_eq!(graph.list_arguments(), ["x", "w", "s", "b"]);
    let reshape = graph.nodes.last().unwrap();
    assert_eq!((&reshape.name[..], &reshape.attrs["shape"][..]), ("y", "(0, -1)"));
}

#[test]
fn every_operator_that_is_not_covered_is_told() {
    let custom = node("Fancy", &["x"], &["a"], &[]).text(7, "com.example");
    let nodes = [custom, node("NonZero", &["a"], &["b"], &[]), node("NonZero", &["b"], &["y"], &[])];
    refused(&model(13, &[1], &nodes, &[]), &["com.example.Fancy (1, first \"a\")", "NonZero (2, first \"b\")", "Conv"]);
}

#[test]
fn errors_name_the_node_and_what_is_wanted() {
    let w = tensor("w", &[2, 3, 3, 3], &[0.0; 54]);
    let conv = |attribute| {
        model(13, &[1, 3, 4, 4], &[node("Conv", &["x", "w"], &["y"], &[attribute])], std::slice::from_ref(&w))
    };
    refused(&conv(onnx_support::ints_attribute("pads", &[1])), &["node Conv \"y\"", "pads", "a list of 1", "one of 4"]);
    refused(&conv(int_attribute("group", 2)), &["node Conv \"y\"", "Convolution"]);
    let relu = |input| model(13, &[1], &[node("Relu", &[input], &["y"], &[])], &[]);
    refused(&relu("z"), &["node Relu \"y\"", "\"z\" is nothing that was computed before"]);
    refused(&model(3, &[1], &[], &[]), &["operator set 3", "7 to 20"]);
    refused(&model(13, &[1], &[], &[]), &["output \"y\"", "no node"]);
    refused(&[], &["no graph"]);
    refused(&small()[..100], &["byte"]);
    let twice = [node("Relu", &["x"], &["y"], &[]), node("Relu", &["x"], &["y"], &[])];
    refused(&model(13, &[1], &twice, &[]), &["\"y\" is there twice"]);
}

#[test]
fn every_node_that_is_refused_is_told() {
    let w = tensor("w", &[2, 3, 3, 3], &[0.0; 54]);
    let conv = |x: &str, y: &str| node("Conv", &[x, "w"], &[y], &[onnx_support::ints_attribute("pads", &[1])]);
    let nodes = [conv("x", "a"), conv("a", "b"), conv("x", "c"), node("Add", &["b", "c"], &["y"], &[])];
    let error = read(&model(13, &[1, 3, 4, 4], &nodes, &[w])).err().unwrap().to_string();
    assert!(error.contains("2 nodes are not covered: node Conv \"a\"") && error.contains("node Conv \"c\""), "{error}");
    assert!(!error.contains("\"b\"") && !error.contains("\"y\""), "{error}");
}

#[test]
fn halves_become_float32() {
    let half = |v: f32| half::f16::from_f32(v).to_le_bytes().to_vec();
    let w = header("w", &[2], 10).bytes(9, &[half(0.5), half(-2.0)].concat());
    let graph = |nodes: &[Message]| model(13, &[3, 2], nodes, std::slice::from_ref(&w));
    let cast = node("Cast", &["x"], &["c"], &[int_attribute("to", 10)]);
    let model = read(&graph(&[cast, node("Add", &["c", "w"], &["y"], &[])])).unwrap();
    assert_eq!(model.params[0].1.to_vec::<f32>().unwrap(), [0.5, -2.0]);
    let graph = model.symbol.resolve(&registry()).unwrap();
    assert_eq!(graph.nodes.iter().find(|n| n.name == "c").unwrap().attrs["dtype"], "float32");
}

#[test]
fn tensors_that_are_not_what_they_say_are_refused() {
    let with = |tensor: Message| model(13, &[1], &[node("Relu", &["x"], &["y"], &[])], &[tensor]);
    refused(&with(tensor("w", &[3], &[0.0; 2])), &["initializer \"w\"", "(3,)", "8 bytes"]);
    refused(&with(header("w", &[1 << 40, 1 << 40], 1)), &["initializer \"w\"", "more than memory"]);
    refused(&with(header("w", &[-1], 1)), &["an extent of -1"]);
    refused(&with(header("w", &[1], 8)), &["elements of type 8"]);
}

#[test]
fn files_beside_the_model_stay_in_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    std::fs::write(inner.join("w.bin"), 2.5_f32.to_le_bytes()).unwrap();
    std::fs::write(folder.path().join("secret"), [0; 4]).unwrap();
    let entry = |key: &str, value: &str| Message::new().text(1, key).text(2, value);
    let read = |location: &str, dims: &[i64]| {
        let w = header("w", dims, 1).message(13, &entry("location", location)).int(14, 1);
        let bytes = model(13, &[2, 3], &[node("Add", &["x", "w"], &["y"], &[])], &[w]);
        onnx::read(&bytes, Some(&inner), &registry(), &[]).map(|m| m.symbol)
    };
    let graph = read("w.bin", &[1]).unwrap().resolve(&registry()).unwrap();
    assert_eq!(graph.nodes.last().unwrap().attrs["scalar"], "2.5");
    for location in ["../secret", "/etc/passwd", "", "."] {
        let error = read(location, &[1]).err().unwrap().to_string();
        assert!(error.contains("in the model's folder"), "{location}: {error}");
    }
    assert!(read("gone", &[1]).err().unwrap().to_string().contains("gone"));
    assert!(read("w.bin", &[2]).err().unwrap().to_string().contains("wanted 8 bytes inside the file's 4"));
}

/// One initializer as a mean, then as something else, and as the mean and variance of one node.
#[test]
fn initializers_with_several_uses_get_a_variable_for_each() {
    let channels = |name: &str| tensor(name, &[2], &[0.5, 1.5]);
    let keys = |nodes: &[Message]| {
        let bytes = model(13, &[1, 2], nodes, &[channels("s"), channels("m"), channels("v")]);
        let model = read(&bytes).unwrap_or_else(|e| panic!("{e}"));
        let graph = model.symbol.resolve(&registry()).unwrap();
        let mut variables: Vec<String> = graph.list_arguments().iter().map(|n| format!("arg:{n}")).collect();
        variables.extend(graph.list_auxiliaries().iter().map(|n| format!("aux:{n}")));
        let mut keys: Vec<String> = model.params.into_iter().map(|(key, _)| key).collect();
        variables.retain(|n| n != "arg:x");
        variables.sort();
        keys.sort();
        assert_eq!(keys, variables, "every variable has its array");
        keys
    };
    let batch_norm =
        |mean: &str, variance: &str| node("BatchNormalization", &["x", "s", "s", mean, variance], &["n"], &[]);
    let shared = keys(&[batch_norm("m", "v"), node("Add", &["n", "m"], &["y"], &[])]);
    assert_eq!(shared, ["arg:m_arg", "arg:s", "aux:m", "aux:v"]);
    let alone = keys(&[batch_norm("m", "m"), node("Relu", &["n"], &["y"], &[])]);
    assert_eq!(alone, ["arg:s", "aux:m", "aux:m_twin"]);
}
