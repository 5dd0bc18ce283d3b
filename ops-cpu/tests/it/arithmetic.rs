//! Operators that work element by element, against the formulas of their definitions in double precision.

use super::dense::{map, numbers, output};
use super::usage::Array;
use proptest::prelude::*;
use varflow_ops::DType;

type Formula = fn(f64, f64) -> f64;

/// Name, and output from data and scalar.
const SCALAR: &[(&str, Formula)] = &[
    ("_plus_scalar", |x, s| x + s),
    ("_minus_scalar", |x, s| x - s),
    ("_rminus_scalar", |x, s| s - x),
    ("_mul_scalar", |x, s| x * s),
    ("_div_scalar", |x, s| x / s),
    ("_rdiv_scalar", |x, s| s / x),
    ("_maximum_scalar", f64::max),
    ("_minimum_scalar", f64::min),
    ("_power_scalar", f64::powf),
];

/// Name, and gradient from out_grad, data and scalar.
const SCALAR_BACKWARD: &[(&str, fn(f64, f64, f64) -> f64)] = &[
    ("_backward_rdiv_scalar", |g, x, s| -g * s / x.powi(2)),
    ("_backward_maximum_scalar", |g, x, s| g * f64::from(x >= s)),
    ("_backward_minimum_scalar", |g, x, s| g * f64::from(x <= s)),
    ("_backward_power_scalar", |g, x, s| g * s * x.powf(s - 1.0)),
];

/// Name, and output from data.
const UNARY: &[(&str, fn(f64) -> f64)] = &[
    ("negative", |x| -x),
    ("square", |x| x * x),
    ("sqrt", f64::sqrt),
    ("exp", f64::exp),
    ("log", f64::ln),
    ("abs", f64::abs),
];

/// Name, and output from two tensors.
const BINARY: &[(&str, Formula)] = &[
    ("elemwise_add", |x, y| x + y),
    ("elemwise_sub", |x, y| x - y),
    ("elemwise_mul", |x, y| x * y),
    ("elemwise_div", |x, y| x / y),
    ("_backward_square", |g, x| g * 2.0 * x),
    ("_backward_sqrt", |g, y| g / (2.0 * y)),
    ("_backward_abs", |g, x| g * if x > 0.0 { 1.0 } else { -f64::from(x < 0.0) }),
];

/// Lengths around those of vectors, and past those that are cut for several workers.
fn lengths() -> impl Strategy<Value = usize> {
    prop_oneof![1..40usize, 9_000..9_100usize, Just(70_001)]
}

#[track_caller]
fn assert_all_close(op: &str, got: &Array, exact: impl Iterator<Item = f64>) {
    for (i, (got, exact)) in got.values.iter().zip(exact).enumerate() {
        assert!((got - exact).abs() <= 1e-6 * exact.abs() + 1e-38, "{op} [{i}]: got {got}, wanted {exact}");
    }
}

/// A shape of so many elements, of two axes if that can be.
fn shape(len: usize) -> Vec<usize> {
    if len.is_multiple_of(2) { vec![2, len / 2] } else { vec![len] }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn one_tensor_and_a_number(len in lengths(), s in 0.25..3.0_f32, seed: u64) {
        let given = [("scalar", &*s.to_string())];
        let s = f64::from(s);
        // Powers want a positive base.
        let x = map(&numbers(seed, &shape(len)), |x| x.abs() + 0.25);
        let g = numbers(!seed, &shape(len));
        for (op, f) in SCALAR {
            assert_all_close(op, &output(op, &given, &[&x]), x.values.iter().map(|x| f(*x, s)));
        }
        for (op, f) in SCALAR_BACKWARD {
            let exact = g.values.iter().zip(&x.values).map(|(g, x)| f(*g, *x, s));
            assert_all_close(op, &output(op, &given, &[&g, &x]), exact);
        }
    }

    #[test]
    fn one_tensor(len in lengths(), seed: u64) {
        let any = numbers(seed, &shape(len));
        let positive = map(&any, |x| x.abs() * 3.0 + 0.01);
        for (op, f) in UNARY {
            let x = if matches!(*op, "sqrt" | "log") { &positive } else { &any };
            assert_all_close(op, &output(op, &[], &[x]), x.values.iter().map(|x| f(*x)));
        }
    }

    #[test]
    fn two_tensors(len in lengths(), seed: u64) {
        let (x, y) = (numbers(seed, &shape(len)), numbers(!seed, &shape(len)));
        for (op, f) in BINARY {
            let exact = x.values.iter().zip(&y.values).map(|(x, y)| f(*x, *y));
            assert_all_close(op, &output(op, &[], &[&x, &y]), exact);
        }
    }
}

/// Where derivatives jump, the definitions say what is taken.
#[test]
fn derivatives_at_corners() {
    let (ones, at) = (Array::f64(&[3], vec![1.0; 3]), Array::f64(&[3], vec![-1.0, 0.0, 1.0]));
    let backward = |op: &str, given: &[(&str, &str)]| output(op, given, &[&ones, &at]).values;
    assert_eq!(backward("_backward_abs", &[]), [-1.0, 0.0, 1.0]);
    assert_eq!(backward("_backward_maximum_scalar", &[("scalar", "0")]), [0.0, 1.0, 1.0]);
    assert_eq!(backward("_backward_minimum_scalar", &[("scalar", "0")]), [1.0, 1.0, 0.0]);
}

#[test]
fn not_a_number_is_not_hidden() {
    let x = Array::f64(&[2], vec![f64::NAN, 1.0]);
    for op in ["_maximum_scalar", "_minimum_scalar", "_plus_scalar", "abs", "negative"] {
        let given: &[_] = if op.ends_with("scalar") { &[("scalar", "5")] } else { &[] };
        let got = output(op, given, &[&x]).values;
        assert!(got[0].is_nan() && !got[1].is_nan(), "{op}: {got:?}");
    }
}

#[test]
fn the_number_is_of_the_dtype_of_data() {
    let x = Array::f64(&[1], vec![0.0]);
    assert_eq!(output("_plus_scalar", &[("scalar", "0.1")], &[&x]).values, [0.1]);
    assert_eq!(output("_plus_scalar", &[("scalar", "0.1")], &[&x.cast(DType::F32)]).values, [f64::from(0.1_f32)]);
}
