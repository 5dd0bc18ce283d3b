//! Planning without binding, and what is told of a plan: its blocks over time, the edges that it adds, its picture.
#![allow(clippy::unwrap_used)]

mod executor_support;

use executor_support::{Choice, given, options, program, programs, registry, runtime};
use proptest::prelude::*;
use std::collections::BTreeSet;
use varflow_engine::Engine;
use varflow_ops::Entry;
use varflow_symbol::plan::{Edge, InPlace, Occupant, Place, Timeline, arena_svg, edges, occupant_name};
use varflow_symbol::{BindOptions, Executor, PlannedNetwork, check_plan, planned};

fn plan(choices: &[Choice], heads: &[usize], options: &BindOptions) -> PlannedNetwork {
    planned(&registry(), &program(choices, heads), &given(), options).unwrap()
}

/// The edges by their definition: for each two nodes in order, whether the second overwrites what the first touches, and whether
/// it reads what depends on the first.
fn edges_by_definition(net: &PlannedNetwork) -> Vec<(usize, usize, bool)> {
    let order: Vec<usize> = net.phases.iter().flatten().copied().collect();
    let root = |e: Entry| if let Place::View(view) = net.plan.places[e] { view.of } else { e };
    let touches = |node: usize, occupant: Occupant| match occupant {
        Occupant::Workspace(of) => of == node,
        Occupant::Entry(e) => e.node == node || net.graph.nodes[node].inputs.iter().any(|i| root(*i) == e),
    };
    let mut found = Vec::new();
    let phase = |node: usize| net.phases.iter().position(|nodes| nodes.contains(&node));
    for (k, second) in order.iter().enumerate() {
        let mut needed = BTreeSet::from([*second]);
        for node in order[..k].iter().rev() {
            if needed.iter().any(|n| net.graph.nodes[*n].inputs.iter().any(|e| e.node == *node)) {
                needed.insert(*node);
            }
        }
        for first in order[..k].iter().filter(|first| phase(**first) == phase(*second)) {
            if net.plan.clobbers[*second].iter().any(|o| touches(*first, *o)) {
                found.push((*first, *second, !needed.contains(first)));
            }
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_is_that_of_the_bound_executor((choices, heads) in programs(25), for_training: bool) {
        let rt = runtime(&Engine::builder().cpu_workers(1).build().unwrap());
        let options = options(for_training);
        let net = plan(&choices, &heads, &options);
        let executor = Executor::bind_graph(&rt, &program(&choices, &heads), &given(), &options).unwrap();
        prop_assert_eq!(&net.report, executor.plan());
        let grads: usize = executor.grads().iter().map(|(_, t)| t.desc().len_bytes()).sum();
        let with_states = BindOptions { optimizer_states: 2, ..options };
        prop_assert_eq!(plan(&choices, &heads, &with_states).report.optimizer_bytes, 2 * grads);
    }

    #[test]
    fn a_timeline_holds_what_is_in_the_arena((choices, heads) in programs(25), for_training: bool) {
        let net = plan(&choices, &heads, &options(for_training));
        let timeline = Timeline::new(&net.input(), &net.plan).unwrap();
        let members: usize = timeline.blocks.iter().map(|b| b.members.len()).sum();
        let placed = net.plan.places.iter().filter(|(_, p)| matches!(p, Place::Arena(_))).count();
        prop_assert_eq!(members, placed + net.plan.workspaces.iter().flatten().count());
        let output = |p: &InPlace| net.plan.places[Entry { node: p.node, output: p.output }];
        let replaced = net.plan.inplace.iter().filter(|p| matches!(output(p), Place::Arena(_))).count();
        prop_assert_eq!(members - timeline.blocks.len(), replaced);
        prop_assert_eq!(timeline.alive_bytes.iter().copied().max().unwrap_or(0), net.plan.lower_bound_bytes);
        for step in 0..timeline.order.len() {
            let mut alive = timeline.alive_at(step);
            prop_assert_eq!(alive.iter().map(|b| b.bytes.len()).sum::<usize>(), timeline.alive_bytes[step]);
            alive.sort_by_key(|b| (b.bytes.start, b.bytes.end));
            prop_assert!(alive.windows(2).all(|two| two[0].bytes.end <= two[1].bytes.start));
            prop_assert!(alive.iter().all(|b| b.holder(step).is_some()));
        }
        prop_assert_eq!(timeline.peak().map_or(0, |step| timeline.alive_bytes[step]), net.plan.lower_bound_bytes);
    }

    #[test]
    fn edges_are_those_of_their_definition((choices, heads) in programs(25), for_training: bool, distance in 0..9_usize) {
        let net = plan(&choices, &heads, &BindOptions { reuse_distance: distance, ..options(for_training) });
        let found = edges(&net.input(), &net.plan).unwrap();
        let found: Vec<_> = found.iter().map(|e: &Edge| (e.first, e.then, e.is_beyond_data)).collect();
        prop_assert_eq!(found, edges_by_definition(&net));
    }

    #[test]
    fn nodes_near_each_other_wait_for_data_only((choices, heads) in programs(25), for_training: bool, distance in 1..30_usize) {
        let options = options(for_training);
        let smallest = plan(&choices, &heads, &options);
        let order: Vec<usize> = smallest.phases.iter().flatten().copied().collect();
        let step = |node: usize| order.iter().position(|n| *n == node).unwrap();
        for distance in [distance, usize::MAX] {
            let net = plan(&choices, &heads, &BindOptions { reuse_distance: distance, ..options.clone() });
            check_plan(&net.input(), &net.plan).unwrap();
            prop_assert!(net.plan.planned_bytes >= smallest.plan.lower_bound_bytes);
            for edge in edges(&net.input(), &net.plan).unwrap().iter().filter(|e| e.is_beyond_data) {
                prop_assert!(step(edge.then) - step(edge.first) > distance, "{:?} at {}", edge, distance);
            }
        }
    }

    #[test]
    fn a_picture_has_all_blocks((choices, heads) in programs(25), for_training: bool) {
        let net = plan(&choices, &heads, &options(for_training));
        let timeline = Timeline::new(&net.input(), &net.plan).unwrap();
        let svg = arena_svg(&net.graph, &net.plan, &timeline, "a < b & \"c\"");
        prop_assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        prop_assert!(svg.contains(">a &lt; b &amp; \"c\"</text>"));
        prop_assert!(!svg.contains("NaN") && !svg.contains("inf"));
        let shown = timeline.blocks.iter().filter(|b| !b.bytes.is_empty()).count();
        prop_assert_eq!(svg.matches("<title>").count(), shown);
        for (_, occupant) in timeline.blocks.iter().filter(|b| !b.bytes.is_empty()).flat_map(|b| &b.members) {
            prop_assert!(svg.contains(&occupant_name(&net.graph, *occupant)));
        }
    }
}
