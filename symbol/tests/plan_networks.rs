//! The memory plans of known networks: within 2 % of the liveness bound, and no larger than MXNet's.
#![allow(clippy::unwrap_used)]

use varflow_engine::Engine;
use varflow_ops::{DeviceKind, Error, Kernel, KernelCtx, Provider, Registry, Runtime, Shape, defs};
use varflow_symbol::{BindOptions, Executor, PlanReport, Symbol, sym};

/// All built-in operators with kernels that are never run.
fn runtime() -> Runtime {
    let mut registry = Registry::new();
    registry.install(defs::provider()).unwrap();
    let mut kernels = Provider::new("no kernels");
    for op in registry.operators() {
        kernels = kernels.kernel(op.name(), DeviceKind::Cpu, |_| {
            let run = |_: &mut KernelCtx<'_>| Err(Error::Contract("is not to be run".to_string()));
            Ok(Box::new(run) as Box<dyn Kernel>)
        });
    }
    registry.install(kernels).unwrap();
    Runtime::new(Engine::serial(), registry)
}

fn mlp() -> Symbol {
    let mut x: Symbol = sym::var("data").build();
    for n in [128, 64] {
        x = sym::relu(sym::fully_connected(x).num_hidden(n)).build();
    }
    sym::softmax_output(sym::fully_connected(x).num_hidden(10)).name("softmax").build()
}

fn lenet() -> Symbol {
    let mut x: Symbol = sym::var("data").build();
    for n in [20, 50] {
        let conv = sym::convolution(x).kernel([5, 5]).num_filter(n);
        x = sym::pooling(sym::tanh(conv)).kernel([2, 2]).stride([2, 2]).pool_type("max").build();
    }
    let x = sym::tanh(sym::fully_connected(sym::flatten(x)).num_hidden(500));
    sym::softmax_output(sym::fully_connected(x).num_hidden(10)).name("softmax").build()
}

fn plan(net: &Symbol, data: &[usize], for_training: bool) -> PlanReport {
    let given = [("data".to_string(), Shape::new(data)), ("softmax_label".to_string(), Shape::new(&data[..1]))];
    let options = BindOptions { for_training, ..BindOptions::default() };
    *Executor::bind(&runtime(), net, &given, &options).unwrap().plan()
}

#[test]
fn plans_are_within_two_percent_of_the_bound() {
    for batch in [1, 7, 64, 1024] {
        for for_training in [false, true] {
            for (name, net, data) in [("mlp", mlp(), vec![batch, 784]), ("lenet", lenet(), vec![batch, 1, 28, 28])] {
                let plan = plan(&net, &data, for_training);
                let bound = plan.lower_bound_bytes as f64 * 1.02;
                assert!(plan.planned_bytes as f64 <= bound, "{name} batch {batch} training {for_training}: {plan:?}");
                assert!(plan.planned_bytes < plan.naive_bytes);
            }
        }
    }
}

/// MXNet 1.9.1 takes 195 MB for training and 67 MB for inference.
#[test]
fn lenet_takes_no_more_than_in_mxnet() {
    let data = [1024, 1, 28, 28];
    assert!(plan(&lenet(), &data, true).total_bytes() < 195_000_000);
    assert!(plan(&lenet(), &data, false).total_bytes() < 67_000_000);
}
