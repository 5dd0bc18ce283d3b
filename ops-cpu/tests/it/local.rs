//! The reduction `local`.

use crate::{registry, workers};
use varflow_engine::Engine;
use varflow_ops::{DType, Philox, Tensor};

/// As many as are cut into several parts.
const LEN: usize = 100_000;

fn reduce(engine: &Engine, inputs: &[Tensor], output: &Tensor) {
    let local = registry().reduction("local").unwrap().clone();
    let inputs: Vec<&Tensor> = inputs.iter().collect();
    Tensor::push_task(engine, "reduce", &inputs, &[output], move |ctx| local.reduce("w", ctx));
}

fn noise(engine: &Engine, seed: u64) -> Tensor {
    let random = Philox::new(seed, 0, 0);
    let values: Vec<f32> = (0..LEN as u64 / 2).flat_map(|i| random.normal2(i)).map(|v| v as f32).collect();
    Tensor::from_slice(engine, [LEN], &values).unwrap()
}

#[test]
fn sums_in_the_order_of_the_inputs_on_any_number_of_workers() {
    let sum = |width: usize, n: u64| {
        let engine = workers(width);
        let inputs: Vec<Tensor> = (0..n).map(|seed| noise(&engine, seed)).collect();
        let output = Tensor::zeros(&engine, [LEN], DType::F32).unwrap();
        reduce(&engine, &inputs, &output);
        let values: Vec<Vec<f32>> = inputs.iter().map(|t| t.to_vec().unwrap()).collect();
        let wanted: Vec<f32> = (0..LEN).map(|i| values[1..].iter().fold(values[0][i], |sum, v| sum + v[i])).collect();
        assert!(output.to_vec::<f32>().unwrap() == wanted, "{n} inputs on {width} workers");
    };
    for width in [0, 1, 3] {
        [1, 2, 5].into_iter().for_each(|n| sum(width, n));
    }
}

#[test]
fn a_broadcast_copies() {
    let engine = workers(2);
    let local = registry().reduction("local").unwrap().clone();
    let input = Tensor::from_slice(&engine, [3], &[1_i64, -2, 3]).unwrap();
    let outputs = [0, 1].map(|_| Tensor::zeros(&engine, [3], DType::I64).unwrap());
    let [a, b] = &outputs;
    Tensor::push_task(&engine, "broadcast", &[&input], &[a, b], move |ctx| local.broadcast("w", ctx));
    outputs.iter().for_each(|t| assert_eq!(t.to_vec::<i64>().unwrap(), [1, -2, 3]));
}

#[test]
fn integers_are_not_summed() {
    let engine = workers(0);
    let input = Tensor::from_slice(&engine, [1], &[1_i32]).unwrap();
    let output = Tensor::zeros(&engine, [1], DType::I32).unwrap();
    reduce(&engine, &[input], &output);
    let text = output.wait().unwrap_err().to_string();
    assert!(text.contains("int32") && text.contains("float32 and float64"), "{text}");
}
