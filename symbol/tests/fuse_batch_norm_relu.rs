//! Networks with batch normalisation and rectifiers, with both as one node and apart.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::Duration;
use varflow_engine::Engine;
use varflow_ops::{Philox, Registry, Runtime, Shape, defs};
use varflow_symbol::{BindOptions, Executor, GradReq, Named, Passes, Symbol, sym};

/// Fails if it takes longer than two minutes.
fn within_two_minutes(body: impl FnOnce() + Send + 'static) {
    let (done, wait) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        body();
        let _ = done.send(());
    });
    let waited = wait.recv_timeout(Duration::from_secs(120));
    assert_ne!(waited, Err(std::sync::mpsc::RecvTimeoutError::Timeout), "it hangs");
    thread.join().unwrap();
}

fn runtime() -> Runtime {
    let mut registry = Registry::new();
    registry.install(defs::provider()).unwrap();
    registry.install(varflow_cpu::provider()).unwrap();
    Runtime::new(Engine::builder().cpu_workers(2).build().unwrap(), registry)
}

/// A random network in which rectifiers read batch normalisations, alone and not.
fn network(seed: u64) -> Symbol {
    let stream = Philox::new(seed, 2, 0);
    let pick = |i: usize, n: usize| (stream.uniform2(i as u64)[0] * n as f64) as usize;
    let mut made: Vec<Symbol> = vec![sym::var("data").build()];
    for i in 0..8 {
        let x = made[pick(2 * i, made.len())].clone();
        let name = format!("node{i}");
        made.push(match pick(2 * i + 1, 6) {
            0 => sym::broadcast_add(x, made[made.len() - 1].clone()).name(&name).build(),
            1 => sym::batch_norm(x).fix_gamma(false).name(&name).build(),
            2 => sym::tanh(x).name(&name).build(),
            n => {
                let norm = sym::batch_norm(x).fix_gamma(n == 3).name(format!("{name}_bn"));
                sym::relu(norm).name(&name).build()
            }
        });
    }
    sym::group(made.split_off(made.len() - 2))
}

/// Values after some steps, by name.
fn train(symbol: &Symbol, passes: &str, for_training: bool) -> BTreeMap<String, Vec<f32>> {
    let rt = runtime();
    let options = BindOptions { for_training, passes: Passes::named(passes).unwrap(), ..BindOptions::default() };
    let options = BindOptions { grad_req: BTreeMap::from([("data".into(), GradReq::Write)]), ..options };
    let given = [("data".to_string(), Shape::new(&[6, 3, 5]))];
    let mut executor = Executor::bind(&rt, symbol, &given, &options).unwrap();
    let fill = |named: &[Named]| {
        for (n, (_, tensor)) in named.iter().enumerate() {
            let stream = Philox::new(5, n as u64, 0);
            let values = (0..tensor.shape().len()).map(|i| stream.uniform2(i as u64)[0] as f32 + 0.25);
            tensor.set(values.collect()).unwrap();
        }
    };
    fill(executor.args());
    fill(executor.auxes());
    for step in 0..2 {
        if for_training { executor.forward_backward(step).unwrap() } else { executor.forward(false, step).unwrap() }
    }
    let all = [executor.outputs(), executor.grads(), executor.auxes()].into_iter().zip(["output", "grad", "aux"]);
    let named =
        all.flat_map(|(named, kind)| named.iter().map(move |(name, tensor)| (format!("{kind} {name}"), tensor)));
    named.map(|(name, tensor)| (name, tensor.to_vec::<f32>().unwrap())).collect()
}

#[test]
fn random_networks_give_the_same() {
    within_two_minutes(|| {
        for seed in 0..40 {
            let symbol = network(seed);
            for for_training in [true, false] {
                let wanted = train(&symbol, "none", for_training);
                let got = train(&symbol, "fuse_batch_norm_relu", for_training);
                assert_eq!(got.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>());
                for (name, wanted) in &wanted {
                    for (i, (got, wanted)) in got[name].iter().zip(wanted).enumerate() {
                        let near = (got - wanted).abs() <= 1e-5 * (1.0 + wanted.abs());
                        assert!(near, "seed {seed}: {name}[{i}] is {got}, wanted {wanted}");
                    }
                }
            }
        }
    });
}
