//! Inference of networks of the zoo is the same with all passes as with none.
#![allow(clippy::unwrap_used)]

use varflow::ops::{Runtime, Shape};
use varflow::symbol::{BindOptions, Executor, Passes};
use varflow::zoo;

const SAMPLES: usize = 5;

/// The network's output for values that follow from names and places.
fn output(rt: &Runtime, name: &str, options: &BindOptions) -> Vec<f32> {
    let model = zoo::by_name(name).unwrap();
    let data: Shape = [SAMPLES].into_iter().chain(model.data_shape.dims().iter().copied()).collect();
    let mut executor = Executor::bind(rt, &model.symbol, &[("data".to_string(), data)], options).unwrap();
    for (k, (name, tensor)) in executor.args().iter().chain(executor.auxes()).enumerate() {
        let n = tensor.shape().len();
        let fan_in = (n / tensor.shape().dims().first().copied().unwrap_or(1).max(1)).max(1);
        let scale = if name.ends_with("weight") { (6.0 / fan_in as f32).sqrt() } else { 0.5 };
        let value = |i: usize| match name {
            name if name.ends_with("var") || name.ends_with("gamma") => 0.75 + (i % 5) as f32 / 8.0,
            _ => scale * (((i * 7919 + k * 131) % 1009) as f32 / 504.5 - 1.0),
        };
        tensor.set((0..n).map(value).collect::<Vec<f32>>()).unwrap();
    }
    executor.forward(false, 0).unwrap();
    executor.outputs()[0].1.to_vec::<f32>().unwrap()
}

#[test]
fn passes_change_no_result() {
    let rt = varflow::runtime(2).unwrap();
    for name in ["lenet", "resnet-20", "resnet-v1-18", "inception-bn-28-small", "mobilenet-v2-0.25", "squeezenet-1.1"] {
        let wanted = output(&rt, name, &BindOptions { passes: Passes::none(), ..BindOptions::default() });
        let peak = wanted.iter().fold(0_f32, |peak, v| peak.max(v.abs()));
        // Classes of which one has it all would hide much.
        assert!(wanted.iter().all(|v| v.is_finite()) && peak > 0.0 && peak < 0.99, "{name}: {peak}");
        for samples_at_a_time in [None, Some(2)] {
            let found = output(&rt, name, &BindOptions { samples_at_a_time, ..BindOptions::default() });
            let furthest = found.iter().zip(&wanted).fold(0_f32, |most, (a, b)| most.max((a - b).abs()));
            assert!(furthest <= 1e-4 * peak, "{name}, {samples_at_a_time:?} at a time: {furthest} of {peak}");
        }
    }
}
