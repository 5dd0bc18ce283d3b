//! What kernels refuse, and how they say so.

use super::usage::{Array, How, Use};
use super::workers;
use varflow_ops::{DType, Error, Result};

fn refusal<T>(result: Result<T>) -> String {
    result.err().map(|e| e.to_string()).unwrap()
}

/// What a gradient of a softmax over five classes says of these labels.
fn labels(given: &[(&str, &str)], labels: &[f64], dtype: DType) -> Result<Array> {
    let output = Array::f64(&[labels.len(), 5], vec![0.2; labels.len() * 5]);
    let label = Array::new(&[labels.len()], dtype, labels.to_vec());
    let usage = Use::with_outputs("_backward_SoftmaxOutput", given, vec![output.clone(), label], vec![output.desc]);
    usage.run(&How::on(&workers(0))).map(super::usage::Ran::output)
}

#[test]
fn a_label_out_of_range_is_named() {
    let text = |given: &[(&str, &str)], values: &[f64], dtype| refusal(labels(given, values, dtype));
    assert!(text(&[], &[0.0, 4.0, 7.0], DType::F32).contains("label 2 is 7, wanted a class from 0 to 4"));
    assert!(text(&[], &[5.0], DType::F64).contains("label 0 is 5, wanted a class from 0 to 4"));
    assert!(text(&[], &[0.0, -1.0], DType::I32).contains("label 1 is -1, wanted a class from 0 to 4"));
    assert!(text(&[], &[f64::NAN], DType::F32).contains("label 0 is NaN, wanted a class from 0 to 4"));
    assert!(text(&[], &[250.0], DType::U8).contains("label 0 is 250, wanted"));
    let ignoring = [("use_ignore", "True"), ("ignore_label", "-1")];
    assert!(labels(&ignoring, &[-1.0, 2.0], DType::F64).is_ok());
    assert!(text(&ignoring, &[-2.0], DType::F64).contains("label 0 is -2, wanted"));
}

/// The error comes from the wait for the result, with the name of the task, and is none of the shapes'.
#[test]
fn a_bad_label_fails_the_task() {
    let error = labels(&[], &[9.0], DType::F64).unwrap_err();
    assert!(matches!(error, Error::Engine(_)), "{error:?}");
    assert!(error.to_string().contains("node"), "{error}");
}

#[test]
fn other_dtypes_are_refused_with_a_name() {
    let int = |shape: &[usize]| Array::new(shape, DType::I32, vec![0.0; shape.iter().product()]);
    let text = |op: &str, given: &[(&str, &str)], inputs: Vec<Array>| {
        refusal(Use::new(op, given, inputs).run(&How::on(&workers(0))))
    };
    assert_eq!(
        text("FullyConnected", &[("num_hidden", "1")], vec![int(&[2, 3]), int(&[1, 3]), int(&[1])]),
        "FullyConnected \"node\": data holds int32, wanted float32 or float64"
    );
    assert_eq!(
        text("Activation", &[("act_type", "relu")], vec![int(&[2])]),
        "Activation \"node\": data holds int32, wanted float32 or float64"
    );
}

/// Flattening and copying move elements of any type.
#[test]
fn integers_are_moved() {
    let engine = workers(0);
    let ints = Array::new(&[2, 1, 2], DType::I64, vec![1.0, -2.0, 3.0, 4.0]);
    for (op, given) in [("Flatten", &[][..]), ("Reshape", &[("shape", "(4,)")]), ("_copy", &[])] {
        let out = Use::new(op, given, vec![ints.clone()]).run(&How::on(&engine)).unwrap().output();
        assert_eq!((out.desc.dtype, out.values), (DType::I64, ints.values.clone()));
    }
}

#[test]
fn labels_of_another_number_are_refused() {
    let output = Array::f64(&[2, 5, 3], vec![0.2; 30]);
    let label = Array::f64(&[2, 5], vec![0.0; 10]);
    let usage = Use::with_outputs("_backward_SoftmaxOutput", &[], vec![output.clone(), label], vec![output.desc]);
    assert_eq!(
        refusal(usage.run(&How::on(&workers(0)))),
        "_backward_SoftmaxOutput \"node\": label has shape (2, 5), wanted 2 labels for output (2, 5, 3)"
    );
}

#[test]
fn empty_batches_pass() {
    let engine = workers(0);
    let empty = |shape: &[usize]| Array::f64(shape, Vec::new());
    let ones = |shape: &[usize]| Array::f64(shape, vec![1.0; shape.iter().product()]);
    let fc = [("num_hidden", "2")];
    let conv = [("num_filter", "2"), ("kernel", "(2, 2)")];
    let uses = [
        Use::new("FullyConnected", &fc, vec![empty(&[0, 3]), ones(&[2, 3]), ones(&[2])]),
        Use::new("Convolution", &conv, vec![empty(&[0, 1, 4, 7]), ones(&[2, 1, 2, 2]), ones(&[2])]),
        Use::new("Pooling", &[("kernel", "(2, 2)")], vec![empty(&[0, 1, 4, 4])]),
        Use::new("softmax", &[], vec![empty(&[0, 4])]),
        Use::new("softmax", &[], vec![empty(&[4, 0])]),
        Use::new("log_softmax", &[("axis", "0")], vec![empty(&[0, 4])]),
        Use::new("SoftmaxOutput", &[], vec![empty(&[0, 4]), empty(&[0])]),
        Use::new("Dropout", &[], vec![empty(&[0, 4])]),
        Use::new("Activation", &[("act_type", "tanh")], vec![empty(&[0, 4])]),
    ];
    for usage in uses {
        usage.run(&How::on(&engine)).unwrap_or_else(|e| panic!("{usage:?}: {e}"));
        super::graph::backward(&usage, super::examples::out_grad(&usage)).unwrap_or_else(|e| panic!("{usage:?}: {e}"));
    }
}

/// An empty sum is 0, so the output is the bias.
#[test]
fn a_product_over_nothing_is_the_bias() {
    let inputs =
        vec![Array::f64(&[2, 0], Vec::new()), Array::f64(&[3, 0], Vec::new()), Array::f64(&[3], vec![1.0, 2.0, 3.0])];
    let usage = Use::new("FullyConnected", &[("num_hidden", "3")], inputs);
    let out = usage.run(&How::on(&workers(0))).unwrap().output();
    assert_eq!(out.values, [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
}

#[test]
fn pooling_wants_elements() {
    let data = Array::f64(&[1, 1, 0], Vec::new());
    let usage = Use::with_outputs(
        "Pooling",
        &[("kernel", "(2,)"), ("pad", "(1,)")],
        vec![data.clone()],
        vec![Array::f64(&[1, 1, 1], vec![0.0]).desc],
    );
    assert_eq!(
        refusal(usage.run(&How::on(&workers(0)))),
        "Pooling \"node\": data has shape (1, 1, 0), wanted elements to pool"
    );
}
