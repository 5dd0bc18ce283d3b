//! Composition, and scopes.

use crate::support::registry;
use varflow_symbol::{Scope, Symbol, sym};

fn arguments(symbol: &Symbol) -> Vec<String> {
    symbol.resolve(&registry()).unwrap().list_arguments().into_iter().map(String::from).collect()
}

fn layer(data: &str, name: &str) -> Symbol {
    sym::fully_connected(sym::var(data)).num_hidden(4).name(name).build()
}

#[test]
fn variables_are_replaced() {
    let head = layer("x", "head");
    let net = head.compose([("x", layer("data", "body"))]).unwrap();
    assert_eq!(arguments(&net), ["data", "body_weight", "body_bias", "head_weight", "head_bias"]);
    // The network that it is made of stays as it is.
    assert_eq!(arguments(&head), ["x", "head_weight", "head_bias"]);
    // A group keeps its parts, and a variable that is an output is replaced too.
    let group = Symbol::group([layer("x", "a"), sym::var("x").build()]);
    let composed = group.compose([("x", layer("y", "b"))]).unwrap().resolve(&registry()).unwrap();
    assert_eq!(composed.list_outputs(), ["a_output", "b_output"]);
    // One output of several.
    let split = sym::op("split_test").input(sym::var("data")).set("n", 2).name("two").build();
    let net = head.compose([("x", split.output(1).unwrap())]).unwrap().resolve(&registry()).unwrap();
    let fc = net.nodes.iter().find(|n| n.name == "head").unwrap();
    assert_eq!(net.nodes[fc.inputs[0].node].name, "two");
    assert_eq!(fc.inputs[0].output, 1);
}

#[test]
fn what_is_shared_stays_shared() {
    let body = layer("data", "body");
    let net = Symbol::group([body.clone(), layer("x", "head")]);
    let net = net.compose([("x", body)]).unwrap();
    assert_eq!(arguments(&net), ["data", "body_weight", "body_bias", "head_weight", "head_bias"]);
}

#[test]
fn wrong_compositions_are_refused() {
    let net = sym::op("elemwise_add").input(layer("x", "a")).input(sym::var("y")).build();
    let error = |with: Vec<(&str, Symbol)>| net.compose(with).unwrap_err().to_string();
    let v = |name: &str| sym::var(name).build();
    assert_eq!(error(vec![("z", v("b"))]), "no variable is called \"z\": wanted one of x, y");
    assert_eq!(error(vec![("x", v("b")), ("x", v("c"))]), "the variable \"x\" is given twice");
    let group = Symbol::group([v("b"), v("c")]);
    assert_eq!(error(vec![("x", group)]), "x is to be a group of 2 outputs, wanted one output");
}

#[test]
fn deep_networks_are_composed() {
    let deep = (0..100_000).fold(sym::var("x").build(), |x, _| sym::relu(x).build());
    let net = deep.compose([("x", sym::var("data").build())]).unwrap();
    drop(deep);
    assert_eq!(arguments(&net), ["data"]);
}

#[test]
fn scopes_give_names_and_attributes() {
    let outer = Scope::new().prefix("net_").ctx_group("dev1").wd_mult(0.0);
    let net = outer.within(|| {
        let x = sym::fully_connected(sym::var("data")).num_hidden(4);
        Scope::new().prefix("top_").ctx_group("dev2").within(|| {
            let x = sym::relu(x).name("act");
            sym::fully_connected(x).num_hidden(4).attr("__wd_mult__", 2.0).build()
        })
    });
    let graph = net.resolve(&registry()).unwrap();
    let names: Vec<&str> = graph.nodes.iter().map(|n| n.name.as_str()).collect();
    let first = "net_fullyconnected0";
    let last = "net_top_fullyconnected0";
    assert_eq!(names[..4], ["data", "net_fullyconnected0_weight", "net_fullyconnected0_bias", first]);
    assert_eq!(names[4..], ["net_top_act", "net_top_fullyconnected0_weight", "net_top_fullyconnected0_bias", last]);
    let attr = |name: &str, key: &str| {
        graph.nodes.iter().find(|n| n.name == name).unwrap().attrs.get(key).cloned().unwrap_or_default()
    };
    assert_eq!((attr(first, "__ctx_group__"), attr(last, "__ctx_group__")), ("dev1".into(), "dev2".into()));
    assert_eq!(attr("data", "__ctx_group__"), "dev1");
    assert_eq!(attr("net_top_fullyconnected0_weight", "__wd_mult__"), "2");
    assert_eq!(attr("net_fullyconnected0_weight", "__wd_mult__"), "0");
    // Outside nothing is left of it.
    assert_eq!(arguments(&sym::relu(sym::var("x")).build()), ["x"]);
    assert!(sym::relu(sym::var("x")).build().resolve(&registry()).unwrap().nodes[1].name == "activation0");
}
