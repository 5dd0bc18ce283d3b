//! Shape and dtype inference over whole graphs.

use crate::support::registry;
use varflow_ops::{DType, PartialShape, Shape};
use varflow_symbol::{Graph, Symbol, infer_dtypes, infer_partial_shapes, infer_shapes, sym};

fn graph(symbol: impl Into<Symbol>) -> Graph {
    symbol.into().resolve(&registry()).unwrap()
}

fn partial(dims: &[usize]) -> PartialShape {
    PartialShape::new(dims.iter().map(|d| Some(*d).filter(|d| *d > 0)))
}

fn shape_of<'a>(graph: &Graph, shapes: &'a [Vec<Shape>], name: &str) -> &'a Shape {
    &shapes[graph.nodes.iter().position(|n| n.name == name).unwrap()][0]
}

#[test]
fn shapes_flow_forward_and_backward() {
    let x = sym::fully_connected(sym::flatten(sym::var("data"))).num_hidden(16).name("fc1");
    let x = sym::softmax_output(sym::fully_connected(sym::relu(x)).num_hidden(10).name("fc2")).name("softmax");
    let graph = graph(x);
    let shapes = infer_shapes(&graph, &[("data", partial(&[32, 1, 28, 28]))]).unwrap();
    let all: Vec<_> = graph.arguments().into_iter().map(|i| shapes[i][0].to_string()).collect();
    assert_eq!(all, ["(32, 1, 28, 28)", "(16, 784)", "(16,)", "(10, 16)", "(10,)", "(32,)"]);

    // From a sum backwards: the other operand, through an activation.
    let (x, y) = (sym::relu(sym::var("x")), sym::var("y"));
    let sum = self::graph(x + y);
    let shapes = infer_shapes(&sum, &[("y", partial(&[2, 3]))]).unwrap();
    assert_eq!(shape_of(&sum, &shapes, "x"), &Shape::new(&[2, 3]));
}

#[test]
fn partial_shapes_from_both_sides_meet() {
    let graph = graph(sym::var("x").shape([0, 3]) + sym::var("y"));
    let shapes = infer_shapes(&graph, &[("y", partial(&[2, 0]))]).unwrap();
    assert_eq!(shapes[0][0], Shape::new(&[2, 3]));
}

#[test]
fn contradictions_name_node_tensor_and_both_shapes() {
    let x = sym::fully_connected(sym::var("data")).num_hidden(10).name("fc1");
    let graph = graph(x);
    let given = [("data", partial(&[32, 128])), ("fc1_weight", partial(&[10, 64]))];
    let text = infer_shapes(&graph, &given).unwrap_err().to_string();
    assert_eq!(text, "FullyConnected \"fc1\": weight has shape (10, 64), wanted (10, 128) from data (32, 128)");

    let w = sym::var("w").shape([10, 64]);
    let shared = self::graph(sym::fully_connected(sym::var("data")).num_hidden(10).weight(w).name("fc1"));
    let text = infer_shapes(&shared, &given[..1]).unwrap_err().to_string();
    assert_eq!(text, "FullyConnected \"fc1\": weight \"w\" has shape (10, 64), wanted (10, 128) from data (32, 128)");

    let flat = sym::flatten(sym::var("data")).name("flat");
    let far = self::graph(sym::fully_connected(flat).num_hidden(10).name("fc1"));
    let given = [("data", partial(&[32, 8, 16])), ("fc1_weight", partial(&[10, 64]))];
    let text = infer_shapes(&far, &given).unwrap_err().to_string();
    assert_eq!(
        text,
        "FullyConnected \"fc1\": weight has shape (10, 64), wanted (10, 128) from data (32, 128) (data is from Flatten \
         \"flat\", weight is given)"
    );

    let shaped = self::graph(sym::relu(sym::var("x").shape([2, 0])));
    let text = infer_shapes(&shaped, &[("x", partial(&[3, 4]))]).unwrap_err().to_string();
    assert_eq!(text, "variable \"x\": the shape given has shape (2, ?), wanted (3, 4)");
}

#[test]
fn what_follows_can_be_asked_for_alone() {
    let x = sym::fully_connected(sym::var("data")).num_hidden(10).name("fc1");
    let graph = graph(sym::op("elemwise_add").input(x).input(sym::var("y")));
    let known = infer_partial_shapes(&graph, &[("y", partial(&[4, 10]))]).unwrap();
    let names = graph.nodes.iter().map(|n| n.name.as_str()).zip(known.concat());
    let told: Vec<String> = names.map(|(name, shape)| format!("{name} {shape}")).collect();
    let wanted =
        ["data (unknown)", "fc1_weight (10, ?)", "fc1_bias (10,)", "fc1 (4, 10)", "y (4, 10)", "elemwise_add0 (4, 10)"];
    assert_eq!(told, wanted);
}

#[test]
fn open_shapes_name_the_variables() {
    let graph = graph(sym::fully_connected(sym::var("data")).num_hidden(10).name("fc1"));
    let none: [(&str, PartialShape); 0] = [];
    let text = infer_shapes(&graph, &none).unwrap_err().to_string();
    let wanted =
        "the shapes given do not determine those of data (unknown), fc1_weight (10, ?): give the shape of data";
    assert_eq!(text, wanted);
    let text = infer_shapes(&graph, &[("daat", partial(&[1]))]).unwrap_err().to_string();
    assert_eq!(text, "the network has no variable \"daat\": wanted one of data, fc1_weight, fc1_bias");
    let bad = self::graph(sym::relu(sym::var("x").attr("__shape__", "(2; 3)")));
    let text = infer_shapes(&bad, &none).unwrap_err().to_string();
    assert_eq!(text, "variable \"x\": attribute __shape__ is \"(2; 3)\", wanted a shape such as (0, 1, 28, 28)");
}

#[test]
fn dtypes_flow_and_default_to_f32() {
    let net = graph(sym::fully_connected(sym::var("data")).num_hidden(10).name("fc1"));
    let none: [(&str, DType); 0] = [];
    assert!(infer_dtypes(&net, &none).unwrap().iter().flatten().all(|d| *d == DType::F32));
    let doubles = infer_dtypes(&net, &[("fc1_bias", DType::F64)]).unwrap();
    assert!(doubles.iter().flatten().all(|d| *d == DType::F64));
    let text = infer_dtypes(&net, &[("data", DType::F32), ("fc1_bias", DType::F64)]).unwrap_err().to_string();
    assert_eq!(text, "FullyConnected \"fc1\": bias has dtype float64, wanted float32");

    let cast = graph(sym::op("Cast").input(sym::var("x").dtype(DType::U8)).set("dtype", DType::F64) + sym::var("y"));
    let dtypes = infer_dtypes(&cast, &none).unwrap();
    assert_eq!(dtypes.concat(), [DType::U8, DType::F64, DType::F64, DType::F64]);
    let bad = graph(sym::relu(sym::var("x").attr("__dtype__", "float33")));
    let text = infer_dtypes(&bad, &none).unwrap_err().to_string();
    assert!(text.contains("attribute __dtype__ is \"float33\""), "{text}");
}

#[test]
fn what_no_memory_could_hold_is_refused_by_name() {
    let refuse = |symbol: Symbol, place: &str| {
        let text = infer_shapes(&graph(symbol), &[("x", partial(&[2]))]).unwrap_err().to_string();
        assert!(text.starts_with(place) && text.contains("memory could hold"), "{text}");
    };
    let vast = 1_i64 << 62;
    refuse(sym::op("one_hot").input(sym::var("x")).set("depth", vast).name("hot").build(), "one_hot \"hot\"");
    let hot = sym::op("one_hot").input(sym::var("x")).set("depth", vast).name("hot");
    refuse(sym::op("sum").input(hot).build(), "one_hot \"hot\"");
    let tiles = sym::op("tile").input(sym::var("x")).set("reps", [1_i64 << 32, 1 << 32]).name("tiles");
    refuse(sym::op("sum").input(tiles).build(), "tile \"tiles\"");
    // Each fits, all together do not.
    let x = sym::var("x").build();
    let large =
        |i: usize| sym::op("one_hot").input(x.clone()).set("depth", 1_i64 << 56).name(format!("hot{i}")).build();
    let all: Vec<Symbol> = (0..8).map(large).collect();
    refuse(Symbol::group(all), "one_hot \"hot");
    let text =
        infer_shapes(&graph(sym::relu(sym::var("x"))), &[("x", partial(&[usize::MAX, 2]))]).unwrap_err().to_string();
    assert!(text.contains("(18446744073709551615, 2)"), "{text}");
}
