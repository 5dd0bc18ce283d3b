//! Recomputation: the same bits whatever is computed twice, within whatever budget can be kept to.
#![allow(clippy::unwrap_used)]

mod executor_support;

use executor_support::{Choice, LEN, build, programs, registry};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use varflow_engine::Engine;
use varflow_ops::{Entry, Runtime, Shape};
use varflow_symbol::{BindOptions, Executor, GradReq, Graph, Recompute, Result};

fn options(for_training: bool) -> BindOptions {
    let grad_req = BTreeMap::from([("weight1".to_string(), GradReq::Add)]);
    BindOptions { for_training, grad_req, seed: 7, ..BindOptions::default() }
}

fn bind(rt: &Runtime, graph: &Graph, options: &BindOptions) -> Result<Executor> {
    let given = ["data0", "data1"].map(|n| (n.to_string(), Shape::new(&[LEN])));
    Executor::bind_graph(rt, graph, &given, options)
}

/// Every program uses all four variables, so that all have a shape.
fn program(choices: &[Choice], heads: &[usize]) -> Graph {
    let registry = registry();
    let mut graph = build(&registry, choices, heads);
    for weight in [2, 3] {
        let inputs = vec![Entry { node: weight, output: 0 }, Entry { node: weight - 2, output: 0 }];
        let template = graph.nodes[0].clone();
        let op = Some(registry.operator("mul").unwrap().clone());
        graph.nodes.push(varflow_symbol::Node { op, name: format!("use{weight}"), inputs, ..template });
        graph.outputs.push(Entry { node: graph.nodes.len() - 1, output: 0 });
    }
    graph
}

/// All that users see after some passes: outputs, gradients, states.
fn results(mut executor: Executor) -> Vec<Vec<u8>> {
    for (k, (name, tensor)) in executor.args().iter().chain(executor.auxes()).enumerate() {
        let n = tensor.shape().len();
        let value = |i: usize| ((i * 7 + k * 5) % 11) as f32 / 8.0 - 0.5;
        tensor.set(if name.ends_with("state") { vec![1.0; n] } else { (0..n).map(value).collect() }).unwrap();
    }
    let mut all = Vec::new();
    let is_training = !executor.grads().is_empty();
    for step in 0..3 {
        executor.forward(is_training && step != 1, step).unwrap();
        if is_training && step != 1 {
            executor.backward(step).unwrap();
        }
        let seen = executor.outputs().iter().chain(executor.grads()).chain(executor.auxes());
        all.extend(seen.map(|(_, tensor)| tensor.to_bytes().unwrap()));
    }
    all
}

/// The bytes that a refusal says are needed.
fn least(error: &varflow_symbol::Error) -> usize {
    let text = error.to_string();
    let rest = text.split("at least ").nth(1).unwrap_or_else(|| panic!("{text}"));
    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn nothing_changes_but_memory((choices, heads) in programs(20), part in 0..100_usize) {
        let graph = program(&choices, &heads);
        let rt = Runtime::new(Engine::serial(), registry());
        let plain = bind(&rt, &graph, &options(true)).unwrap();
        let planned = plain.plan().planned_bytes;
        let wanted = results(plain);
        let cheap = BindOptions { recompute: Recompute::Cheap, ..options(true) };
        prop_assert_eq!(&results(bind(&rt, &graph, &cheap).unwrap()), &wanted);

        let within = |bytes| BindOptions { arena_budget: Some(bytes), ..options(true) };
        let smallest = match bind(&rt, &graph, &within(0)) {
            Ok(executor) => executor.plan().planned_bytes,
            Err(error) => least(&error),
        };
        prop_assert!(smallest <= planned);
        for budget in [smallest, smallest + (planned - smallest) * part / 100] {
            let executor = bind(&rt, &graph, &within(budget)).unwrap();
            prop_assert!(executor.plan().planned_bytes <= budget);
            prop_assert_eq!(&results(executor), &wanted);
        }
    }
}

/// `square` after `square`, whose gradients each read the input: all of them are kept, or few.
fn chain(n: usize) -> Graph {
    program(&vec![(5, 0, 0); n], &[0])
}

#[test]
fn a_chain_fits_into_a_third_of_its_size() {
    let rt = Runtime::new(Engine::serial(), registry());
    let graph = chain(64);
    let plain = *bind(&rt, &graph, &options(true)).unwrap().plan();
    let budget = BindOptions { arena_budget: Some(plain.planned_bytes / 3), ..options(true) };
    let plan = *bind(&rt, &graph, &budget).unwrap().plan();
    assert!(plan.planned_bytes <= plain.planned_bytes / 3, "{plan:?}");
    assert!(plan.extra_time_ratio > 0.0 && plan.extra_time_ratio < 0.6, "{plan:?}");
    assert_eq!((plain.extra_time_ratio, plain.extra_flops_ratio), (0.0, 0.0));
}

#[test]
fn a_budget_that_is_large_enough_changes_nothing() {
    let rt = Runtime::new(Engine::serial(), registry());
    let graph = chain(20);
    let plain = *bind(&rt, &graph, &options(true)).unwrap().plan();
    let budget = BindOptions { memory_budget: Some(plain.total_bytes()), ..options(true) };
    assert_eq!(*bind(&rt, &graph, &budget).unwrap().plan(), plain);
}

#[test]
fn budgets_are_kept_to_whatever_the_reuse_distance() {
    let rt = Runtime::new(Engine::serial(), registry());
    let graph = chain(20);
    let smallest = least(&bind(&rt, &graph, &BindOptions { memory_budget: Some(1), ..options(true) }).err().unwrap());
    for bytes in [smallest, 2 * smallest] {
        let within = BindOptions { memory_budget: Some(bytes), reuse_distance: usize::MAX, ..options(true) };
        assert!(bind(&rt, &graph, &within).unwrap().plan().total_bytes() <= bytes);
    }
    let concurrent = BindOptions { reuse_distance: usize::MAX, ..options(true) };
    let cheap = BindOptions { recompute: Recompute::Cheap, ..concurrent.clone() };
    let [concurrent, cheap] = [concurrent, cheap].map(|options| *bind(&rt, &graph, &options).unwrap().plan());
    assert!(cheap.planned_bytes <= concurrent.planned_bytes, "{cheap:?} {concurrent:?}");
    // No sum overflows.
    let states = BindOptions { memory_budget: Some(1 << 40), optimizer_states: usize::MAX, ..options(true) };
    assert!(bind(&rt, &graph, &states).err().unwrap().to_string().contains("of the optimizer's states"));
}

#[test]
fn impossible_budgets_are_refused_with_what_is_possible() {
    let rt = Runtime::new(Engine::serial(), registry());
    let graph = chain(20);
    let within = |bytes| BindOptions { memory_budget: Some(bytes), ..options(true) };
    let own = bind(&rt, &graph, &options(true)).unwrap().plan().own_bytes();
    let error = bind(&rt, &graph, &within(own - 1)).err().unwrap();
    let text = error.to_string();
    assert!(text.contains(&format!("memory_budget is {} bytes", own - 1)), "{text}");
    assert!(text.contains("of parameters") && text.contains(&format!("alone takes {own}")), "{text}");
    assert!(bind(&rt, &graph, &within(least(&error))).is_ok());
    let error = bind(&rt, &graph, &within(least(&error) - 1)).err().unwrap();
    assert!(!error.to_string().contains("alone takes"), "{error}");
    // In inference too, where hardly anything waits.
    let scoring = BindOptions { memory_budget: Some(1), ..options(false) };
    assert!(least(&bind(&rt, &graph, &scoring).err().unwrap()) > own / 2);
}

#[test]
fn large_graphs_are_planned_in_bounded_time() {
    let rt = Runtime::new(Engine::serial(), registry());
    let choices: Vec<_> = (0..30_000).map(|i| ([5, 3, 4, 2, 4][i % 5], i % 2, i % 7)).collect();
    let graph = program(&choices, &[0]);
    let start = Instant::now();
    let cheap = BindOptions { recompute: Recompute::Cheap, ..options(true) };
    let cheap = *bind(&rt, &graph, &cheap).unwrap().plan();
    let budget = BindOptions { arena_budget: Some(cheap.planned_bytes / 2), ..options(true) };
    let _ = bind(&rt, &graph, &budget);
    assert!(start.elapsed() < Duration::from_secs(120), "took {:?}", start.elapsed());
}
