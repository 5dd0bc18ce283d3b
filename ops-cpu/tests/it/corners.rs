//! Integers, and arguments for which a function has no usual value: what MXNet 1.9.1 gives.

use super::dense::output;
use super::usage::Array;
use varflow_ops::DType;

fn array(dtype: DType, values: &[f64]) -> Array {
    Array::new(&[values.len()], dtype, values.to_vec())
}

#[track_caller]
fn assert_output(op: &str, given: &[(&str, &str)], data: &Array, wanted: &[f64]) {
    let got = output(op, given, &[data]);
    assert!(got.same_bits(&array(data.desc.dtype, wanted)), "{op}: {got:?}, wanted {wanted:?}");
}

#[test]
fn integers_and_numbers() {
    let data = array(DType::I32, &[5.0, -7.0, 0.0, 3.0]);
    for (op, scalar, wanted) in [
        ("_plus_scalar", "1.5", [6.0, -6.0, 1.0, 4.0]),
        ("_div_scalar", "2", [2.0, -3.0, 0.0, 1.0]),
        ("_div_scalar", "0", [0.0; 4]),
        ("_mod_scalar", "3", [2.0, 2.0, 0.0, 0.0]),
        ("_mod_scalar", "-3", [-1.0, -1.0, 0.0, 0.0]),
        ("_mod_scalar", "0", [0.0; 4]),
        ("_greater_scalar", "1.5", [1.0, 0.0, 0.0, 1.0]),
        ("_power_scalar", "2", [25.0, 49.0, 0.0, 9.0]),
        ("_hypot_scalar", "12", [13.0, 13.0, 12.0, 12.0]),
    ] {
        assert_output(op, &[("scalar", scalar)], &data, &wanted);
    }
    let bytes = array(DType::U8, &[1.0, 2.0]);
    assert_output("_minus_scalar", &[("scalar", "3")], &bytes, &[254.0, 255.0]);
    assert_output("_plus_scalar", &[("scalar", "-1")], &bytes, &[0.0, 1.0]);
    assert_output("_rminus_scalar", &[("scalar", "-1")], &bytes, &[254.0, 253.0]);
}

#[test]
fn functions_of_integers() {
    let data = array(DType::I32, &[5.0, -7.0, 0.0, 3.0]);
    assert_output("negative", &[], &data, &[-5.0, 7.0, 0.0, -3.0]);
    assert_output("abs", &[], &data, &[5.0, 7.0, 0.0, 3.0]);
    assert_output("relu", &[], &data, &[5.0, 0.0, 0.0, 3.0]);
    assert_output("sign", &[], &data, &[1.0, -1.0, 0.0, 1.0]);
    assert_output("floor", &[], &data, &[5.0, -7.0, 0.0, 3.0]);
    assert_output("exp", &[], &array(DType::I32, &[1.0, 2.0, 3.0]), &[2.0, 7.0, 20.0]);
    assert_output("sqrt", &[], &array(DType::I64, &[4.0, 10.0]), &[2.0, 3.0]);
    assert_output("clip", &[("a_min", "-1.5"), ("a_max", "2.5")], &data, &[2.0, -1.0, 0.0, 2.0]);
    for (op, wanted) in [("sum", 1.0), ("prod", 0.0), ("max", 5.0), ("min", -7.0)] {
        assert_output(op, &[], &data, &[wanted]);
    }
    assert_output("mean", &[], &array(DType::I32, &[1.0, 2.0, 4.0]), &[2.0]);
}

#[test]
fn remainders_have_the_sign_of_the_divisor() {
    let data = array(DType::F64, &[5.5, -7.5, 0.0, 2.5]);
    assert_output("_mod_scalar", &[("scalar", "-3")], &data, &[-0.5, -1.5, 0.0, -0.5]);
    assert_output("_rmod_scalar", &[("scalar", "3")], &data, &[3.0, -4.5, 0.0, 0.5]);
    assert_output("_mod_scalar", &[("scalar", "0")], &data, &[0.0; 4]);
}

#[test]
fn halves_are_rounded() {
    let data = array(DType::F64, &[-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]);
    assert_output("round", &[], &data, &[-3.0, -2.0, -1.0, 1.0, 2.0, 3.0]);
    assert_output("rint", &[], &data, &[-3.0, -2.0, -1.0, 0.0, 1.0, 2.0]);
    assert_output("fix", &[], &data, &[-2.0, -1.0, -0.0, 0.0, 1.0, 2.0]);
}

#[test]
fn not_a_number() {
    let nan = f64::NAN;
    let data = array(DType::F64, &[5.5, nan, 2.0]);
    assert_output("sign", &[], &data, &[1.0, 0.0, 1.0]);
    assert_output("logical_not", &[], &data, &[0.0; 3]);
    assert_output("_logical_and_scalar", &[("scalar", "2")], &data, &[1.0; 3]);
    assert_output("nansum", &[], &data, &[7.5]);
    assert_output("nanprod", &[], &data, &[11.0]);
    for op in ["max", "min", "sum"] {
        assert!(output(op, &[], &[&data]).values[0].is_nan(), "{op}");
    }
    for op in ["_maximum_scalar", "_minimum_scalar"] {
        assert!(output(op, &[("scalar", "1")], &[&data]).values[1].is_nan(), "{op}");
    }
    let other = array(DType::F64, &[nan, 1.0, 3.0]);
    assert!(output("_maximum", &[], &[&data, &other]).values[..2].iter().all(|v| v.is_nan()));
    assert_output("clip", &[("a_min", "3"), ("a_max", "1")], &array(DType::F64, &[0.0, 1.0, 5.0]), &[3.0, 3.0, 1.0]);
}
