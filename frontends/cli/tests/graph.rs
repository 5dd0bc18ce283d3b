//! `varflow graph`.
#![allow(clippy::unwrap_used)]

mod support;

use support::{finish, ok, varflow};

#[test]
fn a_graph_is_shown_before_and_after_passes() {
    let before = ok(&["graph", "--network", "lenet"]).out;
    assert!(
        before.contains("Convolution") && before.contains("conv1") && before.contains("(1, 20, 24, 24)"),
        "{before}"
    );
    let whole = ok(&["graph", "--network", "lenet", "--training"]).out;
    assert!(whole.contains("-- backward") && whole.contains("_backward_Convolution"), "{whole}");
    let nodes = |text: &str| text.lines().count();
    let network = ["graph", "--network", "resnet-20", "--training"];
    let fused = ok(&[&network[..], &["--passes", "dead_code,cse,fuse_elementwise"]].concat()).out;
    assert!(nodes(&fused) < nodes(&ok(&network).out) && fused.contains("_FusedElementwise"), "{fused}");
}

#[test]
fn a_graph_is_drawn_and_told_as_json() {
    let svg = ok(&["graph", "--network", "lenet", "--svg"]).out;
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && svg.contains(">conv1</text>"), "{svg}");
    let dot = ok(&["graph", "--network", "lenet", "--dot"]).out;
    assert!(dot.starts_with("digraph "), "{dot}");
    let json = ok(&["graph", "--network", "lenet", "--json", "--passes", "all"]).out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["outputs"], serde_json::json!(["softmax_output"]));
    assert!(json["nodes"].as_array().unwrap().iter().any(|n| n["name"] == "conv1" && n["shape"][1] == 20));
}

#[test]
fn an_unknown_pass_is_a_usage_error_with_those_that_there_are() {
    let ran = finish(varflow(&["graph", "--network", "lenet", "--passes", "fuse"]).spawn().unwrap());
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("there is no pass \"fuse\": wanted some of dead_code"), "{}", ran.err);
    assert_eq!(finish(varflow(&["graph"]).spawn().unwrap()).code, 2);
}
