//! Single-precision tensors of random numbers, run through operators and indexed the slow way.

use super::usage::{Array, How, Use};
use super::{attrs, engine, registry};
use varflow_ops::{DType, Philox, TensorDesc};

/// Numbers in -1..1 and none near 0, that depend on `seed` alone.
pub fn numbers(seed: u64, shape: &[usize]) -> Array {
    let stream = Philox::new(seed, 0, 0);
    let number = |i: usize| {
        let u = 2.0 * stream.uniform4(i as u64 / 4)[i % 4] - 1.0;
        f64::from(if u.abs() < 1e-3 { 0.5 } else { u })
    };
    Array::new(shape, DType::F32, (0..shape.iter().product()).map(number).collect())
}

/// Each number made another, rounded to single precision.
pub fn map(array: &Array, f: impl Fn(f64) -> f64) -> Array {
    Array { values: array.values.iter().map(|v| f(*v)).collect(), ..array.clone() }.cast(DType::F32)
}

/// The output of an operator whose inputs determine it.
pub fn output(op: &str, given: &[(&str, &str)], inputs: &[&Array]) -> Array {
    let inputs = inputs.iter().map(|a| (*a).clone()).collect();
    Use::new(op, given, inputs).run(&How::on(engine())).unwrap().output()
}

/// The outputs of a backward operator, of these shapes.
pub fn gradients(op: &str, given: &[(&str, &str)], inputs: &[&Array], shapes: &[&[usize]]) -> Vec<Array> {
    let op = registry().operator(op).unwrap().clone();
    let attrs = attrs(given);
    let params = op.schema().parse(&attrs).unwrap();
    let inputs = inputs.iter().map(|a| (*a).clone()).collect();
    let outputs = shapes.iter().map(|shape| TensorDesc::new(*shape, DType::F32)).collect();
    let ran = Use { op, attrs, params, inputs, outputs }.run(&How::on(engine())).unwrap();
    ran.outputs.into_iter().map(Option::unwrap).collect()
}

/// A sum, and the sum of the magnitudes of its terms, which rounding errors are relative to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    pub value: f64,
    pub magnitude: f64,
}

impl std::ops::AddAssign<f64> for Sum {
    fn add_assign(&mut self, term: f64) {
        self.value += term;
        self.magnitude += term.abs();
    }
}

#[track_caller]
pub fn assert_sums(got: &Array, wanted: &[Sum], what: &dyn std::fmt::Debug) {
    assert_eq!(got.values.len(), wanted.len());
    for (i, (got, wanted)) in got.values.iter().zip(wanted).enumerate() {
        let off = (got - wanted.value).abs();
        assert!(off <= 4e-6 * wanted.magnitude, "{what:?} [{i}]: {got}, wanted {wanted:?}");
    }
}

/// The multi-index of element `flat` of a tensor of this shape.
pub fn unflatten(mut flat: usize, shape: &[usize]) -> Vec<usize> {
    let mut at = vec![0; shape.len()];
    for (at, len) in at.iter_mut().zip(shape).rev() {
        (*at, flat) = (flat % len, flat / len);
    }
    at
}

/// The element at a multi-index.
pub fn flatten(at: &[usize], shape: &[usize]) -> usize {
    at.iter().zip(shape).fold(0, |flat, (at, len)| flat * len + at)
}

/// The element of a tensor that is repeated to a larger shape, at a multi-index of that.
pub fn flatten_repeated(at: &[usize], shape: &[usize]) -> usize {
    let own = &at[at.len() - shape.len()..];
    let own: Vec<_> = own.iter().zip(shape).map(|(at, len)| if *len == 1 { 0 } else { *at }).collect();
    flatten(&own, shape)
}
