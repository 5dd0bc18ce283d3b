//! The memory planner: sound by the checker's proof, small by the liveness bound, quick on large graphs.
#![allow(clippy::unwrap_used)]

mod executor_support;

use executor_support::{LEN, build, programs, registry};
use proptest::prelude::*;
use std::collections::HashSet;
use std::time::{Duration, Instant};
use varflow_ops::{DType, Entry, PartialShape, TensorDesc};
use varflow_symbol::plan::{EntryMap, Occupant, Place, Plan, PlanInput, View, runs, views, wanted};
use varflow_symbol::{Graph, check_plan, gradient, infer_shapes};

struct Case {
    graph: Graph,
    descs: EntryMap<TensorDesc>,
    workspace_bytes: Vec<usize>,
    groups: Vec<usize>,
    views: EntryMap<Option<View>>,
    phases: Vec<Vec<usize>>,
    hosts: HashSet<Entry>,
    reuse_distance: usize,
}

impl Case {
    /// `cuts` are the positions, in parts of 1000, where phases end.
    fn new(graph: Graph, cuts: &[usize], workspace: impl Fn(usize) -> usize) -> Case {
        let data = |name: &str| (name.to_string(), PartialShape::new([Some(LEN)]));
        let given = ["data0", "data1", "weight0", "weight1"].map(data);
        let shapes = infer_shapes(&graph, &given).unwrap();
        let descs = EntryMap::from_fn(&graph, |e| TensorDesc::new(shapes[e.node][e.output].clone(), DType::F32));
        let wanted = wanted(&graph);
        let order: Vec<usize> = (0..graph.nodes.len()).filter(|i| runs(&graph, &wanted, *i)).collect();
        let mut phases = vec![Vec::new(); cuts.len() + 1];
        for (position, node) in order.iter().enumerate() {
            let phase = cuts.iter().filter(|c| **c * order.len() <= position * 1000).count();
            phases[phase].push(*node);
        }
        let workspace_bytes = (0..graph.nodes.len()).map(workspace).collect();
        let groups = vec![0; graph.nodes.len()];
        let views = views(&graph, &descs, &groups);
        let hosts = graph.outputs.iter().copied().filter(|e| graph.nodes[e.node].op.is_some()).collect();
        Case { graph, descs, workspace_bytes, groups, views, phases, hosts, reuse_distance: 0 }
    }

    fn input(&self) -> PlanInput<'_> {
        let Case { graph, descs, workspace_bytes, groups, views, phases, .. } = self;
        let (hosts, reuse_distance) = (&self.hosts, self.reuse_distance);
        PlanInput { graph, descs, views, workspace_bytes, groups, phases, hosts, reuse_distance }
    }

    fn plan(&self) -> Plan {
        Plan::new(&self.input()).unwrap()
    }

    fn check(&self, plan: &Plan) -> varflow_ops::Result<()> {
        check_plan(&self.input(), plan)
    }

    /// The most bytes alive at once, from the definition: at each node all that is made by then and read there or later, but
    /// for each output that replaces an input the two count once.
    fn bound(&self, plan: &Plan) -> usize {
        let order: Vec<usize> = self.phases.iter().flatten().copied().collect();
        let at = |node: usize| order.iter().position(|n| *n == node);
        let mut most = 0;
        for (now, node) in order.iter().enumerate() {
            let alive = |e: Entry| {
                let is = |i: &Entry| *i == e || self.views[*i].is_some_and(|v| v.of == e);
                let last = order.iter().rposition(|n| self.graph.nodes[*n].inputs.iter().any(is)).or(at(e.node));
                matches!(plan.places[e], Place::Arena(_)) && at(e.node) <= Some(now) && last >= Some(now)
            };
            let entries: usize = self.descs.iter().filter(|(e, _)| alive(*e)).map(|(_, d)| d.len_bytes()).sum();
            let pairs = plan.inplace.iter().filter(|p| p.node == *node);
            let outputs = pairs.map(|p| Entry { node: p.node, output: p.output });
            let in_arena = outputs.filter(|e| matches!(plan.places[*e], Place::Arena(_)));
            let twice: usize = in_arena.map(|e| self.descs[e].len_bytes()).sum();
            let is_view = self.views.node(*node).iter().any(Option::is_some);
            let workspace = if is_view { 0 } else { self.workspace_bytes[*node] };
            most = most.max(entries - twice + workspace);
        }
        most
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn random_plans_are_sound(
        (choices, heads) in programs(24),
        cuts in prop::collection::vec(0..1000_usize, 0..3),
        scratch in 0..5_usize,
        distance in prop_oneof![Just(0), 1..20_usize, Just(usize::MAX)],
    ) {
        let mut cuts = cuts;
        cuts.sort_unstable();
        let registry = registry();
        let graph = build(&registry, &choices, &heads);
        let graph = if scratch % 2 == 0 { graph } else { with_gradients(&graph) };
        let case = Case::new(graph, &cuts, |i| if i % 5 < scratch { 40 * (i % 7) } else { 0 });
        let case = Case { reuse_distance: distance, ..case };
        let plan = case.plan();
        case.check(&plan).unwrap();
        prop_assert_eq!(plan.lower_bound_bytes, case.bound(&plan));
        prop_assert!(plan.lower_bound_bytes <= plan.planned_bytes, "{:?}", plan);
        let wanted = wanted(&case.graph);
        for (entry, place) in plan.places.iter() {
            let is_own = case.graph.nodes[entry.node].op.is_none() || case.graph.outputs.contains(&entry);
            let runs = case.phases.iter().flatten().any(|n| *n == entry.node);
            prop_assert_eq!(*place == Place::Own, is_own);
            prop_assert_eq!(matches!(place, Place::View(_)), wanted[entry] && case.views[entry].is_some());
            prop_assert_eq!(matches!(place, Place::Arena(_) | Place::Host(_)), !is_own && wanted[entry] && runs && case.views[entry].is_none());
        }

        // In groups: sound too, and no byte is of two groups.
        let groups: Vec<usize> = (0..case.graph.nodes.len()).map(|i| i / 3 % 2).collect();
        let views = views(&case.graph, &case.descs, &groups);
        let case = Case { groups, views, ..case };
        let plan = case.plan();
        case.check(&plan).unwrap();
        let mut parts = [Vec::new(), Vec::new()];
        for (entry, place) in plan.places.iter() {
            if let Place::Arena(start) = *place {
                parts[case.groups[entry.node]].push(start..start + case.descs[entry].len_bytes());
            }
        }
        let [a, b] = parts;
        prop_assert!(a.iter().all(|a| b.iter().all(|b| a.end <= b.start || b.end <= a.start)), "{:?}", plan);
    }
}

fn with_gradients(graph: &Graph) -> Graph {
    let made = gradient(graph, &registry(), &[2, 3]).unwrap();
    let mut graph = made.graph;
    let is_variable = |e: &Entry| graph.nodes[e.node].op.is_none();
    let grads: Vec<Entry> = made.grads.into_iter().flatten().filter(|e| !is_variable(e)).collect();
    graph.outputs.extend(grads);
    graph
}

/// `square` after `square`: no in-place, so three results take turns at two places.
fn chain(n: usize) -> Case {
    let registry = registry();
    let mut graph = build(&registry, &vec![(5, 0, 0); n], &[0]);
    graph.outputs.truncate(1);
    Case::new(graph, &[], |_| 0)
}

#[test]
fn a_chain_takes_turns_at_two_places() {
    let plan = chain(10).plan();
    assert_eq!((plan.planned_bytes, plan.lower_bound_bytes, plan.naive_bytes), (128 + 96, 192, 9 * 96));
}

#[test]
fn the_checker_refuses_a_plan_without_its_edges() {
    let case = chain(6);
    let mut plan = case.plan();
    case.check(&plan).unwrap();
    plan.clobbers.iter_mut().for_each(Vec::clear);
    let error = case.check(&plan).unwrap_err().to_string();
    assert!(error.contains("may run at once"), "{error}");
}

#[test]
fn the_checker_finds_each_missing_edge_that_matters() {
    // One at a time. An edge may follow from others; of a chain's none does but for the data edges inside a step.
    let case = chain(6);
    let plan = case.plan();
    let edges = plan.clobbers.iter().enumerate().flat_map(|(i, c)| (0..c.len()).map(move |k| (i, k)));
    let mut refused = 0;
    for (node, k) in edges {
        let mut plan = plan.clone();
        plan.clobbers[node].remove(k);
        refused += usize::from(case.check(&plan).is_err());
    }
    assert!(refused > 0, "no single edge matters");
}

#[test]
fn the_checker_refuses_values_on_top_of_each_other() {
    let case = chain(6);
    let mut plan = case.plan();
    let arena: Vec<Entry> = plan.places.iter().filter(|(_, p)| matches!(p, Place::Arena(_))).map(|(e, _)| e).collect();
    plan.places[arena[1]] = plan.places[arena[0]];
    let error = case.check(&plan).unwrap_err().to_string();
    assert!(error.contains("share bytes"), "{error}");

    // Apart from its neighbours, but inside somebody's lifetime: a value that is needed across a reuse.
    let registry = registry();
    let graph = build(&registry, &[(5, 0, 0), (5, 0, 0), (5, 0, 0), (2, 0, 540)], &[0]);
    let case = Case { hosts: HashSet::new(), ..Case::new(graph, &[], |_| 0) };
    let mut plan = case.plan();
    case.check(&plan).unwrap();
    let kept = Entry { node: 4, output: 0 };
    for (entry, _) in case.descs.iter().filter(|(e, _)| e.node == 6) {
        plan.places[entry] = plan.places[kept];
        plan.clobbers[entry.node].push(Occupant::Entry(kept));
    }
    assert!(case.graph.nodes[7].inputs.contains(&kept));
    let error = case.check(&plan).unwrap_err().to_string();
    assert!(error.contains("is read by") && error.contains("wrote there"), "{error}");
}

#[test]
fn the_checker_refuses_places_outside_the_arena_and_missing_ones() {
    let case = chain(4);
    let mut plan = case.plan();
    plan.planned_bytes -= 100;
    assert!(case.check(&plan).unwrap_err().to_string().contains("of an arena of"));
    let mut plan = case.plan();
    let entry = plan.places.iter().find(|(_, p)| matches!(p, Place::Arena(_))).map(|(e, _)| e).unwrap();
    plan.places[entry] = Place::Nowhere;
    assert!(case.check(&plan).unwrap_err().to_string().contains("has no memory"));
}

/// `neg` may take the place of its input: the results before an output lie in the output's own memory, once it is theirs.
#[test]
fn results_lie_in_the_memory_of_the_output_that_replaces_them() {
    let registry = registry();
    let mut graph = build(&registry, &[(5, 0, 0), (4, 0, 0), (4, 0, 0)], &[0]);
    graph.outputs.truncate(1);
    let case = Case::new(graph, &[], |_| 0);
    let plan = case.plan();
    case.check(&plan).unwrap();
    let host = case.graph.outputs[0];
    let hosted: Vec<Entry> = plan.places.iter().filter(|(_, p)| **p == Place::Host(host)).map(|(e, _)| e).collect();
    assert_eq!((hosted.len(), plan.planned_bytes, plan.naive_bytes), (2, 0, 2 * 96), "{:?}", plan.places);

    // Not if somebody else writes there, nor across phases, between which users may look at it.
    let plain = Case { hosts: HashSet::new(), ..case };
    assert_eq!((plain.plan().planned_bytes, plain.plan().naive_bytes), (96, 2 * 96));
    let error = plain.check(&plan).unwrap_err().to_string();
    assert!(error.contains("which is no output that may hold others"), "{error}");
    let cut = Case {
        phases: plain.phases[0].iter().map(|node| vec![*node]).collect(),
        hosts: HashSet::from([host]),
        ..plain
    };
    assert!(cut.plan().places.iter().all(|(_, place)| !matches!(place, Place::Host(_))));
    let error = cut.check(&plan).unwrap_err().to_string();
    assert!(error.contains("is used in another phase"), "{error}");
}

#[test]
fn the_checker_refuses_outputs_that_others_may_destroy() {
    let case = chain(4);
    let mut plan = case.plan();
    plan.places[case.graph.outputs[0]] = Place::Arena(0);
    let error = case.check(&plan).unwrap_err().to_string();
    assert!(error.contains("lies at Arena(0), wanted memory of its own"), "{error}");
}

#[test]
fn phases_that_are_no_execution_order_are_refused() {
    let mut case = chain(4);
    case.phases[0].swap(1, 2);
    let error = Plan::new(&case.input()).unwrap_err().to_string();
    assert!(error.contains("runs before its input"), "{error}");
}

/// A training graph of 100,000 nodes is planned in bounded time, close to the bound. The limits are deadlines, far from what it takes.
#[test]
fn a_large_graph_is_planned_quickly() {
    let registry = registry();
    let choices: Vec<_> = (0..40_000).map(|i| ([5, 3, 6, 2, 4][i % 5], i % 2, i % 7)).collect();
    let graph = with_gradients(&build(&registry, &choices, &[0]));
    assert!(graph.nodes.len() > 100_000, "{}", graph.nodes.len());
    let case = Case::new(graph, &[500], |_| 0);
    let start = Instant::now();
    let plan = case.plan();
    assert!(start.elapsed() < Duration::from_secs(60), "took {:?}", start.elapsed());
    let concurrent = Case { reuse_distance: usize::MAX, ..case };
    let start = Instant::now();
    let most = concurrent.plan().planned_bytes;
    assert!(start.elapsed() < Duration::from_secs(120), "took {:?}", start.elapsed());
    assert!(plan.planned_bytes <= most && most <= plan.naive_bytes * 2, "{most}");
    // 96 bytes take 128.
    let ratio = plan.planned_bytes as f64 / (plan.lower_bound_bytes as f64 * 128.0 / 96.0);
    assert!(ratio < 1.1, "{ratio}");
}
