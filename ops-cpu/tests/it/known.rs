//! Normalisations and losses against numbers of MXNet 1.9.1.

use super::graph::backward;
use super::usage::{Array, How, Use};
use super::{engine, examples};
use varflow_ops::DType;

/// `n` numbers from `first` to `last`, equally far apart.
fn line(shape: &[usize], first: f64, last: f64) -> Array {
    let len: usize = shape.iter().product();
    let step = (last - first) / (len - 1) as f64;
    Array::f64(shape, (0..len).map(|i| first + step * i as f64).collect())
}

#[track_caller]
fn assert_near(got: &Array, wanted: &[f64]) {
    assert_eq!(got.values.len(), wanted.len());
    for (got, wanted) in got.values.iter().zip(wanted) {
        assert!((got - wanted).abs() < 2e-6 * (1.0 + wanted.abs()), "got {got}, of MXNet {wanted}");
    }
}

/// The gradient of the first input; that of the output is 1, 2, ….
fn grad(usage: &Use) -> Array {
    let shape = usage.outputs[0].shape.dims();
    let len: usize = shape.iter().product();
    let out_grad = Array::f64(shape, (1..=len).map(|i| i as f64).collect());
    let out_grad = (!usage.op.is_loss(&usage.params)).then_some(out_grad);
    backward(usage, out_grad).unwrap().grads[0].clone().unwrap()
}

fn output(usage: &Use) -> Array {
    usage.run(&How::on(engine())).unwrap().output()
}

#[test]
fn rounded_steps_and_distances() {
    let data = || vec![line(&[9], -4.0, 4.0)];
    let usage = Use::new("hard_sigmoid", &[], data());
    assert_near(&output(&usage), &[0.0, 0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0, 1.0]);
    assert_near(&grad(&usage), &[0.0, 0.0, 0.6, 0.8, 1.0, 1.2, 1.4, 0.0, 0.0]);
    let usage = Use::new("smooth_l1", &[("scalar", "0.5")], data());
    assert_near(&output(&usage), &[2.0, 1.125, 0.5, 0.125, 0.0, 0.125, 0.5, 1.125, 2.0]);
    assert_near(&grad(&usage), &[-1.0, -1.5, -1.5, -1.0, 0.0, 1.5, 3.5, 6.0, 9.0]);
    let usage = Use::new("smooth_l1", &[("scalar", "-2")], data());
    assert_near(&output(&usage), &[3.875, 2.875, 1.875, 0.875, 0.0, 0.875, 1.875, 2.875, 3.875]);
    let usage = Use::new("smooth_l1", &[("scalar", "0")], data());
    assert_near(&output(&usage), &[0.0; 9]);
    assert_near(&grad(&usage), &[0.0; 9]);
}

#[test]
fn margins() {
    let label = Array::new(&[2], DType::F64, vec![1.0, 0.0]);
    let given = [("margin", "0.7"), ("regularization_coefficient", "0.5"), ("use_linear", "0")];
    let usage = Use::new("SVMOutput", &given, vec![line(&[2, 3], -2.0, 2.0), label.clone()]);
    assert_near(&output(&usage), &line(&[2, 3], -2.0, 2.0).values);
    assert_near(&grad(&usage), &[0.0, -1.9, 0.3, -0.3, 1.9, 2.7]);
    let given = [("margin", "0.7"), ("regularization_coefficient", "0.5"), ("use_linear", "1")];
    let usage = Use::new("SVMOutput", &given, vec![line(&[2, 3], -2.0, 2.0), label]);
    assert_near(&grad(&usage), &[0.0, -0.5, 0.5, -0.5, 0.5, 0.5]);
}

#[test]
fn the_sum_of_a_cross_entropy() {
    let label = Array::new(&[2], DType::F64, vec![1.6, 0.0]);
    let usage = Use::new("softmax_cross_entropy", &[], vec![line(&[2, 3], -2.0, 2.0), label]);
    let rows = [[-2.0, -1.2, -0.4], [0.4, 1.2, 2.0_f64]];
    let loss = |row: [f64; 3], label: usize| row.map(f64::exp).iter().sum::<f64>().ln() - row[label];
    assert_near(&output(&usage), &[loss(rows[0], 1) + loss(rows[1], 0)]);
    assert_near(&grad(&usage), &[0.1222707, -0.7278816, 0.6056108, -0.8777293, 0.2721185, 0.6056108]);
    let bad = Use::new(
        "softmax_cross_entropy",
        &[],
        vec![line(&[2, 3], -2.0, 2.0), Array::new(&[2], DType::F64, vec![1.0, 3.0])],
    );
    let error = bad.run(&How::on(engine())).unwrap_err().to_string();
    assert!(error.contains("label 1 is 3, wanted a class from 0 to 2"), "{error}");
}

#[test]
fn groups_share_gamma_and_beta() {
    let vector = |values: [f64; 2]| Array::f64(&[2], values.to_vec());
    let inputs = vec![line(&[1, 4, 4], -2.0, 2.0), vector([1.0, 2.0]), vector([0.0, 1.0])];
    let usage = Use::new("GroupNorm", &[("num_groups", "2")], inputs);
    let outputs = usage.run(&How::on(engine())).unwrap().outputs;
    let first = outputs[0].as_ref().unwrap().values[..2].to_vec();
    assert_near(&Array::f64(&[2], first), &[-1.5275046, -1.0910747]);
    assert_near(outputs[1].as_ref().unwrap(), &[-1.0666667, 1.0666667]);
    assert_near(outputs[2].as_ref().unwrap(), &[0.6110183, 0.6110183]);
}

#[test]
fn powers_of_windows() {
    let data = Array::f64(&[1, 1, 8], vec![-1.0, 2.0, -3.0, 0.5, 0.0, 0.0, 0.0, 0.0]);
    let pool = |p| {
        let given = [("kernel", "(2,)"), ("stride", "(2,)"), ("pool_type", "lp"), ("p_value", p)];
        let usage = Use::new("Pooling", &given, vec![data.clone()]);
        (output(&usage), grad(&usage))
    };
    let (y, dx) = pool("2");
    assert_near(&y, &[2.236068, 3.0413813, 0.0, 0.0]);
    assert_near(&dx, &[-0.4472136, 0.8944272, 2.0 * -0.9863939, 2.0 * 0.164399, 0.0, 0.0, 0.0, 0.0]);
    let (y, dx) = pool("3");
    assert_near(&y, &[1.9129312, -2.9953632, 0.0, 0.0]);
    assert_near(&dx, &[0.2732759, 1.0931035, 2.0 * 1.0030982, 2.0 * 0.0278639, 0.0, 0.0, 0.0, 0.0]);
    assert_near(&pool("1").0, &[1.0, -2.5, 0.0, 0.0]);
}

#[test]
fn a_plain_loss_starts_with_ones() {
    let usage = Use::new("make_loss", &[], vec![line(&[2, 3], -2.0, 2.0)]);
    assert!(examples::out_grad(&usage).is_none());
    assert_near(&grad(&usage), &[1.0; 6]);
}
