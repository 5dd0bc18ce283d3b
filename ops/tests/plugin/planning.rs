//! What planners of memory learn from plug-ins.

use super::compile::{Built, build};
use super::{attrs, builtin, engine};
use std::sync::{Arc, LazyLock};
use varflow_ops::{DType, Error, Operator, Params, Registry, Run, Tensor, TensorDesc, invoke};

static BUILT: LazyLock<Built> = LazyLock::new(|| build("planning.c", &[]));

fn registry() -> Registry {
    let mut registry = builtin();
    registry.load(BUILT.path()).unwrap();
    registry
}

fn operator(name: &str, given: &[(&str, &str)]) -> (Arc<dyn Operator>, Params) {
    let op = registry().operator(name).unwrap().clone();
    let params = op.schema().parse(&attrs(given)).unwrap();
    op.check(&params).unwrap();
    (op, params)
}

fn desc(dims: &[usize]) -> TensorDesc {
    TensorDesc::new(dims, DType::F32)
}

/// What an error says once all places are taken off.
fn reason(error: &Error) -> &Error {
    match error {
        Error::At { source, .. } => reason(source),
        reason => reason,
    }
}

#[test]
fn what_a_table_says_reaches_planners() {
    let (bend, none) = operator("Bend", &[]);
    assert!(bend.is_cheap(&none));
    assert_eq!(bend.per_sample(&none, &[desc(&[4, 3])]), Some(vec![0]));
    assert_eq!(bend.view(&none, &desc(&[4]), &desc(&[4])), None);
    let (tail, none) = operator("Tail", &[]);
    assert_eq!(tail.view(&none, &desc(&[5, 3]), &desc(&[2, 3])), Some(36));
    assert_eq!((tail.is_cheap(&none), tail.per_sample(&none, &[desc(&[5, 3])])), (false, None));
}

#[test]
fn what_does_more_than_compute_its_output_is_neither_view_nor_split() {
    let (noise, none) = operator("Noise", &[]);
    assert_eq!(noise.view(&none, &desc(&[4]), &desc(&[4])), None);
    assert_eq!(noise.per_sample(&none, &[desc(&[4])]), None, "parts would draw other numbers than the whole");
    let (count, none) = operator("Count", &[]);
    assert_eq!(count.view(&none, &desc(&[4]), &desc(&[4])), None, "a view is not run, and this counts its runs");
}

#[test]
fn pairs_that_there_are_for_some_parameters_only_are_left_out() {
    let (chosen, one) = operator("Chosen", &[]);
    assert_eq!(chosen.inplace(&one), [(0, 0)]);
    let (chosen, both) = operator("Chosen", &[("both", "True")]);
    assert_eq!(chosen.inplace(&both), [(1, 0), (0, 0)]);
}

#[test]
fn random_numbers_are_for_those_who_say_that_they_draw() {
    let (e, registry) = (engine(), registry());
    let x = Tensor::from_slice(&e, [3], &[1.0_f32, 2.0, 3.0]).unwrap();
    let run = |op: &str| {
        let y = invoke(&registry, &e, op, &attrs(&[]), std::slice::from_ref(&x), Run::default()).unwrap();
        y[0].to_vec::<f32>()
    };
    assert_ne!(run("Noise").unwrap(), [1.0, 2.0, 3.0]);
    for op in ["Secret", "Later"] {
        let text = run(op).unwrap_err().to_string();
        let wanted = "draws random numbers, and its operator does not say so: wanted its flag VF_RANDOM, which is IS_RANDOM in Rust";
        assert!(text.contains(&format!("operator {op}")) && text.contains(wanted), "{text}");
    }
}

#[test]
fn pairs_that_cannot_be_are_refused_when_loading() {
    for (options, wanted) in [
        (&["-DIN_PLACE=4"][..], "output 0 may take the memory of input 4, wanted an input below 1"),
        (&["-DOUT_PLACE=2"], "output 2 may take the memory of input 0, wanted an output below 1"),
        (
            &["-DMUTATED=1"],
            "output 0 may take the memory of input 0, and that it changes input 0: wanted an input that it only reads",
        ),
        (&["-DPAIRS=2"], "output 0 may take the memory of input 0, wanted each pair once"),
    ] {
        let built = build("minimal.c", options);
        let error = Registry::new().load(built.path()).unwrap_err();
        let place = format!("plug-in \"minimal\" ({}): operator Copy: declares that ", built.path().display());
        assert_eq!(error.to_string(), place + wanted);
        assert!(matches!(reason(&error), Error::Contract(_)), "{error:?}");
    }
}
