//! Symbol JSON of every vintage, in and out.

use crate::support::registry;
use proptest::prelude::*;
use varflow_ops::PartialShape;
use varflow_symbol::{Graph, Symbol, infer_shapes, json, sym};

const MIXED: &str = include_str!("data/mixed-symbol.json");
const LENET: &str = include_str!("data/lenet-symbol.json");

fn read(text: &str) -> Graph {
    json::from_str(text).unwrap().resolve(&registry()).unwrap()
}

fn refusal(text: &str) -> String {
    json::from_str(text).unwrap_err().to_string()
}

/// The lists are what MXNet 1.9.1 printed for the network when it wrote the file.
#[test]
fn a_file_of_mxnet_gives_the_network_that_it_was() {
    let graph = read(MIXED);
    let arguments = [
        "data",
        "conv1_weight",
        "conv1_bias",
        "bn1_gamma",
        "bn1_beta",
        "fullyconnected0_weight",
        "fullyconnected0_bias",
        "shared",
        "b_bias",
        "fc_weight",
        "fc_bias",
        "softmax_label",
    ];
    assert_eq!(graph.list_arguments(), arguments);
    assert_eq!(graph.list_auxiliaries(), ["bn1_moving_mean", "bn1_moving_var"]);
    assert_eq!(graph.list_outputs(), ["softmax_output", "feature_output"]);
    let internals: Vec<_> = graph.internals().into_iter().map(|(name, _)| name).collect();
    let wanted = "data conv1_weight conv1_bias conv1_output bn1_gamma bn1_beta bn1_moving_mean bn1_moving_var bn1_output \
                  activation0_output pooling0_output flatten0_output fullyconnected0_weight fullyconnected0_bias \
                  fullyconnected0_output shared a_output b_bias b_output _mulscalar0_output _plus0_output dropout0_output \
                  fc_weight fc_bias fc_output softmax_label softmax_output feature_output";
    assert_eq!(internals.join(" "), wanted);
    let shapes = infer_shapes(&graph, &[("data", PartialShape::new([5, 1, 8, 8].map(Some)))]).unwrap();
    let of = |nodes: Vec<usize>| nodes.into_iter().map(|i| shapes[i][0].to_string()).collect::<Vec<_>>().join(" ");
    let wanted = "(5, 1, 8, 8) (4, 1, 3, 3) (4,) (4,) (4,) (6, 36) (6,) (6, 6) (6,) (3, 6) (3,) (5,)";
    assert_eq!(of(graph.arguments()), wanted);
    assert_eq!(of(graph.auxiliaries()), "(4,) (4,)");
    assert_eq!(graph.nodes[1].attrs["__lr_mult__"], "0.5");
}

#[test]
fn lenet_of_mxnet_has_the_same_shapes_here() {
    let graph = read(LENET);
    let shapes = infer_shapes(&graph, &[("data", PartialShape::new([7, 1, 28, 28].map(Some)))]).unwrap();
    let all: Vec<_> = graph.arguments().into_iter().map(|i| shapes[i][0].to_string()).collect();
    let wanted = "(7, 1, 28, 28) (20, 1, 5, 5) (20,) (50, 20, 5, 5) (50,) (500, 800) (500,) (10, 500) (10,) (7,)";
    assert_eq!(all.join(" "), wanted);
}

#[test]
fn what_is_written_says_what_mxnet_wrote() {
    for text in [MIXED, LENET] {
        let mut values =
            [text, &json::to_string(&read(text))].map(|t| serde_json::from_str::<serde_json::Value>(t).unwrap());
        // It counts hidden outputs, which are each library's own affair.
        for value in &mut values {
            value.as_object_mut().unwrap().remove("node_row_ptr").unwrap();
        }
        let [theirs, ours] = values;
        assert_eq!(theirs, ours);
    }
}

/// One small network as each generation of MXNet wrote it.
#[test]
fn all_vintages_read_alike() {
    let before_0_9 = r#"{"nodes": [
        {"op": "null", "param": {}, "name": "data", "inputs": [], "backward_source_id": -1},
        {"op": "null", "param": {}, "name": "fc_weight", "inputs": [], "backward_source_id": -1, "attr": {"lr_mult": "0.5"}},
        {"op": "null", "param": {}, "name": "fc_bias", "inputs": [], "backward_source_id": -1},
        {"op": "FullyConnected", "param": {"no_bias": "False", "num_hidden": "10"}, "name": "fc",
         "inputs": [[0, 0], [1, 0], [2, 0]], "backward_source_id": -1, "attr": {"ctx_group": "dev1"}},
        {"op": "null", "param": {}, "name": "bn_gamma", "inputs": [], "backward_source_id": -1},
        {"op": "null", "param": {}, "name": "bn_beta", "inputs": [], "backward_source_id": -1},
        {"op": "BatchNorm", "param": {"fix_gamma": "False"}, "name": "bn", "inputs": [[3, 0], [4, 0], [5, 0]],
         "backward_source_id": -1}],
        "arg_nodes": [0, 1, 2, 4, 5], "heads": [[6, 0]]}"#;
    let at_0_9 = r#"{"nodes": [
        {"op": "null", "name": "data", "inputs": []},
        {"op": "null", "name": "fc_weight", "attr": {"__lr_mult__": "0.5"}, "inputs": []},
        {"op": "null", "name": "fc_bias", "inputs": []},
        {"op": "FullyConnected", "name": "fc", "attr": {"no_bias": "False", "num_hidden": "10", "__ctx_group__": "dev1"},
         "inputs": [[0, 0, 0], [1, 0, 0], [2, 0, 0]], "control_deps": []},
        {"op": "null", "name": "bn_gamma", "inputs": []},
        {"op": "null", "name": "bn_beta", "inputs": []},
        {"op": "null", "name": "bn_moving_mean", "inputs": []},
        {"op": "null", "name": "bn_moving_var", "inputs": []},
        {"op": "BatchNorm", "name": "bn", "attr": {"fix_gamma": "False"},
         "inputs": [[3, 0, 0], [4, 0, 0], [5, 0, 0], [6, 0, 1], [7, 0, 1]]}],
        "arg_nodes": [0, 1, 2, 4, 5, 6, 7], "node_row_ptr": [0, 1, 2, 3, 4, 5, 6, 7, 8, 11],
        "heads": [[8, 0, 0]], "attrs": {"mxnet_version": ["int", 903]}}"#;
    let today = at_0_9.replace("\"attr\"", "\"attrs\"");
    let graphs = [before_0_9, at_0_9, &today].map(read);
    assert_eq!(graphs[0].list_auxiliaries(), ["bn_moving_mean", "bn_moving_var"]);
    assert_eq!(graphs[0].nodes[1].attrs["__lr_mult__"], "0.5");
    let [a, b, c] = graphs.map(|g| json::to_string(&g));
    assert_eq!(a, b);
    assert_eq!(b, c);
}

/// Until 0.9.5 an axis of -1 stood for none.
#[test]
fn what_old_files_mean_by_no_axis() {
    let file = |version: &str| {
        format!(
            r#"{{"nodes": [{{"op": "null", "name": "x", "inputs": []}},
            {{"op": "argmax", "name": "m", "attr": {{"axis": "-1"}}, "inputs": [[0, 0]]}}], "heads": [[1, 0]]{version}}}"#
        )
    };
    let axis = |version: &str| read(&file(version)).nodes[1].attrs.get("axis").cloned();
    assert_eq!(axis(""), None);
    assert_eq!(axis(r#", "attrs": {"mxnet_version": ["int", 904]}"#), None);
    assert_eq!(axis(r#", "attrs": {"mxnet_version": ["int", 10901]}"#), Some("-1".to_string()));
    let text = refusal(&file(r#", "attrs": {"mxnet_version": "1.9.1"}"#));
    assert_eq!(text, "symbol JSON: \"mxnet_version\" is \"1.9.1\", wanted [\"int\", 10901]");
}

#[test]
fn broken_files_are_refused_with_the_node_and_what_was_wanted() {
    let cases = [
        ("{", "symbol JSON: EOF while parsing an object at line 1 column 1"),
        ("[]", "symbol JSON: wanted a list \"nodes\""),
        ("{\"nodes\": []}", "symbol JSON: wanted a list \"heads\""),
        (r#"{"nodes": [7], "heads": []}"#, "symbol JSON: node 0: is 7, wanted an object"),
        (r#"{"nodes": [{"name": "a"}], "heads": []}"#, "symbol JSON: node 0 \"a\": \"op\" is missing, wanted a text"),
        (
            r#"{"nodes": [{"op": 1, "name": "a"}], "heads": []}"#,
            "symbol JSON: node 0 \"a\": \"op\" is 1, wanted a text",
        ),
        (
            r#"{"nodes": [{"op": "null", "name": "a"}], "heads": []}"#,
            "symbol JSON: node 0 \"a\": \"inputs\" is missing, wanted a list",
        ),
        (
            r#"{"nodes": [{"op": "relu", "name": "a", "inputs": [[1, 0]]}, {"op": "relu", "name": "b", "inputs": [[0, 0]]}], "heads": []}"#,
            "symbol JSON: node 0 \"a\": input 0: is [1,0], wanted [node, output, version] with a node from 0 to before 0",
        ),
        (
            r#"{"nodes": [{"op": "null", "name": "a", "inputs": []}], "heads": [[0, -1, 0]]}"#,
            "symbol JSON: head 0: is [0,-1,0], wanted [node, output, version] with a node from 0 to before 1",
        ),
        (
            r#"{"nodes": [{"op": "null", "name": "a", "inputs": [], "attrs": {"k": [1]}}], "heads": [[0, 0, 0]]}"#,
            "symbol JSON: node 0 \"a\": attribute \"k\" is [1], wanted a text such as \"10\" or \"(3, 3)\"",
        ),
    ];
    for (text, wanted) in cases {
        assert_eq!(refusal(text), wanted);
    }
    assert!(refusal(&"[".repeat(100_000)).contains("recursion limit"), "nesting is bounded");
    let far = r#"{"nodes": [{"op": "null", "name": "a", "inputs": []}], "heads": [[0, 4, 0]]}"#;
    let text = json::from_str(far).unwrap().resolve(&registry()).unwrap_err().to_string();
    assert_eq!(text, "variable \"a\": has 1 output, there is no output 4");
}

#[test]
fn files_are_named_in_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net-symbol.json");
    assert!(json::load(&path).unwrap_err().to_string().contains("cannot read"));
    std::fs::write(&path, "{}").unwrap();
    let text = json::load(&path).unwrap_err().to_string();
    assert_eq!(text, format!("{}: symbol JSON: wanted a list \"nodes\"", path.display()));
    json::save(&path, &read(LENET)).unwrap();
    assert_eq!(json::load(&path).unwrap().resolve(&registry()).unwrap().nodes.len(), read(LENET).nodes.len());
}

/// A random network over one input: (operation, two inputs, name or none).
fn network() -> impl Strategy<Value = Symbol> {
    let index = any::<prop::sample::Index>;
    let name = prop::option::of("[a-z\"\\\\é\n]{1,6}");
    let ops = prop::collection::vec((0..5_u8, index(), index(), name, "[ -~]{0,8}"), 1..20);
    (ops, prop::collection::vec(index(), 1..4)).prop_map(|(ops, heads)| {
        let mut all: Vec<Symbol> = vec![sym::var("data").into()];
        for (i, (op, a, b, name, hidden)) in ops.into_iter().enumerate() {
            let (a, b) = (&all[a.index(all.len())], &all[b.index(all.len())]);
            let new = match op {
                0 => a + b,
                1 => sym::op("split_test").input(a).set("n", 1),
                2 => sym::op("BatchNorm").input(a),
                3 => sym::op("add_n").input(a).input(b).input(a),
                _ => sym::fully_connected(a).num_hidden(3).bias(sym::var(&format!("bias{i}")).lr_mult(0.1)),
            };
            let new = new.attr("__note__", hidden);
            all.push(match name {
                Some(name) => new.name(format!("{name}{i}")).build(),
                None => new.build(),
            });
        }
        Symbol::group(heads.iter().map(|h| all[h.index(all.len())].clone()))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn saving_and_loading_keeps_the_graph(net in network()) {
        let graph = net.resolve(&registry()).unwrap();
        let text = json::to_string(&graph);
        let again = read(&text);
        prop_assert_eq!(&json::to_string(&again), &text);
        prop_assert_eq!(&graph.outputs, &again.outputs);
        for (a, b) in graph.nodes.iter().zip(&again.nodes) {
            prop_assert_eq!((&a.name, &a.params, &a.attrs, &a.inputs), (&b.name, &b.params, &b.attrs, &b.inputs));
        }
    }

    /// Whatever a byte is changed to, reading gives a network or an error.
    #[test]
    fn damaged_files_do_no_harm(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = LENET.as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(symbol) = json::from_str(&String::from_utf8_lossy(&bytes)) {
            let _ = symbol.resolve(&registry());
        }
    }
}
