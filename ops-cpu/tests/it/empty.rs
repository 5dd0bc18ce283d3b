//! Tensors without elements, and tensors without axes.

use super::dense::output;
use super::usage::{Array, How, Use};
use super::workers;

fn zeros(shape: &[usize]) -> Array {
    Array::f64(shape, vec![0.0; shape.iter().product()])
}

#[test]
fn nothing_gives_nothing() {
    let empty = zeros(&[2, 0, 3]);
    for op in ["negative", "exp", "zeros_like", "_copy"] {
        assert_eq!(output(op, &[], &[&empty]), empty, "{op}");
    }
    assert_eq!(output("_power_scalar", &[("scalar", "2")], &[&empty]), empty);
    assert_eq!(output("elemwise_div", &[], &[&empty, &empty]), empty);
    assert_eq!(output("broadcast_mul", &[], &[&empty, &zeros(&[1, 1, 3])]), empty);
    assert_eq!(output("transpose", &[], &[&empty]), zeros(&[3, 0, 2]));
    assert_eq!(output("dot", &[], &[&zeros(&[0, 3]), &zeros(&[3, 2])]), zeros(&[0, 2]));
}

#[test]
fn sums_of_nothing_are_zero() {
    let empty = zeros(&[2, 0, 3]);
    assert_eq!(output("sum", &[], &[&empty]), zeros(&[1]));
    assert_eq!(output("sum", &[("axis", "1")], &[&empty]), zeros(&[2, 3]));
    assert_eq!(output("sum", &[("axis", "2")], &[&empty]), zeros(&[2, 0]));
    assert!(output("mean", &[], &[&empty]).values[0].is_nan());
    assert_eq!(output("dot", &[], &[&zeros(&[2, 0]), &zeros(&[0, 3])]), zeros(&[2, 3]));
}

#[test]
fn numbers_without_axes() {
    let x = Array::f64(&[], vec![3.0]);
    assert_eq!(output("square", &[], &[&x]), Array::f64(&[], vec![9.0]));
    assert_eq!(output("transpose", &[], &[&x]), x);
    assert_eq!(output("sum", &[], &[&x]), Array::f64(&[1], vec![3.0]));
    assert_eq!(output("broadcast_sub", &[], &[&x, &x]), Array::f64(&[], vec![0.0]));
    let row = Array::f64(&[2], vec![1.0, 2.0]);
    let usage = Use::new("broadcast_div", &[], vec![x, row]);
    let in_place = usage.run(&How { inplace: Some((1, 0)), ..How::on(&workers(0)) }).unwrap();
    assert_eq!(in_place.output(), Array::f64(&[2], vec![3.0, 1.5]));
}
