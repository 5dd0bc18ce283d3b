//! `BatchNorm` and the rectifier that alone reads it as one node: one pass over memory less each way, and no value between them.

use super::Context;
use super::rewrite::retain;
use crate::placement::GROUP;
use crate::plan::EntryMap;
use crate::{Graph, Node};
use std::sync::Arc;
use varflow_ops::{Entry, Result};

/// The operator that stands for both.
const FUSED: &str = "_FusedBatchNormRelu";

/// Makes a `BatchNorm` whose output a rectifier alone reads, and whose mean and var nobody reads, one node with it. The node stands
/// where the `BatchNorm` stood, so that the moving statistics change when they did, and has the rectifier's name.
pub(super) fn fuse_batch_norm_relu(graph: &mut Graph, context: &Context<'_>) -> Result<()> {
    let registry = context.registry;
    let Ok(fused) = registry.operator(FUSED) else { return Ok(()) };
    let has_kernel = |kind| registry.kernels_of(FUSED).any(|(k, _)| k == kind);
    if !registry.kernels_of("BatchNorm").all(|(kind, _)| has_kernel(kind)) {
        return Ok(());
    }
    let mut readers = EntryMap::from_fn(graph, |_| 0_usize);
    graph.nodes.iter().flat_map(|node| &node.inputs).chain(&graph.outputs).for_each(|e| readers[*e] += 1);
    let mut stands_for: Vec<usize> = (0..graph.nodes.len()).collect();
    for (i, by) in stands_for.iter_mut().enumerate() {
        let relu = &graph.nodes[i];
        let Some(norm) = relu.inputs.first().filter(|_| is_relu(relu)).map(|e| e.node) else { continue };
        let read = readers.node(norm);
        if !is(&graph.nodes[norm], "BatchNorm")
            || relu.inputs[0].output != 0
            || read[0] != 1
            || read[1..].iter().any(|readers| *readers > 0)
            || relu.attrs.get(GROUP) != graph.nodes[norm].attrs.get(GROUP)
        {
            continue;
        }
        let (name, hidden) = (relu.name.clone(), relu.attrs.clone());
        let node = &mut graph.nodes[norm];
        let params = fused.schema().parse(&node.attrs)?;
        (node.name, node.op, node.params) = (name, Some(fused.clone()), params);
        for (key, value) in hidden.iter().filter(|(key, _)| key.starts_with("__")) {
            Arc::make_mut(&mut node.attrs).entry(key.clone()).or_insert_with(|| value.clone());
        }
        *by = norm;
    }
    let keep: Vec<bool> = stands_for.iter().enumerate().map(|(i, by)| i == *by).collect();
    let entries = graph.nodes.iter_mut().flat_map(|node| &mut node.inputs).chain(&mut graph.outputs);
    entries.for_each(|e: &mut Entry| e.node = stands_for[e.node]);
    retain(graph, &keep);
    Ok(())
}

fn is(node: &Node, op: &str) -> bool {
    node.op.as_ref().is_some_and(|o| o.name() == op)
}

fn is_relu(node: &Node) -> bool {
    is(node, "relu") || (is(node, "Activation") && node.params.text("act_type") == "relu")
}

#[cfg(test)]
mod tests {
    use super::super::{Draft, Passes, Stage};
    use crate::plan::EntryMap;
    use crate::{Graph, Symbol, sym};
    use varflow_ops::{Registry, defs};

    /// The graph after the pass.
    fn fused(symbol: &Symbol, stage: Stage) -> Graph {
        let mut registry = Registry::new();
        registry.install(defs::provider()).unwrap();
        let graph = symbol.resolve(&registry).unwrap();
        let descs = EntryMap::from_fn(&graph, |_| None);
        let mut draft = Draft::new(graph, descs);
        Passes::named("fuse_batch_norm_relu").unwrap().run(&mut draft, &registry, stage).unwrap();
        draft.graph
    }

    /// Operators and names, variables left out.
    fn nodes(graph: &Graph) -> Vec<(&str, &str)> {
        let nodes = graph.nodes.iter();
        nodes.filter_map(|node| Some((node.op.as_ref()?.name(), node.name.as_str()))).collect()
    }

    fn norm(data: impl Into<Symbol>, name: &str) -> crate::OpBuilder {
        sym::batch_norm(data).fix_gamma(false).name(name)
    }

    #[test]
    fn both_forms_of_the_rectifier_are_taken_in() {
        let x = sym::activation(norm(sym::var("data"), "bn1"), "relu").name("act");
        let x = sym::op("relu").input(norm(x, "bn2")).name("relu").build();
        for stage in [Stage::Forward, Stage::Inference] {
            let graph = fused(&x, stage);
            assert_eq!(nodes(&graph), [("_FusedBatchNormRelu", "act"), ("_FusedBatchNormRelu", "relu")]);
            assert_eq!(graph.outputs[0].node, graph.nodes.len() - 1);
            assert!(!graph.nodes[graph.outputs[0].node].params.bool("fix_gamma"));
            let names: Vec<_> = graph.auxiliaries().iter().map(|i| graph.nodes[*i].name.clone()).collect();
            assert_eq!(names, ["bn1_moving_mean", "bn1_moving_var", "bn2_moving_mean", "bn2_moving_var"]);
        }
    }

    #[test]
    fn what_others_read_stays() {
        let kept = |symbol: Symbol| {
            let graph = fused(&symbol, Stage::Forward);
            assert!(nodes(&graph).contains(&("BatchNorm", "bn")), "{:?}", nodes(&graph));
        };
        let bn = norm(sym::var("data"), "bn").build();
        kept(sym::group([sym::relu(bn.clone()).name("relu").build(), bn.clone()]));
        kept(sym::broadcast_add(sym::relu(bn.clone()).name("relu"), bn.clone()).name("sum").build());
        kept(sym::group([sym::relu(bn.clone()).name("a").build(), sym::relu(bn.clone()).name("b").build()]));
        kept(sym::tanh(bn.clone()).name("tanh").build());
        kept(sym::relu(bn).attr("__ctx_group__", "other").name("relu").build());
    }

    #[test]
    fn hidden_attributes_stay() {
        let bn = norm(sym::var("data"), "bn").attr("__ctx_group__", "a").attr("__note__", "1");
        let relu = sym::relu(bn).attr("__ctx_group__", "a").attr("__force_mirroring__", "True").name("relu");
        let graph = fused(&relu.build(), Stage::Forward);
        let attrs = &graph.nodes[graph.outputs[0].node].attrs;
        let of = |key: &str| attrs.get(key).map(String::as_str);
        assert_eq!(
            [of("__ctx_group__"), of("__note__"), of("__force_mirroring__")],
            [Some("a"), Some("1"), Some("True")]
        );
    }
}
