//! Data and networks that several tests use.
#![allow(dead_code, clippy::unwrap_used)]

use std::sync::mpsc;
use std::time::Duration;
use varflow::io::{Array, ArrayIter};
use varflow::ops::Philox;
use varflow::prelude::*;
use varflow::{Runtime, runtime};

pub const CLASSES: usize = 4;
pub const FEATURES: usize = 12;

/// Samples of `CLASSES` classes, each a corner of a cube with noise: a linear map tells them apart.
pub fn blobs(samples: usize, seed: u64) -> (Array, Array) {
    let noise = Philox::new(seed, 1, 0);
    let labels: Vec<u8> = (0..samples).map(|i| (i % CLASSES) as u8).collect();
    let data = (0..samples * FEATURES).map(|at| {
        let (sample, feature) = (at / FEATURES, at % FEATURES);
        let corner = if feature % CLASSES == sample % CLASSES { 1.0 } else { -1.0 };
        corner + 0.7 * noise.normal2(at as u64)[0] as f32
    });
    (Array::new([samples, FEATURES], data.collect()).unwrap(), Array::new([samples], labels).unwrap())
}

/// Batches of [`blobs`], the last one padded, shuffled anew each epoch.
pub fn batches(rt: &Runtime, samples: usize, batch_size: usize, seed: u64) -> ArrayIter {
    let (data, labels) = blobs(samples, seed);
    let iter = ArrayIter::builder(&rt.engine).data("data", data).label("softmax_label", labels);
    iter.batch_size(batch_size).shuffle(seed).build().unwrap()
}

/// A network with all that draws on a run's state: dropout on random streams, weights and biases.
pub fn network() -> Symbol {
    let x = sym::fully_connected(sym::var("data")).num_hidden(16).name("fc1");
    let x = sym::dropout(sym::relu(x).name("relu1")).p(0.2).name("drop1");
    let x = sym::fully_connected(x).num_hidden(CLASSES).name("fc2");
    sym::softmax_output(x).name("softmax").build()
}

pub fn module(cpus: usize) -> Module {
    Module::new(&runtime(cpus).unwrap(), network()).unwrap()
}

/// The bits of all parameters.
pub fn bits(module: &Module) -> Vec<(String, Vec<u32>)> {
    let bits = |t: &Tensor| t.to_vec::<f32>().unwrap().into_iter().map(f32::to_bits).collect();
    module.params().iter().map(|p| (p.name.clone(), bits(&p.tensor))).collect()
}

/// Fails the test instead of hanging.
pub fn within(seconds: u64, body: impl FnOnce() + Send + 'static) {
    let (done, wait) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        body();
        let _ = done.send(());
    });
    let waited = wait.recv_timeout(Duration::from_secs(seconds));
    assert_ne!(waited, Err(mpsc::RecvTimeoutError::Timeout), "not done after {seconds} s");
    thread.join().unwrap();
}
