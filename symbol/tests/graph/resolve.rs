//! From symbols to graphs: order, names, inputs, attributes, errors.

use crate::support::registry;
use varflow_ops::{DType, Shape};
use varflow_symbol::{AttrText, Symbol, sym};

fn refusal(symbol: impl Into<Symbol>) -> String {
    symbol.into().resolve(&registry()).unwrap_err().to_string()
}

fn lenet() -> Symbol {
    let mut x: Symbol = sym::var("data").into();
    for filters in [20, 50] {
        x = sym::tanh(sym::convolution(x).kernel([5, 5]).num_filter(filters)).build();
        x = sym::pooling(x).pool_type("max").kernel([2, 2]).stride([2, 2]).build();
    }
    let x = sym::tanh(sym::fully_connected(sym::flatten(x)).num_hidden(500));
    sym::softmax_output(sym::fully_connected(x).num_hidden(10)).name("softmax").build()
}

#[test]
fn arguments_are_listed_in_the_order_of_mxnet_under_automatic_names() {
    let graph = lenet().resolve(&registry()).unwrap();
    let wanted = [
        "data",
        "convolution0_weight",
        "convolution0_bias",
        "convolution1_weight",
        "convolution1_bias",
        "fullyconnected0_weight",
        "fullyconnected0_bias",
        "fullyconnected1_weight",
        "fullyconnected1_bias",
        "softmax_label",
    ];
    assert_eq!(graph.list_arguments(), wanted);
    assert_eq!(graph.list_outputs(), ["softmax_output"]);
    assert!(graph.list_auxiliaries().is_empty());
}

#[test]
fn numbers_follow_post_order_and_pass_over_taken_names() {
    // The bias comes after the missing weight in the list of arguments, but its node before its consumer.
    let inner = sym::fully_connected(sym::var("y")).num_hidden(3);
    let outer = sym::fully_connected(sym::var("x")).num_hidden(3).bias(inner);
    let graph = outer.build().resolve(&registry()).unwrap();
    let wanted = ["x", "fullyconnected1_weight", "y", "fullyconnected0_weight", "fullyconnected0_bias"];
    assert_eq!(graph.list_arguments(), wanted);

    let taken = sym::relu(sym::var("x")).name("activation0");
    let graph = sym::relu(sym::relu(taken)).build().resolve(&registry()).unwrap();
    let names: Vec<_> = graph.nodes.iter().map(|n| n.name.as_str()).collect();
    assert_eq!(names, ["x", "activation0", "activation1", "activation2"]);
}

#[test]
fn auxiliary_states_are_made_and_kept_apart() {
    let x = sym::op("BatchNorm").input(sym::var("data")).name("bn");
    let graph = x.build().resolve(&registry()).unwrap();
    assert_eq!(graph.list_arguments(), ["data", "bn_gamma", "bn_beta"]);
    assert_eq!(graph.list_auxiliaries(), ["bn_moving_mean", "bn_moving_var"]);
    assert_eq!(graph.list_outputs(), ["bn_output"], "hidden outputs are no heads");
}

#[test]
fn a_shared_symbol_is_one_node() {
    let w = sym::var("w").lr_mult(2.0).build();
    let a = sym::fully_connected(sym::var("x")).num_hidden(4).weight(&w).no_bias(true).build();
    let b = sym::fully_connected(&a).num_hidden(4).weight(&w).no_bias(true);
    let graph = (a + b).build().resolve(&registry()).unwrap();
    assert_eq!(graph.list_arguments(), ["x", "w"]);
    let names: Vec<_> = graph.nodes.iter().map(|n| n.name.as_str()).collect();
    assert_eq!(names, ["x", "w", "fullyconnected0", "fullyconnected1", "elemwise_add0"]);
    assert_eq!(graph.nodes[1].attrs["__lr_mult__"], "2");
}

#[test]
fn aliases_become_their_operators() {
    let graph = sym::op("Softmax").input(sym::var("x")).build().resolve(&registry()).unwrap();
    assert_eq!(graph.nodes.last().unwrap().place(), "SoftmaxOutput \"softmaxoutput0\"");
}

#[test]
fn variables_made_for_a_node_get_its_hidden_attributes() {
    let x =
        sym::convolution(sym::var("x")).kernel([1, 1]).num_filter(2).attr("__lr_mult__", 0.5).attr("__shape__", "(1,)");
    let graph = x.build().resolve(&registry()).unwrap();
    let of = |name: &str| &graph.nodes.iter().find(|n| n.name == name).unwrap().attrs;
    assert_eq!(of("convolution0_weight")["__lr_mult__"], "0.5");
    assert_eq!(
        of("convolution0_weight").len(),
        1,
        "neither parameters nor a shape of its own: {:?}",
        of("convolution0_weight")
    );
    assert!(of("x").is_empty());
}

#[test]
fn attributes_of_old_files_reach_the_variable_that_they_are_meant_for() {
    let x = sym::fully_connected(sym::var("x")).num_hidden(2).set("weight_lr_mult", 0.1).set("wd_mult", 3.0).name("fc");
    let graph = x.build().resolve(&registry()).unwrap();
    let of = |name: &str| &graph.nodes.iter().find(|n| n.name == name).unwrap().attrs;
    assert_eq!(of("fc_weight")["__lr_mult__"], "0.1");
    assert!(!of("fc_bias").contains_key("__lr_mult__"));
    assert_eq!(of("fc")["__wd_mult__"], "3");
    let text = refusal(sym::fully_connected(sym::var("x")).num_hidden(2).set("heft_lr_mult", 0.1).name("fc"));
    assert_eq!(text, "FullyConnected \"fc\": unknown parameter \"heft_lr_mult\": it has no input \"heft\"");
}

#[test]
fn scalars_and_symbols_compose() {
    let x = sym::var("x").build();
    let y = 1.0 - (&x * 2.0 + &x) / 4.0 - (-x.clone());
    let graph = y.build().resolve(&registry()).unwrap();
    let ops: Vec<_> = graph.nodes.iter().filter_map(|n| n.op.as_ref()).map(|op| op.name().to_string()).collect();
    assert_eq!(ops, ["_mul_scalar", "elemwise_add", "_div_scalar", "_rminus_scalar", "negative", "elemwise_sub"]);
    assert_eq!(graph.nodes[1].params.float("scalar"), 2.0);
}

#[test]
fn a_head_without_number_is_all_visible_outputs() {
    let split = sym::op("split_test").input(sym::var("x")).set("n", 3).name("s").build();
    let graph = split.resolve(&registry()).unwrap();
    assert_eq!(graph.list_outputs(), ["s_output0", "s_output1", "s_output2"]);
    let one = sym::relu(split.output(2).unwrap()).build().resolve(&registry()).unwrap();
    assert_eq!(one.nodes.last().unwrap().inputs[0].output, 2);
    let text = refusal(sym::relu(&split).name("r"));
    assert_eq!(text, "Activation \"r\": input data: is split_test \"s\", which has 3 outputs: choose one by output(i)");
    let text = refusal(split.output(3).unwrap());
    assert_eq!(text, "split_test \"s\": has 3 outputs, there is no output 3");
}

#[test]
fn groups_keep_their_order() {
    let (x, y) = (sym::relu(sym::var("x")).name("a"), sym::tanh(sym::var("y")).name("b"));
    let group = sym::group([Symbol::from(x), y.into()]);
    assert_eq!(group.resolve(&registry()).unwrap().list_outputs(), ["a_output", "b_output"]);
    assert_eq!(group.output(1).unwrap().name(), Some("b"));
    let text = group.output(2).unwrap_err().to_string();
    assert_eq!(text, "Symbol(Activation \"a\", Activation \"b\") has 2 outputs, there is no output 2");
}

#[test]
fn a_network_can_be_cut_at_a_layer() {
    let internals = lenet().internals(&registry()).unwrap();
    let (_, features) = internals.iter().find(|(name, _)| name == "activation2_output").unwrap();
    let graph = features.resolve(&registry()).unwrap();
    assert_eq!(graph.list_arguments().last(), Some(&"fullyconnected0_bias"));
    assert_eq!(graph.list_outputs(), ["activation2_output"]);
}

#[test]
fn operators_of_any_number_of_inputs_count_them() {
    let inputs = (0..3).map(|i| sym::var(&format!("x{i}")));
    let graph = sym::op("add_n").input(sym::group(inputs)).build().resolve(&registry()).unwrap();
    let node = graph.nodes.last().unwrap();
    assert_eq!((node.inputs.len(), node.attrs["num_args"].as_str()), (3, "3"));
    let text = refusal(sym::op("add_n").input(sym::var("x")).set("num_args", 60_000).name("a"));
    assert_eq!(text, "add_n \"a\": has 1 input, but its parameter num_args is 60000");
}

#[test]
fn errors_name_the_node_and_what_was_wanted() {
    let x = || sym::var("x");
    let text = refusal(sym::op("Convolutoin").input(x()).name("c"));
    assert!(
        text.starts_with(
            "Convolutoin \"c\": nobody provides operator \"Convolutoin\"; the nearest names are Convolution"
        ),
        "{text}"
    );
    let text = refusal(sym::relu(x()).input(x().build()).name("r"));
    assert_eq!(text, "Activation \"r\": has 2 inputs, wanted 1: data");
    let text = refusal(sym::fully_connected(x()).num_hidden(2).input_named("wieght", sym::var("w")));
    assert_eq!(text, "FullyConnected (unnamed): unknown input \"wieght\": wanted one of data, weight, bias");
    let text = refusal(sym::fully_connected(x()).num_hidden(2).weight(sym::var("v")).weight(sym::var("w")).name("f"));
    assert_eq!(text, "FullyConnected \"f\": input weight is given twice: as variable \"v\" and as variable \"w\"");
    let text = refusal(sym::fully_connected(x()).name("f"));
    assert!(text.starts_with("FullyConnected \"f\": parameter \"num_hidden\" is missing: wanted an integer"), "{text}");
    let text = refusal(x() + x());
    assert!(text.starts_with("the name \"x\" is used twice: by variable \"x\" and by variable \"x\""), "{text}");
    let text = refusal(sym::relu(sym::fully_connected(sym::var("f_weight")).num_hidden(1).name("f")));
    let wanted = "the name \"f_weight\" is used twice: by variable \"f_weight\" and by the variable for input weight of \
                  FullyConnected \"f\"";
    assert!(text.starts_with(wanted), "{text}");
    assert_eq!(refusal(sym::relu(sym::var(""))), "variable \"\": its name is empty: wanted at least one character");
}

#[test]
fn values_become_the_texts_of_mxnet() {
    let texts = [
        (true.attr_text(), "True"),
        (0.1_f32.attr_text(), "0.1"),
        (1e-5_f64.attr_text(), "0.00001"),
        ([0_usize; 0].attr_text(), "()"),
        ([5_usize].attr_text(), "(5,)"),
        (vec![-1_i64, 3].attr_text(), "(-1, 3)"),
        (Shape::new(&[2, 3]).attr_text(), "(2, 3)"),
        (DType::F16.attr_text(), "float16"),
        ("max".attr_text(), "max"),
    ];
    for (text, wanted) in texts {
        assert_eq!(text, wanted);
    }
}
