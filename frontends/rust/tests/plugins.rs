//! Plug-ins in training: operators, iterators, reductions and optimizers of dylibs, all at once.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use support::within;
use varflow::io::Prefetch;
use varflow::ops::{Attrs, BoundOp, Part, Philox, Reducer, Run, bind};
use varflow::prelude::*;
use varflow::symbol::{BindOptions, Executor, json};
use varflow::{Runtime, load_plugins, registry};

/// The C examples of the contract, compiled as their authors would.
fn c_plugin(dir: &Path, example: &str) -> PathBuf {
    let abi = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ops/abi");
    let file = dir.join(format!("lib{example}.so"));
    let mut gcc = Command::new("gcc");
    gcc.args(["-O2", "-shared", "-fPIC", "-o"]).arg(&file).arg("-I").arg(abi.join("include"));
    let done = gcc.arg(abi.join(format!("examples/{example}.c"))).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    file
}

/// The SDK's examples, built as any user of it would, and the file of one of them.
fn rust_plugin(example: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sdk");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "-p", "varflow-sdk", "--examples", "--offline", "--target-dir"]).arg(&target);
    let done = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    target.join(format!("debug/examples/lib{example}.so"))
}

fn runtime_with(plugins: &[PathBuf]) -> Runtime {
    let mut registry = registry().unwrap();
    load_plugins(&mut registry, plugins).unwrap();
    Runtime::new(varflow::engine::Engine::builder().cpu_workers(2).build().unwrap(), registry)
}

/// Two replicas of a network, each for half a batch. A reduction brings their gradients together, an optimizer updates the
/// weights, and the reduction brings these back to the replicas.
struct Replicas {
    rt: Runtime,
    executors: [Executor; 2],
    reducer: Reducer,
    weights: Vec<Weight>,
    half: usize,
}

/// A parameter: its own tensor, that of its gradient over the whole batch, and its update.
struct Weight {
    name: String,
    tensor: Tensor,
    grad: Tensor,
    update: BoundOp,
}

impl Replicas {
    fn new(rt: &Runtime, net: &Symbol, iter: &dyn DataIter, optimizer: &dyn Optimizer, reduction: &str) -> Replicas {
        let inputs = iter.provide_data().into_iter().chain(iter.provide_label());
        let halves: Vec<(String, Shape)> = inputs
            .map(|d| {
                let mut dims = d.shape.dims().to_vec();
                dims[0] /= 2;
                (d.name, Shape::new(&dims))
            })
            .collect();
        let half = halves[0].1[0];
        let options = BindOptions { for_training: true, ..BindOptions::default() };
        let executors = [0, 1].map(|_| Executor::bind(rt, net, &halves, &options).unwrap());
        let is_input = |name: &str| halves.iter().any(|(input, _)| input == name);
        let trained = executors[0].args().iter().filter(|(name, _)| !is_input(name));
        let weights = trained.map(|(name, like)| Weight::new(rt, name, like, optimizer, half)).collect();
        let reducer = Reducer::new(&rt.engine, rt.registry.reduction(reduction).unwrap().clone());
        let replicas = Replicas { rt: rt.clone(), executors, reducer, weights, half };
        replicas.weights.iter().for_each(|w| replicas.broadcast(w));
        replicas
    }

    fn broadcast(&self, weight: &Weight) {
        let to = self.executors.each_ref().map(|e| named(e.args(), &weight.name));
        self.reducer.push_broadcast(&weight.name, &weight.tensor, &to, 0).unwrap();
    }

    /// One step on a batch; the mean loss before it.
    fn step(&mut self, step: u64, batch: &Batch, names: &[String]) -> f64 {
        for (name, tensor) in names.iter().zip(batch.data.iter().chain(&batch.label)) {
            let values = tensor.to_vec::<f32>().unwrap();
            for (executor, part) in self.executors.iter().zip(values.chunks(values.len() / 2)) {
                named(executor.args(), name).set(part.to_vec()).unwrap();
            }
        }
        self.executors.iter_mut().for_each(|e| e.forward_backward(step).unwrap());
        for weight in &self.weights {
            let grads = self.executors.each_ref().map(|e| named(e.grads(), &weight.name));
            self.reducer.push_reduce(&weight.name, &grads, &weight.grad, 0).unwrap();
            weight.update.push(&self.rt.engine, None, Run { step, ..Run::default() });
            self.broadcast(weight);
        }
        let labels = batch.label[0].to_vec::<f32>().unwrap();
        let losses = self.executors.iter().zip(labels.chunks(self.half)).flat_map(|(executor, labels)| {
            let scores = executor.outputs()[0].1.to_vec::<f32>().unwrap();
            let classes = scores.len() / labels.len();
            let of_row = move |(i, label): (usize, &f32)| -f64::from(scores[i * classes + *label as usize]).ln();
            labels.iter().enumerate().map(of_row).collect::<Vec<_>>()
        });
        losses.sum::<f64>() / labels.len() as f64
    }
}

impl Weight {
    fn new(rt: &Runtime, name: &str, like: &Tensor, optimizer: &dyn Optimizer, half: usize) -> Weight {
        let zeros = || Tensor::zeros(&rt.engine, like.shape().clone(), like.dtype()).unwrap();
        let (tensor, grad) = (zeros(), zeros());
        let noise = Philox::new(1, varflow::ops::name_hash(name), 0);
        tensor
            .set((0..like.shape().len() as u64).map(|i| 0.3 * noise.normal2(i)[0] as f32).collect::<Vec<f32>>())
            .unwrap();
        let inputs: Vec<Tensor> =
            [tensor.clone(), grad.clone()].into_iter().chain(optimizer.states().iter().map(|_| zeros())).collect();
        let op = rt.registry.operator(optimizer.operator()).unwrap();
        let params = op.schema().parse(&optimizer.attrs(optimizer.rates(1), half)).unwrap();
        let update = bind(&rt.registry, &**op, &params, &format!("{name}_update"), &inputs, Vec::new(), true).unwrap();
        Weight { name: name.to_string(), tensor, grad, update }
    }
}

fn named(tensors: &[(String, Tensor)], name: &str) -> Tensor {
    tensors.iter().find(|(n, _)| n == name).unwrap().1.clone()
}

/// Trains on two replicas until `steps` are done, and gives the losses of the first and of the last step.
fn train(
    rt: &Runtime,
    net: &Symbol,
    iter: &mut dyn DataIter,
    optimizer: &dyn Optimizer,
    reduction: &str,
    steps: u64,
) -> (f64, f64) {
    let mut replicas = Replicas::new(rt, net, iter, optimizer, reduction);
    let names: Vec<String> =
        iter.provide_data().into_iter().chain(iter.provide_label()).map(|input| input.name).collect();
    let mut losses = Vec::new();
    for epoch in 0.. {
        iter.reset(epoch).unwrap();
        let before = losses.len();
        while let Some(batch) = iter.next().unwrap() {
            losses.push(replicas.step(losses.len() as u64 + 1, &batch, &names));
            if losses.len() as u64 == steps {
                return (losses[0], losses[losses.len() - 1]);
            }
        }
        assert!(losses.len() > before, "an epoch without batches");
    }
    unreachable!("epochs do not end")
}

/// Symbol JSON holds a network with plug-in operators as it holds any other, and its shapes follow.
fn check_json(rt: &Runtime, net: &Symbol, data: &Shape) {
    let graph = net.resolve(&rt.registry).unwrap();
    let text = json::to_string(&graph);
    let again = json::from_str(&text).unwrap().resolve(&rt.registry).unwrap();
    assert_eq!(text, json::to_string(&again));
    let shapes = varflow::symbol::infer_shapes(&again, &[("data", data.into())]).unwrap();
    assert_eq!(shapes.last().unwrap()[0][0], data[0]);
    // Who does not have the plug-in is told which operator of which node it lacks.
    let bare = json::from_str(&text).unwrap().resolve(&registry().unwrap()).unwrap_err().to_string();
    assert!(bare.contains("\"act2\"") && bare.contains("nobody provides these operators"), "{bare}");
}

/// A perceptron with an operator in C and one in Rust.
fn network(classes: usize) -> Symbol {
    let x = sym::fully_connected(sym::var("data")).num_hidden(16).name("fc1");
    let x = sym::op("HardSigmoid").input(x).set("alpha", 0.5).name("act1");
    let x = sym::op("Swish").input(sym::fully_connected(x).num_hidden(16).name("fc2")).name("act2");
    let x = sym::fully_connected(x).num_hidden(classes).name("fc3");
    sym::softmax_output(x).name("softmax").build()
}

/// Operators, iterator, reduction and optimizer, of which nothing is built in.
#[test]
fn plugins_of_all_kinds_train_a_network_at_once() {
    within(300, || {
        let dir = tempfile::tempdir().unwrap();
        let mut files = vec![c_plugin(dir.path(), "hard_sigmoid"), c_plugin(dir.path(), "mean_reduction")];
        files.extend(["swish", "synthetic_stream", "lion"].map(rust_plugin));
        let rt = runtime_with(&files);
        let kind = rt.registry.iterator("SyntheticStream").unwrap();
        let settings = [("batch_size", "32"), ("num_batches", "20"), ("shape", "(12,)"), ("classes", "4")];
        let settings: Attrs = settings.map(|(name, value)| (name.to_string(), value.to_string())).into();
        let stream = kind.open(&rt.engine, &kind.schema().parse(&settings).unwrap(), Part::default()).unwrap();
        let mut iter = Prefetch::new(&rt.engine, stream, 2);
        let lion = Rule::new(&rt.registry, "lion", 0.01, &Attrs::new()).unwrap();
        let (first, last) = train(&rt, &network(4), &mut iter, &lion, "mean", 120);
        assert!(first > 1.0 && last < 0.3, "the loss goes from {first} to {last}");
    });
}

#[test]
fn operators_in_rust_and_c_and_a_reduction_in_c_train_two_replicas() {
    within(300, || {
        let dir = tempfile::tempdir().unwrap();
        let [sigmoid, mean] = ["hard_sigmoid", "mean_reduction"].map(|example| c_plugin(dir.path(), example));
        let rt = runtime_with(&[sigmoid, mean, rust_plugin("swish")]);
        // Loaded for good: the files may go.
        drop(dir);
        let net = network(support::CLASSES);
        check_json(&rt, &net, &[16, support::FEATURES].into());
        let mut iter = support::batches(&rt, 192, 32, 5);
        let settings = Attrs::from([("momentum".to_string(), "0.9".to_string())]);
        let optimizer = Rule::new(&rt.registry, "sgd_mom", 0.3, &settings).unwrap();
        let (first, last) = train(&rt, &net, &mut iter, &optimizer, "mean", 60);
        assert!(first > 1.0 && last < 0.2, "the loss goes from {first} to {last}");
        // A mean of two sums over half a batch, divided by half: the gradient of the whole batch, as `local` gives it.
        let twice = optimizer.rescale_grad(1.0 / 32.0);
        let (_, local) = train(&rt, &net, &mut support::batches(&rt, 192, 32, 5), &twice, "local", 60);
        assert!((last - local).abs() < 1e-3, "{last} by the plug-in, {local} by the built-in reduction");
    });
}

#[test]
fn an_iterator_in_c_is_read_ahead_and_found_again() {
    within(60, || {
        let dir = tempfile::tempdir().unwrap();
        let rt = runtime_with(&[c_plugin(dir.path(), "ramp_stream")]);
        let kind = rt.registry.iterator("RampStream").unwrap();
        let params = kind.schema().parse(&Attrs::from([("batch_size".to_string(), "2".to_string())])).unwrap();
        let open = || Prefetch::new(&rt.engine, kind.open(&rt.engine, &params, Part::default()).unwrap(), 3);
        let (mut there, mut fresh) = (open(), open());
        there.next().unwrap();
        there.next().unwrap();
        fresh.restore_state(&there.save_state().unwrap()).unwrap();
        let batch = fresh.next().unwrap().unwrap();
        assert_eq!(batch.index, [4, 5]);
        assert_eq!(batch.data[0].to_vec::<f32>().unwrap(), [4.0, 5.0, 6.0, 7.0, 5.0, 6.0, 7.0, 8.0]);
        let text = fresh.restore_state(b"xyz").unwrap_err().to_string();
        assert!(text.contains("ramp_stream") && text.contains("RampStream") && text.contains("3 bytes"), "{text}");
    });
}
