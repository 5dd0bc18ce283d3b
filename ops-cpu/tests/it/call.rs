//! One use of an operator on numbers that come and go as slices.

use crate::{attrs, engine, registry};
use varflow_ops::{Element, Run, Shape, Tensor, TensorDesc, bind, invoke};

/// A tensor outside any engine.
#[derive(Clone, Debug, PartialEq)]
pub struct Array<T> {
    pub shape: Vec<usize>,
    pub data: Vec<T>,
}

impl<T: Element> Array<T> {
    pub fn new(shape: &[usize], data: Vec<T>) -> Self {
        assert_eq!(data.len(), shape.iter().product::<usize>());
        Array { shape: shape.to_vec(), data }
    }

    pub fn map<U: Element>(self, f: impl Fn(T) -> U) -> Array<U> {
        Array { shape: self.shape, data: self.data.into_iter().map(f).collect() }
    }
}

/// Numbers in -1..1, none of them 0, that depend on `seed` alone.
pub fn numbers(seed: u64, shape: &[usize]) -> Array<f32> {
    let stream = varflow_ops::Philox::new(seed, 0, 0);
    let data = (0..shape.iter().product()).map(|i: usize| {
        let u = stream.uniform4(i as u64 / 4)[i % 4];
        let x = 2.0 * u - 1.0;
        if x.abs() < 1e-3 { 0.5 } else { x }
    });
    Array::new(shape, data.collect())
}

/// The first output of an operator whose inputs determine it.
pub fn run<T: Element>(op: &str, given: &[(&str, &str)], inputs: &[Array<T>]) -> Array<T> {
    run_to(op, given, inputs)
}

/// The same, where the output has another dtype.
pub fn run_to<T: Element, U: Element>(op: &str, given: &[(&str, &str)], inputs: &[Array<T>]) -> Array<U> {
    let engine = engine();
    let inputs: Vec<_> =
        inputs.iter().map(|a| Tensor::from_slice(engine, &*a.shape, &a.data).unwrap()).collect();
    let out = invoke(registry(), engine, op, &attrs(given), &inputs, Run::default()).unwrap();
    Array::new(out[0].shape().dims(), out[0].to_vec().unwrap())
}

/// All outputs of an operator whose inputs need not determine them, of these shapes.
pub fn run_into<T: Element>(
    op: &str,
    given: &[(&str, &str)],
    inputs: &[Array<T>],
    outputs: &[&[usize]],
) -> Vec<Array<T>> {
    let engine = engine();
    let inputs: Vec<_> =
        inputs.iter().map(|a| Tensor::from_slice(engine, &*a.shape, &a.data).unwrap()).collect();
    // What was in the outputs before must not matter.
    let garbage = |shape: &[usize]| {
        let desc = TensorDesc::new(Shape::new(shape), T::DTYPE);
        let bytes = vec![0xff_u8; desc.len_bytes()];
        Tensor::from_slice(engine, shape, &bytemuck::pod_collect_to_vec::<u8, T>(&bytes)).unwrap()
    };
    let outputs: Vec<_> = outputs.iter().map(|shape| garbage(shape)).collect();
    let op = registry().operator(op).unwrap();
    let params = op.schema().parse(&attrs(given)).unwrap();
    bind(registry(), &**op, &params, "n", &inputs, outputs.clone(), true).unwrap().push(engine, None, Run::default());
    outputs.iter().map(|t| Array::new(t.shape().dims(), t.to_vec().unwrap())).collect()
}
