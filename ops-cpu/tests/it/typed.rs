//! Runs of an operator on numbers of any Rust type.

use super::{attrs, engine, registry};
use varflow_engine::Engine;
use varflow_ops::{Element, Run, Tensor, bind, invoke};

/// Shape and elements.
pub type Numbers<'a, T> = (&'a [usize], &'a [T]);

/// Shape and elements of the first output, which follows from the inputs.
pub fn run<T: Element, U: Element>(op: &str, given: &[(&str, &str)], inputs: &[Numbers<T>]) -> (Vec<usize>, Vec<U>) {
    run_at(engine(), Run::default(), op, given, inputs)
}

/// The same on an engine, at one step of one seed.
pub fn run_at<T: Element, U: Element>(
    engine: &Engine,
    run: Run,
    op: &str,
    given: &[(&str, &str)],
    inputs: &[Numbers<T>],
) -> (Vec<usize>, Vec<U>) {
    let inputs: Vec<_> = inputs.iter().map(|(s, x)| Tensor::from_slice(engine, *s, x).unwrap()).collect();
    let out = invoke(registry(), engine, op, &attrs(given), &inputs, run).unwrap();
    (out[0].shape().dims().to_vec(), out[0].to_vec().unwrap())
}

/// The elements of the only output, of this shape.
pub fn run_into<T: Element, U: Element>(
    op: &str,
    given: &[(&str, &str)],
    inputs: &[Numbers<T>],
    shape: &[usize],
) -> Vec<U> {
    let engine = engine();
    let inputs: Vec<_> = inputs.iter().map(|(s, x)| Tensor::from_slice(engine, *s, x).unwrap()).collect();
    let output = Tensor::zeros(engine, shape, U::DTYPE).unwrap();
    let op = registry().operator(op).unwrap();
    let params = op.schema().parse(&attrs(given)).unwrap();
    let bound = bind(registry(), &**op, &params, "node", &inputs, vec![output.clone()], true).unwrap();
    bound.push(engine, None, Run::default());
    output.to_vec().unwrap()
}
