//! Texts made from graphs: the summary and Graphviz.

use crate::support::registry;
use varflow_ops::PartialShape;
use varflow_symbol::{Graph, Symbol, dot, infer_shapes, json, summary, sym};

fn net() -> Graph {
    let x = sym::convolution(sym::var("data")).kernel([5, 5]).num_filter(20).name("conv1");
    let x = sym::op("BatchNorm").input(x).name("bn1");
    let x = sym::fully_connected(sym::tanh(x).name("tanh1")).num_hidden(10).name("fc1");
    sym::softmax_output(x).name("softmax").build().resolve(&registry()).unwrap()
}

/// A node may have very many outputs: each is named by all names being asked for once.
#[test]
fn many_outputs_have_names() {
    const OUTPUTS: usize = 65_535;
    let parts = sym::op("SliceChannel").input(sym::var("x")).set("num_outputs", OUTPUTS as i64).name("parts");
    let graph = parts.build().resolve(&registry()).unwrap();
    let names = graph.list_outputs();
    assert_eq!((names.len(), &names[OUTPUTS - 1][..]), (OUTPUTS, "parts_output65534"));
    let internals = graph.internals();
    assert_eq!((internals.len(), &internals[OUTPUTS].0[..]), (OUTPUTS + 1, "parts_output65534"));
    assert_eq!(graph.nodes[1].output_name(65_534), "parts_output65534");
}

#[test]
fn labels_are_what_only_goes_into_labels() {
    let flat = sym::reshape(sym::var("classes"), [-1]).name("flat");
    let loss = sym::softmax_output(sym::fully_connected(sym::var("data")).num_hidden(2)).label(flat).name("softmax");
    // An autoencoder's data are no label, though they are compared with.
    let x = sym::var("x").build();
    let same = sym::op("LinearRegressionOutput").input(sym::relu(x.clone())).input(x);
    let graph = Symbol::group(vec![loss.build(), same.build()]).resolve(&registry()).unwrap();
    let names: Vec<_> = graph.labels().into_iter().map(|i| &graph.nodes[i].name[..]).collect();
    assert_eq!(names, ["classes"]);
}

#[test]
fn the_summary_lists_layers_shapes_and_parameters() {
    let graph = net();
    let shapes = infer_shapes(&graph, &[("data", PartialShape::new([64, 1, 28, 28].map(Some)))]).unwrap();
    let text = summary(&graph, &shapes, &["data"]).to_string();
    let lines: Vec<&str> = text.lines().collect();
    let fields =
        |line: &str| line.split("  ").map(str::trim).filter(|f| !f.is_empty()).map(String::from).collect::<Vec<_>>();
    assert_eq!(fields(lines[1]), ["Layer (type)", "Output shape", "Param #", "Multiply-adds", "Previous layer"]);
    let rows: Vec<_> = lines[3..9].iter().map(|l| fields(l)).collect();
    let wanted = [
        vec!["data (null)", "(64, 1, 28, 28)", "0", "0"],
        vec!["conv1 (Convolution)", "(64, 20, 24, 24)", "520", "18432000", "data"],
        vec!["bn1 (BatchNorm)", "(64, 20, 24, 24)", "40", "0", "conv1"],
        vec!["tanh1 (Activation)", "(64, 20, 24, 24)", "0", "0", "bn1"],
        vec!["fc1 (FullyConnected)", "(64, 10)", "115210", "7372800", "tanh1"],
        vec!["softmax (SoftmaxOutput)", "(64, 10)", "0", "0", "fc1, softmax_label"],
    ];
    assert_eq!(rows, wanted);
    let totals = ["Total params: 115770", "Auxiliary states: 40", "Multiply-adds: 25804800 (0.052 GFLOPs)"];
    assert_eq!(lines[lines.len() - 3..], totals);
}

#[test]
fn parameters_that_layers_share_are_counted_once() {
    let w = sym::var("w").build();
    let a = sym::fully_connected(sym::var("x")).num_hidden(4).weight(&w).no_bias(true).build();
    let graph = sym::fully_connected(a).num_hidden(4).weight(&w).no_bias(true).build().resolve(&registry()).unwrap();
    let shapes = infer_shapes(&graph, &[("x", PartialShape::new([Some(2), Some(4)]))]).unwrap();
    assert_eq!(summary(&graph, &shapes, &["x"]).params, 16);
}

#[test]
fn graphviz_gets_every_node_and_edge() {
    let text = dot(&net());
    assert!(text.starts_with("digraph network {\n") && text.ends_with("}\n"));
    assert!(text.contains(r#"n3 [shape=box, label="conv1\nConvolution\nkernel=(5, 5)\nnum_filter=20"];"#), "{text}");
    assert!(text.contains("n0 -> n3;"));
    assert!(text.contains("n6 -> n8 [style=dashed, dir=both];"), "{text}");
    let hostile = r#"{"nodes": [{"op": "null", "name": "a\"]; b", "inputs": []}], "heads": [[0, 0, 0]]}"#;
    let graph = json::from_str(hostile).unwrap().resolve(&registry()).unwrap();
    assert!(dot(&graph).contains(r#"label="a\"]; b""#));
}
