//! Operators that find elements by numbers: values by hand, and indices out of range.

use super::dense::output;
use super::usage::{Array, How, Use};
use super::workers;
use varflow_ops::DType;

fn vector(values: &[f64]) -> Array {
    Array::f64(&[values.len()], values.to_vec())
}

/// Three rows of four: 0 to 11.
fn table() -> Array {
    Array::f64(&[3, 4], (0..12).map(f64::from).collect())
}

#[track_caller]
fn gives(op: &str, given: &[(&str, &str)], inputs: &[&Array], wanted: &[f64]) {
    assert_eq!(output(op, given, inputs).values, wanted, "{op} {given:?}");
}

fn refusal(op: &str, given: &[(&str, &str)], inputs: &[&Array]) -> String {
    let inputs = inputs.iter().map(|a| (*a).clone()).collect();
    Use::new(op, given, inputs).run(&How::on(&workers(0))).unwrap_err().to_string()
}

#[test]
fn indices_out_of_range_are_clipped_wrapped_or_refused() {
    let table = Array::f64(&[3, 1], vec![10.0, 11.0, 12.0]);
    let indices = vector(&[-1.0, -0.5, 1.7, 3.0, 7.0, -4.0]);
    let clipped = [10.0, 10.0, 11.0, 12.0, 12.0, 10.0];
    gives("take", &[], &[&table, &indices], &clipped);
    gives("Embedding", &[("input_dim", "3"), ("output_dim", "1")], &[&indices, &table], &clipped);
    gives("take", &[("mode", "wrap")], &[&table, &indices], &[12.0, 10.0, 11.0, 10.0, 11.0, 12.0]);
    let text = refusal("take", &[("mode", "raise")], &[&table, &vector(&[2.9, 0.0, 7.0])]);
    assert!(text.contains("index 2 is 7, wanted 0 to 2"), "{text}");
    let text = refusal("take", &[("mode", "raise")], &[&table, &vector(&[f64::NAN])]);
    assert!(text.contains("index 0 is NaN, wanted 0 to 2"), "{text}");
}

#[test]
fn one_element_of_each_row() {
    let table = table();
    gives("pick", &[], &[&table, &vector(&[-1.0, 5.0, -5.0])], &[0.0, 7.0, 8.0]);
    gives("pick", &[("mode", "wrap")], &[&table, &vector(&[-1.0, 5.0, -5.0])], &[3.0, 5.0, 11.0]);
    let indices = Array::new(&[3], DType::I32, vec![-1.0, 5.0, 2.0]);
    gives("batch_take", &[], &[&table, &indices], &[0.0, 7.0, 10.0]);
    let rows = [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0];
    gives("one_hot", &[("depth", "3")], &[&vector(&[-1.0, -0.5, 1.7, 3.0])], &rows);
    gives("one_hot", &[("depth", "0")], &[&vector(&[1.0])], &[]);
}

#[test]
fn a_condition_is_true_if_it_is_not_zero() {
    let (x, y) = (vector(&[1.0, 2.0, 3.0]), vector(&[4.0, 5.0, 6.0]));
    gives("where", &[], &[&vector(&[0.0, f64::NAN, -2.0]), &x, &y], &[4.0, 2.0, 3.0]);
    let ints = Array::new(&[3], DType::I32, vec![0.0, 0.0, 7.0]);
    gives("where", &[], &[&ints, &x, &y], &[4.0, 5.0, 3.0]);
}

#[test]
fn places_below_zero_count_from_the_end() {
    let table = table();
    let places = |values: &[f64]| Array::f64(&[2, values.len() / 2], values.to_vec());
    gives("gather_nd", &[], &[&table, &places(&[-1.0, 0.0, 0.0, -1.0])], &[8.0, 3.0]);
    let text = refusal("gather_nd", &[], &[&table, &places(&[0.0, 2.0, 1.0, 4.0])]);
    assert!(text.contains("index 3 is 4, wanted 0 to 3"), "{text}");
    let text = refusal("gather_nd", &[], &[&table, &places(&[-4.0, 0.0])]);
    assert!(text.contains("index 0 is -4, wanted 0 to 2"), "{text}");
    let at = Array::f64(&[1, 3], vec![0.0, 0.0, -2.0]);
    gives("scatter_nd", &[("shape", "(3,)")], &[&vector(&[1.0, 2.0, 3.0]), &at], &[2.0, 3.0, 0.0]);
}

#[test]
fn of_equal_elements_the_first_comes_first() {
    let x = Array::f64(&[1, 4], vec![2.0, 5.0, 5.0, 1.0]);
    gives("topk", &[("k", "3")], &[&x], &[1.0, 2.0, 0.0]);
    gives("topk", &[("k", "2"), ("ret_typ", "mask")], &[&x], &[0.0, 1.0, 1.0, 0.0]);
    gives("argsort", &[("is_ascend", "False")], &[&vector(&[1.0, 1.0, 2.0, 2.0])], &[2.0, 3.0, 0.0, 1.0]);
    gives("argmax", &[("axis", "1")], &[&x], &[1.0]);
    gives("argmin", &[], &[&vector(&[1.0, f64::NAN, 0.0])], &[1.0]);
}

#[test]
fn sequences_of_different_lengths() {
    let x = Array::f64(&[3, 2], (0..6).map(f64::from).collect());
    let used = ("use_sequence_length", "True");
    let mask = [used, ("value", "-9")];
    gives("SequenceMask", &mask, &[&x, &vector(&[0.0, 2.7])], &[-9.0, 1.0, -9.0, 3.0, -9.0, -9.0]);
    gives("SequenceMask", &mask, &[&x, &vector(&[9.0, 1.0])], &[0.0, 1.0, 2.0, -9.0, 4.0, -9.0]);
    gives("SequenceLast", &[used], &[&x, &vector(&[1.0, 3.0])], &[0.0, 5.0]);
    gives("SequenceReverse", &[used], &[&x, &vector(&[0.0, 2.0])], &[0.0, 3.0, 2.0, 1.0, 4.0, 5.0]);
    let text = refusal("SequenceLast", &[used], &[&x, &vector(&[1.0, 0.0])]);
    assert!(text.contains("sequence_length 1 is 0, wanted 1 to 3"), "{text}");
    let text = refusal("SequenceMask", &[used], &[&x, &vector(&[-1.0, 0.0])]);
    assert!(text.contains("sequence_length 0 is -1, wanted 0 to 3"), "{text}");
}

/// More outputs and mutated inputs than a word has bits.
#[test]
fn two_hundred_parts() {
    let x = Array::f64(&[2, 200], (0..400).map(f64::from).collect());
    let usage = Use::new("SliceChannel", &[("num_outputs", "200")], vec![x.clone()]);
    let parts = usage.run(&How::on(&workers(0))).unwrap().outputs;
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    assert_eq!(parts.len(), 200);
    assert_eq!(parts[199].values, [199.0, 399.0]);
    let joined = output("Concat", &[("num_args", "200")], &parts.iter().collect::<Vec<_>>());
    assert_eq!(joined, x);
    let given = [("num_args", "200")];
    let outputs = parts.iter().map(|p| p.desc.clone()).collect();
    let usage = Use::with_outputs("_backward_Concat", &given, vec![x], outputs);
    let back = usage.run(&How::on(&workers(0))).unwrap().outputs;
    assert!(back.iter().flatten().eq(&parts));
}
