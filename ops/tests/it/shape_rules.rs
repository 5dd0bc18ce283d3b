//! Inference of single operators: against the direction of the data, with parts unknown, and what errors say.

use super::{attrs, builtin};
use proptest::prelude::*;
use varflow_ops::{PartialShape, Result, Shapes};

type Dims = Vec<Option<usize>>;

/// Applies an operator's rule three times to what is known of inputs and outputs; `None` is an unknown rank.
fn infer(
    op: &str,
    given: &[(&str, &str)],
    inputs: &[Option<Dims>],
    outputs: &[Option<Dims>],
) -> Result<(Vec<String>, Vec<String>)> {
    let registry = builtin();
    let op = registry.operator(op)?;
    let params = op.schema().parse(&attrs(given))?;
    op.check(&params)?;
    let partial = |d: &Option<Dims>| d.clone().map_or(PartialShape::unknown(), PartialShape::new);
    let mut ins: Vec<_> = inputs.iter().map(partial).collect();
    let mut outs: Vec<_> = outputs.iter().map(partial).collect();
    for _ in 0..3 {
        let named = op.inputs(&params).into_iter().zip(ins).collect();
        let mut s = Shapes::new(named, op.outputs(&params).into_iter().zip(outs).collect());
        op.infer_shape(&params, &mut s)?;
        (ins, outs) = s.into_parts();
    }
    let show = |s: Vec<PartialShape>| s.iter().map(ToString::to_string).collect();
    Ok((show(ins), show(outs)))
}

fn error(op: &str, given: &[(&str, &str)], inputs: &[Option<Dims>]) -> String {
    infer(op, given, inputs, &[None]).unwrap_err().to_string()
}

fn known(dims: &[usize]) -> Option<Dims> {
    Some(dims.iter().copied().map(Some).collect())
}

#[test]
fn convolution_infers_backwards() {
    let given = [("num_filter", "6"), ("kernel", "(3, 3)"), ("pad", "(1, 0)"), ("num_group", "2")];
    let (ins, outs) =
        infer("Convolution", &given, &[None, Some(vec![None, Some(2), None, None]), None], &[known(&[8, 6, 5, 5])])
            .unwrap();
    assert_eq!(ins, ["(8, 4, 5, 7)", "(6, 2, 3, 3)", "(6,)"]);
    assert_eq!(outs, ["(8, 6, 5, 5)"]);
    // A stride loses the length, but not the rest.
    let given = [("num_filter", "6"), ("kernel", "(3,)"), ("stride", "(2,)")];
    let (ins, outs) =
        infer("Convolution", &given, &[Some(vec![None, Some(4), Some(9)]), None, None], &[known(&[8, 6, 4])]).unwrap();
    assert_eq!((ins[0].as_str(), ins[1].as_str(), outs[0].as_str()), ("(8, 4, 9)", "(6, 4, 3)", "(8, 6, 4)"));
    let (ins, outs) = infer("Convolution", &given, &[None, None, None], &[None]).unwrap();
    assert_eq!(
        (ins, outs),
        (vec!["(?, ?, ?)".into(), "(6, ?, 3)".into(), "(6,)".into()], vec!["(?, 6, ?)".to_string()])
    );
}

#[test]
fn convolution_names_what_does_not_fit() {
    let given = [("num_filter", "6"), ("kernel", "(5, 5)")];
    let e = |given: &[(&str, &str)], data: &[usize], weight: Option<Dims>| {
        error("Convolution", given, &[known(data), weight, None])
    };
    assert_eq!(
        e(&given, &[1, 1, 4, 9], None),
        "data has shape (1, 1, 4, 9), wanted axis 2 to hold a window of 5 with 0 of padding at both ends"
    );
    assert_eq!(
        e(&given, &[1, 9], None),
        "data has shape (1, 9), wanted (?, ?, ?, ?) from num_filter 6 and kernel (5, 5)"
    );
    assert_eq!(
        e(&given, &[1, 3, 9, 9], known(&[6, 4, 5, 5])),
        "weight has shape (6, 4, 5, 5), wanted (?, 3, ?, ?) from data (1, 3, 9, 9)"
    );
    let groups = [("num_filter", "6"), ("kernel", "(5, 5)"), ("num_group", "2")];
    assert_eq!(
        e(&groups, &[1, 3, 9, 9], None),
        "data has shape (1, 3, 9, 9), wanted a multiple of num_group 2 channels"
    );
}

#[test]
fn pooling_infers_backwards() {
    let given = [("kernel", "(3, 2)"), ("pad", "(1, 0)")];
    let (ins, _) = infer("Pooling", &given, &[None], &[known(&[2, 3, 7, 8])]).unwrap();
    assert_eq!(ins, ["(2, 3, 7, 9)"]);
    let (ins, outs) =
        infer("Pooling", &[("global_pool", "1")], &[None], &[Some(vec![Some(2), Some(3), None, None])]).unwrap();
    assert_eq!((ins, outs), (vec!["(2, 3, ?, ?)".to_string()], vec!["(2, 3, 1, 1)".to_string()]));
    let e = error("Pooling", &[("global_pool", "1")], &[known(&[2, 3])]);
    assert_eq!(e, "data has shape (2, 3), wanted batch, channel and 1 to 3 axes");
}

#[test]
fn batch_size_flows_back_through_layers() {
    let batch = |op: &str, given: &[(&str, &str)], input: Dims, output: Dims| {
        let registry = builtin();
        let op = registry.operator(op).unwrap();
        let mut inputs = vec![None; op.inputs(&op.schema().parse(&attrs(given)).unwrap()).len()];
        inputs[0] = Some(input);
        infer(op.name(), given, &inputs, &[Some(output)]).unwrap().0[0].clone()
    };
    assert_eq!(batch("Flatten", &[], vec![None, Some(3), Some(4)], vec![Some(9), None]), "(9, 3, 4)");
    assert_eq!(batch("Reshape", &[("shape", "(-1, 12)")], vec![None, Some(12)], vec![Some(9), None]), "(9, 12)");
    assert_eq!(
        batch("Reshape", &[("shape", "(0, -1)")], vec![None, Some(3), Some(4)], vec![Some(9), None]),
        "(9, 3, 4)"
    );
    let hidden = [("num_hidden", "2")];
    assert_eq!(batch("FullyConnected", &hidden, vec![None, Some(3), Some(4)], vec![Some(9), None]), "(9, 3, 4)");
    let last = [("num_hidden", "2"), ("flatten", "False")];
    assert_eq!(batch("FullyConnected", &last, vec![None, None, Some(4)], vec![Some(9), Some(3), None]), "(9, 3, 4)");
    assert_eq!(batch("transpose", &[("axes", "(1, 0)")], vec![None, Some(12)], vec![Some(12), Some(9)]), "(9, 12)");
    assert_eq!(batch("sum", &[("axis", "1")], vec![None, Some(12)], vec![Some(9)]), "(9, 12)");
    let (ins, _) = infer("dot", &[], &[Some(vec![None, None]), Some(vec![Some(12), None])], &[known(&[9, 2])]).unwrap();
    assert_eq!(ins, ["(9, 12)", "(12, 2)"]);
    let weight = Some(vec![Some(2), Some(12)]);
    let (ins, _) =
        infer("FullyConnected", &hidden, &[Some(vec![None, None]), weight, None], &[known(&[9, 2])]).unwrap();
    assert_eq!(ins, ["(9, 12)", "(2, 12)", "(2,)"]);
}

/// The examples of MXNet's own description of `Reshape`.
#[test]
fn reshape_codes() {
    let out = |shape: &str, reverse: &str, data: &[usize]| {
        infer("Reshape", &[("shape", shape), ("reverse", reverse)], &[known(data)], &[None]).map(|r| r.1[0].clone())
    };
    for (data, shape, wanted) in [
        (&[2, 3, 4][..], "(4, 0, 2)", "(4, 3, 2)"),
        (&[2, 3, 4], "(2, 0, 0)", "(2, 3, 4)"),
        (&[2, 3, 4], "(6, 1, -1)", "(6, 1, 4)"),
        (&[2, 3, 4], "(3, -1, 8)", "(3, 1, 8)"),
        (&[2, 3, 4], "(-1,)", "(24,)"),
        (&[2, 3, 4], "(-2,)", "(2, 3, 4)"),
        (&[2, 3, 4], "(2, -2)", "(2, 3, 4)"),
        (&[2, 3, 4], "(-2, 1, 1)", "(2, 3, 4, 1, 1)"),
        (&[2, 3, 4], "(-3, 4)", "(6, 4)"),
        (&[2, 3, 4, 5], "(-3, -3)", "(6, 20)"),
        (&[2, 3, 4], "(0, -3)", "(2, 12)"),
        (&[2, 3, 4], "(-3, -2)", "(6, 4)"),
        (&[2, 3, 4], "(-4, 1, 2, -2)", "(1, 2, 3, 4)"),
        (&[2, 3, 4], "(2, -4, -1, 3, -2)", "(2, 1, 3, 4)"),
        (&[10, 5, 4], "(-1, 0)", "(40, 5)"),
    ] {
        assert_eq!(out(shape, "False", data).unwrap(), wanted, "{data:?} {shape}");
    }
    assert_eq!(out("(-1, 0)", "True", &[10, 5, 4]).unwrap(), "(50, 4)");
    assert_eq!(out("(-4, 2, -1, 0)", "True", &[6, 4]).unwrap(), "(2, 3, 4)");
    let text = |shape: &str, data: &[usize]| out(shape, "False", data).unwrap_err().to_string();
    assert_eq!(text("(2, 2)", &[2, 3]), "data has shape (2, 3), wanted as many elements as in output (2, 2)");
    assert_eq!(text("(4, -1)", &[2, 3]), "data has shape (2, 3), wanted as many elements as in output (4, ?)");
    assert_eq!(
        text("(0, 0, 0)", &[2, 3]),
        "parameter \"shape\" is (0, 0, 0), which names more axes than the 2 of data"
    );
    assert_eq!(
        text("(-4, 4, -1)", &[6]),
        "parameter \"shape\" is (-4, 4, -1), which cuts an axis of 6 where it does not divide"
    );
}

proptest! {
    /// Any list of codes is taken or refused; what is taken has as many elements as data.
    #[test]
    fn any_codes_are_taken_or_refused(codes in prop::collection::vec(-5..6_i64, 0..6), data in prop::collection::vec(0..5_usize, 0..5), reverse in any::<bool>()) {
        let text = format!("({})", codes.iter().map(|c| format!("{c},")).collect::<String>());
        let given = [("shape", text.as_str()), ("reverse", if reverse { "True" } else { "False" })];
        if let Ok((_, outs)) = infer("Reshape", &given, &[known(&data)], &[None]) {
            let dims: Option<Vec<usize>> = outs[0].trim_matches(['(', ')']).split(',').map(str::trim).filter(|d| !d.is_empty()).map(|d| d.parse().ok()).collect();
            if let Some(dims) = dims {
                prop_assert_eq!(dims.iter().product::<usize>(), data.iter().product::<usize>(), "{} of {:?}", text, data);
            }
        }
    }

    /// Broadcast shapes against their definition: pad with ones, then the larger of two lengths, one of which is 1.
    #[test]
    fn broadcast_shapes(lhs in prop::collection::vec(1..4_usize, 0..5), rhs in prop::collection::vec(1..4_usize, 0..5)) {
        let rank = lhs.len().max(rhs.len());
        let padded = |d: &[usize]| [vec![1; rank - d.len()], d.to_vec()].concat();
        let pairs: Vec<_> = padded(&lhs).into_iter().zip(padded(&rhs)).collect();
        let fits = pairs.iter().all(|(a, b)| a == b || *a == 1 || *b == 1);
        let found = infer("broadcast_add", &[], &[known(&lhs), known(&rhs)], &[None]);
        prop_assert_eq!(found.is_ok(), fits);
        if let Ok((_, outs)) = found {
            let wanted = PartialShape::new(pairs.iter().map(|(a, b)| Some(*a.max(b))));
            prop_assert_eq!(&outs[0], &wanted.to_string());
        }
    }
}

#[test]
fn broadcast_with_parts_unknown() {
    let (_, outs) =
        infer("broadcast_mul", &[], &[Some(vec![None, Some(3)]), Some(vec![Some(4), None])], &[None]).unwrap();
    assert_eq!(outs, ["(4, 3)"]);
    let (_, outs) = infer("broadcast_mul", &[], &[Some(vec![None]), known(&[1])], &[None]).unwrap();
    assert_eq!(outs, ["(?,)"]);
    let e = error("broadcast_mul", &[], &[known(&[2, 3]), known(&[2])]);
    assert_eq!(e, "rhs has shape (2,), wanted axes of lhs (2, 3) or of length 1");
}

#[test]
fn softmax_output_labels() {
    let label = |given: &[(&str, &str)], data: Option<Dims>, label: Option<Dims>| {
        infer("SoftmaxOutput", given, &[data, label], &[None]).map(|r| r.0[1].clone())
    };
    let multi = [("multi_output", "True")];
    assert_eq!(label(&[], known(&[4, 5]), None).unwrap(), "(4,)");
    assert_eq!(label(&[], known(&[4, 5, 6]), None).unwrap(), "(4, 5)");
    assert_eq!(label(&multi, known(&[4, 5, 6, 7]), None).unwrap(), "(4, 42)");
    assert_eq!(label(&[], Some(vec![None, Some(5)]), None).unwrap(), "(?,)");
    assert_eq!(
        label(&[], known(&[64, 10]), known(&[32])).unwrap_err().to_string(),
        "label has shape (32,), wanted (64,) from data (64, 10)"
    );
    assert_eq!(
        label(&multi, known(&[4, 5, 6]), known(&[4, 5])).unwrap_err().to_string(),
        "label has shape (4, 5), wanted (4, 6) from data (4, 5, 6)"
    );
    let e = label(&multi, known(&[4]), None).unwrap_err().to_string();
    assert_eq!(e, "data has shape (4,), wanted axes for samples and classes");
}

#[test]
fn axes_out_of_range_name_data() {
    assert_eq!(
        error("softmax", &[("axis", "2")], &[known(&[2, 3])]),
        "data has shape (2, 3): axis 2 is out of range for 2 axes"
    );
    assert_eq!(
        error("sum", &[("axis", "(0, 5)")], &[known(&[2, 3])]),
        "data has shape (2, 3): axis 5 is out of range for 2 axes"
    );
    assert!(error("Dropout", &[("axes", "4")], &[known(&[2, 3])]).contains("axis 4 is out of range"));
    assert_eq!(
        error("transpose", &[("axes", "(1, 0)")], &[known(&[2, 3, 4])]),
        "data has 3 axes: parameter \"axes\" is (1, 0), wanted each of 3 axes once"
    );
    assert_eq!(
        error("dot", &[], &[known(&[2, 3]), known(&[4, 5])]),
        "rhs has shape (4, 5), wanted (3, ?) from lhs (2, 3)"
    );
}

#[test]
fn shapes_of_fills_may_come_from_outside() {
    let (_, outs) = infer("_zeros", &[("shape", "(0, 3)")], &[], &[Some(vec![Some(2), None])]).unwrap();
    assert_eq!(outs, ["(2, 3)"]);
    let (_, outs) = infer("_random_normal", &[], &[], &[known(&[2, 2])]).unwrap();
    assert_eq!(outs, ["(2, 2)"]);
}
