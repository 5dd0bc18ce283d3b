//! Recomputation on the networks of the zoo: the same bits, less memory.
#![allow(clippy::unwrap_used)]

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;
use varflow::ops::{Runtime, Shape};
use varflow::symbol::{BindOptions, Executor, Passes, PlanReport, Recompute, sym};
use varflow::zoo::{self, Model};

const MB: f64 = 1e6;

/// Runs `body` and fails if it takes longer than five minutes.
fn in_time(body: impl FnOnce() + Send + 'static) {
    let (done, wait) = channel();
    let thread = std::thread::spawn(move || {
        body();
        done.send(()).unwrap();
    });
    match wait.recv_timeout(Duration::from_secs(300)) {
        Err(RecvTimeoutError::Timeout) => panic!("it hangs"),
        _ => thread.join().unwrap_or_else(|p| std::panic::resume_unwind(p)),
    }
}

fn bind(rt: &Runtime, model: &Model, batch: usize, options: BindOptions) -> varflow::Result<Executor> {
    let data: Shape = [batch].into_iter().chain(model.data_shape.dims().iter().copied()).collect();
    let given = [("data".to_string(), data), ("softmax_label".to_string(), Shape::new(&[batch]))];
    Executor::bind(rt, &model.symbol, &given, &BindOptions { for_training: true, seed: 7, ..options })
}

fn cheap() -> BindOptions {
    BindOptions { recompute: Recompute::Cheap, ..BindOptions::default() }
}

fn within(bytes: usize) -> BindOptions {
    BindOptions { arena_budget: Some(bytes), ..BindOptions::default() }
}

/// Outputs, gradients and auxiliary states after two steps, as bytes.
fn trained(mut executor: Executor) -> Vec<(String, Vec<u8>)> {
    for (k, (name, tensor)) in executor.args().iter().chain(executor.auxes()).enumerate() {
        let n = tensor.shape().len();
        let scale = if name.ends_with("weight") { 0.2 } else { 1.0 };
        let value = |i: usize| match name {
            n if n == "softmax_label" => (i % 10) as f32,
            n if n.ends_with("var") || n.ends_with("gamma") => 1.0 + (i % 3) as f32 / 8.0,
            _ => scale * (((i * 7919 + k * 131) % 1009) as f32 / 504.5 - 1.0),
        };
        tensor.set((0..n).map(value).collect::<Vec<f32>>()).unwrap();
    }
    for step in 0..2 {
        executor.forward_backward(step).unwrap();
    }
    let all = executor.outputs().iter().chain(executor.grads()).chain(executor.auxes());
    all.map(|(name, tensor)| (name.clone(), tensor.to_bytes().unwrap())).collect()
}

fn assert_same_bits(name: &str) {
    let rt = varflow::runtime(2).unwrap();
    let model = zoo::by_name(name).unwrap();
    let plain = bind(&rt, &model, 2, BindOptions::default()).unwrap();
    let bytes = plain.plan().planned_bytes;
    let wanted = trained(plain);
    let least = bind(&rt, &model, 2, within(1)).err().unwrap().to_string();
    let least = least.split("at least ").nth(1).and_then(|t| t.split(',').next()).unwrap().parse().unwrap();
    assert!(least < bytes, "{name}: {least} of {bytes}");
    for options in [cheap(), within(usize::midpoint(least, bytes)), within(least)] {
        let executor = bind(&rt, &model, 2, options.clone()).unwrap();
        let plan = *executor.plan();
        assert!(plan.planned_bytes <= options.arena_budget.unwrap_or(bytes), "{name}: {plan:?}");
        let found = trained(executor);
        assert_eq!(found.len(), wanted.len());
        for (found, wanted) in found.iter().zip(&wanted) {
            assert!(found == wanted, "{name}: {} differs within {options:?}", wanted.0);
        }
    }
}

#[test]
fn lenet_computes_the_same() {
    in_time(|| assert_same_bits("lenet"));
}

#[test]
fn resnet_20_computes_the_same() {
    in_time(|| assert_same_bits("resnet-20"));
}

#[test]
fn inception_bn_28_computes_the_same() {
    in_time(|| assert_same_bits("inception-bn-28-small"));
}

/// A first state, of as many samples as the data says, is computed again like all else.
#[test]
fn what_readers_tell_of_a_shape_holds_when_it_is_computed_again() {
    in_time(|| {
        let rt = varflow::runtime(2).unwrap();
        let first = sym::op("elemwise_mul").input(sym::var("data")).input(sym::var("scale")).name("scaled").build();
        let net = (0..6).fold(first, |x, k| {
            let state = sym::op("_ones").set("shape", "(0, 600)").name(format!("state{k}")).build();
            let state = sym::op("_plus_scalar").set("scalar", "1").input(state).name(format!("first{k}")).build();
            let out = sym::op("elemwise_mul").input(state).input(x).name(format!("out{k}")).build();
            sym::op("tanh").input(out).name(format!("gate{k}")).build()
        });
        let given = [("data".to_string(), Shape::new(&[5, 600]))];
        let bind = |options: BindOptions| {
            let options = BindOptions { for_training: true, passes: Passes::none(), ..options };
            Executor::bind(&rt, &net, &given, &options).unwrap()
        };
        let plain = bind(BindOptions::default());
        let cheap = bind(cheap());
        assert!(cheap.plan().planned_bytes < plain.plan().planned_bytes, "{:?} {:?}", cheap.plan(), plain.plan());
        assert_eq!(trained(cheap), trained(plain));
    });
}

#[test]
fn cheap_recomputation_reaches_its_goals() {
    let rt = varflow::runtime(1).unwrap();
    for (name, goal) in [("inception-bn", 839), ("inception-bn-28-small", 89), ("resnet-20", 28), ("resnet-50", 1980)] {
        let model = zoo::by_name(name).unwrap();
        let plan: PlanReport = *bind(&rt, &model, 32, cheap()).unwrap().plan();
        println!("{name} {:.1} {:.3}", plan.planned_bytes as f64 / MB, plan.extra_time_ratio);
        assert!(plan.planned_bytes as f64 <= f64::from(goal) * MB, "{name}: {plan:?}");
        assert!(plan.extra_time_ratio <= 0.05, "{name}: {plan:?}");
    }
}

/// At 40 % of what MXNet 1.9.1 plans.
#[test]
fn networks_fit_into_budgets() {
    let rt = varflow::runtime(1).unwrap();
    for (name, budget) in [("vgg-16", 971), ("resnet-50", 1056), ("inception-bn", 559)] {
        let model = zoo::by_name(name).unwrap();
        let plan = *bind(&rt, &model, 32, within(budget * 1_000_000)).unwrap().plan();
        println!(
            "{name} {:.1} {:.3} {:.3}",
            plan.planned_bytes as f64 / MB,
            plan.extra_time_ratio,
            plan.extra_flops_ratio
        );
        assert!(plan.extra_time_ratio <= 0.30, "{name}: {plan:?}");
    }
}
