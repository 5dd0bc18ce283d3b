//! Operators that work element by element, against the formulas of their definitions in double precision.

use crate::call::{Array, numbers, run};
use proptest::prelude::*;

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

fn assert_all_close(op: &str, got: &Array<f32>, exact: impl Iterator<Item = f64>) {
    for (i, (got, exact)) in got.data.iter().zip(exact).enumerate() {
        let off = (f64::from(*got) - exact).abs();
        assert!(off <= 1e-6 * exact.abs() + 1e-38, "{op} [{i}]: got {got}, wanted {exact}");
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
        let x = numbers(seed, &shape(len)).map(|x| x.abs() + 0.25);
        let g = numbers(!seed, &shape(len));
        for (op, f) in SCALAR {
            let got = run(op, &given, &[x.clone()]);
            assert_all_close(op, &got, x.data.iter().map(|x| f(f64::from(*x), s)));
        }
        for (op, f) in SCALAR_BACKWARD {
            let got = run(op, &given, &[g.clone(), x.clone()]);
            assert_all_close(op, &got, g.data.iter().zip(&x.data).map(|(g, x)| f(f64::from(*g), f64::from(*x), s)));
        }
    }

    #[test]
    fn one_tensor(len in lengths(), seed: u64) {
        let x = numbers(seed, &shape(len));
        for (op, f) in UNARY {
            let x = if matches!(*op, "sqrt" | "log") { x.clone().map(|x| x.abs() * 3.0 + 0.01) } else { x.clone() };
            assert_all_close(op, &run(op, &[], &[x.clone()]), x.data.iter().map(|x| f(f64::from(*x))));
        }
    }

    #[test]
    fn two_tensors(len in lengths(), seed: u64) {
        let (x, y) = (numbers(seed, &shape(len)), numbers(!seed, &shape(len)));
        for (op, f) in BINARY {
            let got = run(op, &[], &[x.clone(), y.clone()]);
            assert_all_close(op, &got, x.data.iter().zip(&y.data).map(|(x, y)| f(f64::from(*x), f64::from(*y))));
        }
    }
}

/// Where derivatives jump, the definitions say what is taken.
#[test]
fn derivatives_at_corners() {
    let (ones, at) = (Array::new(&[3], vec![1.0_f32; 3]), Array::new(&[3], vec![-1.0_f32, 0.0, 1.0]));
    let backward = |op: &str, given: &[(&str, &str)]| run(op, given, &[ones.clone(), at.clone()]).data;
    assert_eq!(backward("_backward_abs", &[]), [-1.0, 0.0, 1.0]);
    assert_eq!(backward("_backward_maximum_scalar", &[("scalar", "0")]), [0.0, 1.0, 1.0]);
    assert_eq!(backward("_backward_minimum_scalar", &[("scalar", "0")]), [1.0, 1.0, 0.0]);
}

#[test]
fn not_a_number_is_not_hidden() {
    let x = Array::new(&[2], vec![f32::NAN, 1.0]);
    for op in ["_maximum_scalar", "_minimum_scalar", "_plus_scalar", "abs", "negative"] {
        let given: &[_] = if op.ends_with("scalar") { &[("scalar", "5")] } else { &[] };
        let got = run(op, given, &[x.clone()]).data;
        assert!(got[0].is_nan() && !got[1].is_nan(), "{op}: {got:?}");
    }
}

/// The number is taken in the dtype of data.
#[test]
fn the_number_is_of_the_dtype_of_data() {
    let x = Array::new(&[1], vec![0.0_f32]);
    assert_eq!(run("_plus_scalar", &[("scalar", "0.1")], &[x]).data, [0.1_f32]);
    let x = Array::new(&[1], vec![0.0_f64]);
    assert_eq!(run("_plus_scalar", &[("scalar", "0.1")], &[x]).data, [0.1_f64]);
}
