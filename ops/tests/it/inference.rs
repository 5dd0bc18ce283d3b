//! Inference rules, over every operator's examples.

use super::builtin;
use super::examples::{self, Example, input_dtype};
use proptest::prelude::*;
use proptest::test_runner::TestRng;
use varflow_ops::{
    DType, DTypes, Kind, Operator, Params, PartialShape, Result, Shape, Shapes, TensorDesc, Value, infer_outputs,
};

type Known = (Vec<PartialShape>, Vec<PartialShape>);

/// Applies the rule until nothing is news.
fn infer(example: &Example, known: Known) -> Result<Known> {
    let names = |named: Vec<(String, Shape)>| named.into_iter().map(|(n, _)| n);
    let mut known = known;
    loop {
        let inputs = names(example.named_inputs()).zip(known.0.clone()).collect();
        let outputs = names(example.named_outputs()).zip(known.1.clone()).collect();
        let mut shapes = Shapes::new(inputs, outputs);
        example.op.infer_shape(&example.params, &mut shapes)?;
        let next = shapes.into_parts();
        if next == known {
            return Ok(known);
        }
        known = next;
    }
}

fn truth(example: &Example) -> Known {
    let partial = |shapes: &[Shape]| shapes.iter().map(PartialShape::from).collect();
    (partial(&example.inputs), partial(&example.outputs))
}

fn unknown(shapes: &[Shape]) -> Vec<PartialShape> {
    shapes.iter().map(|_| PartialShape::unknown()).collect()
}

/// Backward operators that learn a shape from what they give the gradient of, not from their inputs.
fn shape_comes_from_outside(example: &Example) -> bool {
    let name = example.op.name();
    let reduced = ["_backward_sum", "_backward_mean", "_backward_reshape"].contains(&name);
    let pooled = name == "_backward_Pooling" && example.inputs.len() == 1;
    reduced || pooled || ["_backward_broadcast_add", "_backward_broadcast_sub"].contains(&name)
}

#[test]
fn outputs_follow_from_inputs() {
    for example in examples::all().iter().filter(|e| !shape_comes_from_outside(e)) {
        let (inputs, outputs) = truth(example);
        assert_eq!(infer(example, (inputs, unknown(&example.outputs))).unwrap().1, outputs, "{example:?}");
    }
}

#[test]
fn all_known_is_accepted() {
    for example in examples::all() {
        assert_eq!(infer(&example, truth(&example)).unwrap(), truth(&example), "{example:?}");
    }
}

#[test]
fn nothing_known_is_accepted() {
    for example in examples::all() {
        infer(&example, (unknown(&example.inputs), unknown(&example.outputs))).unwrap();
    }
}

/// The shape with one length changed, and named as an error would.
fn wrong_shapes(shapes: &[Shape]) -> Vec<(usize, Shape)> {
    let mut wrong = Vec::new();
    for (i, shape) in shapes.iter().enumerate() {
        for axis in 0..shape.rank() {
            let mut dims = shape.dims().to_vec();
            dims[axis] += 7;
            wrong.push((i, Shape::new(&dims)));
        }
        let mut dims = shape.dims().to_vec();
        dims.push(2);
        wrong.push((i, Shape::new(&dims)));
    }
    wrong
}

#[test]
fn wrong_outputs_are_refused() {
    for example in examples::all().iter().filter(|e| !shape_comes_from_outside(e)) {
        for (o, shape) in wrong_shapes(&example.outputs) {
            let mut known = truth(example);
            known.1[o] = (&shape).into();
            let text = infer(example, known).expect_err(&format!("{example:?} took output {o} as {shape}")).to_string();
            assert!(text.contains(" has shape (") && text.contains(", wanted "), "{example:?}: {text}");
        }
    }
}

/// Labels, weights and the like are checked against data.
#[test]
fn wrong_inputs_are_refused() {
    // What repeats or cuts one input to fit another, or takes parts of it by index, takes many shapes.
    let free = |e: &Example| {
        let indexed =
            ["take", "pick", "batch_take", "gather_nd", "scatter_nd", "ROIPooling", "BilinearSampler", "SequenceLast"];
        let name = e.op.name().trim_start_matches("_backward_");
        ["cast", "slice_like", "reshape_like", "Crop"].contains(&name)
            || indexed.contains(&name)
            || e.attrs.contains_key("target_shape")
            || e.op.name().starts_with("broadcast_")
            || e.op.name().ends_with("softmax_cross_entropy")
    };
    for example in examples::all().iter().filter(|e| !free(e) && e.inputs.len() > 1) {
        for (i, shape) in wrong_shapes(&example.inputs) {
            let mut known = truth(example);
            known.0[i] = (&shape).into();
            let taken = infer(example, known);
            // The gradient by data determines data's shape, and so weight's, but out_grad's is the graph's business.
            if taken.is_ok() && example.op.is_hidden() && i == 0 {
                continue;
            }
            let text = taken.expect_err(&format!("{example:?} took input {i} as {shape}")).to_string();
            assert!(text.contains(" has shape (") && text.contains(", wanted "), "{example:?}: {text}");
        }
    }
}

/// Hides what a random number says: whole shapes, or single lengths.
fn hide(shape: &Shape, rng: &mut TestRng) -> PartialShape {
    match rng.random_range(0..4) {
        0 => PartialShape::unknown(),
        1 => shape.into(),
        _ => PartialShape::new(shape.dims().iter().map(|d| Some(*d).filter(|_| rng.random_bool(0.5)))),
    }
}

/// Whatever part of the truth is known, inference finds only truth, and does not lose what was known.
#[test]
fn inference_is_sound() {
    let examples = examples::all();
    let fits = |found: &PartialShape, truth: &PartialShape| found.clone().merge(truth).is_ok();
    proptest!(ProptestConfig::with_cases(200), |(mut rng in Just(()).prop_perturb(|(), rng| rng))| {
        for example in &examples {
            let some = |shapes: &[Shape], rng: &mut TestRng| shapes.iter().map(|s| hide(s, rng)).collect::<Vec<_>>();
            let known = (some(&example.inputs, &mut rng), some(&example.outputs, &mut rng));
            let found = infer(example, known.clone());
            let found = found.unwrap_or_else(|e| panic!("{example:?} with {known:?} known: {e}"));
            let true_ = truth(example);
            for (found, truth) in found.0.iter().zip(&true_.0).chain(found.1.iter().zip(&true_.1)) {
                // A label may have several forms, the slope of prelu, a condition and an index two; one of them is the truth.
                let name = example.op.name();
                let label = ["SoftmaxOutput", "LeakyReLU", "where", "pick"].iter().any(|op| name.ends_with(op));
                prop_assert!(label || fits(found, truth), "{example:?} with {known:?} known: {found}, not {truth}");
            }
            for (known, found) in known.0.iter().zip(&found.0).chain(known.1.iter().zip(&found.1)) {
                prop_assert!(!found.clone().merge(known).unwrap(), "{example:?}: {known} became {found}");
            }
        }
    });
}

/// Lengths from hostile files are refused or passed on, whatever their product.
#[test]
fn huge_lengths_do_not_panic() {
    for example in examples::all() {
        for len in [0, 1 << 32, 1 << 63, usize::MAX] {
            let huge = |shapes: &[Shape]| -> Vec<PartialShape> {
                shapes.iter().map(|s| PartialShape::new(s.dims().iter().map(|_| Some(len)))).collect()
            };
            let (ins, outs) = (huge(&example.inputs), huge(&example.outputs));
            let _ = infer(&example, (ins.clone(), unknown(&example.outputs)));
            let _ = infer(&example, (unknown(&example.inputs), outs.clone()));
            let _ = infer(&example, (ins, outs));
        }
    }
}

/// Parameters that parse and pass the check are refused or followed, whatever the shapes.
#[test]
fn any_parameters_do_not_panic() {
    let numbers = prop_oneof![-5..9_i64, Just(i64::MIN), Just(i64::MAX), Just(i64::from(i32::MAX))];
    let tuple = prop::collection::vec(numbers, 0..5);
    let mut examples = examples::all();
    examples.retain(|e| e.op.schema().params().iter().any(|p| matches!(p.kind, Kind::Tuple | Kind::Int(..))));
    proptest!(ProptestConfig::with_cases(300), |(values in prop::collection::vec(tuple, 6), which in any::<u64>())| {
        for example in &examples {
            let mut attrs = example.attrs.clone();
            let schema = example.op.schema();
            let params = schema.params().iter().filter(|p| matches!(p.kind, Kind::Tuple | Kind::Int(..)));
            for (i, (p, v)) in params.zip(&values).enumerate().filter(|(i, _)| which >> i & 1 == 1) {
                let number = v.get(i % 3).filter(|_| p.kind != Kind::Tuple && p.name != "num_args");
                attrs.insert(p.name.clone(), number.map_or(Value::Tuple(v.clone()), |n| Value::Int(*n)).to_string());
            }
            let Ok(params) = schema.parse(&attrs) else { continue };
            let same = |names: fn(&dyn Operator, &Params) -> usize| {
                names(&*example.op, &params) == names(&*example.op, &example.params)
            };
            let as_many = same(|op, p| op.inputs(p).len() + op.auxiliaries(p).len()) && same(|op, p| op.outputs(p).len());
            if example.op.check(&params).is_ok() && as_many {
                let (op, (inputs, outputs)) = (example.op.clone(), (example.inputs.clone(), example.outputs.clone()));
                let _ = infer(&Example { op, params, attrs, inputs, outputs }, truth(example));
            }
        }
    });
}

/// So are ranks that an operator has no sense for.
#[test]
fn any_rank_does_not_panic() {
    for example in examples::all() {
        for rank in 0..7 {
            let of_rank = |shapes: &[Shape]| -> Vec<PartialShape> {
                shapes.iter().map(|_| PartialShape::new(vec![Some(2); rank])).collect()
            };
            let (ins, outs) = (of_rank(&example.inputs), of_rank(&example.outputs));
            let _ = infer(&example, (ins.clone(), unknown(&example.outputs)));
            let _ = infer(&example, (unknown(&example.inputs), outs.clone()));
            let _ = infer(&example, (ins, outs));
        }
    }
}

fn dtypes(example: &Example, data: DType) -> Vec<Option<DType>> {
    let named = example.named_inputs();
    named.iter().map(|(name, _)| Some(input_dtype(name, data))).collect()
}

/// In f32 and in f64 (and whatever a parameter says) all dtypes follow from those of the inputs.
#[test]
fn dtypes_follow_from_inputs() {
    for example in examples::all() {
        for data in [DType::F32, DType::F64] {
            let names = |named: Vec<(String, Shape)>| named.into_iter().map(|(n, _)| n);
            let inputs = names(example.named_inputs()).zip(dtypes(&example, data)).collect();
            let outputs = names(example.named_outputs()).map(|n| (n, None)).collect();
            let mut d = DTypes::new(inputs, outputs);
            let result = example.op.infer_dtype(&example.params, &mut d);
            if example.op.name() == "_backward_cast" {
                // It takes what the parameter says, and gives what it is the gradient of.
                assert_eq!(result.is_ok(), data == DType::F64);
                continue;
            }
            result.unwrap();
            for (o, (name, _)) in example.named_outputs().iter().enumerate() {
                let attr = |key: &str| example.attrs.get(key).map(String::as_str);
                let hidden_places = ["topk", "sort"].contains(&example.op.name()) && attr("ret_typ") != Some("both");
                let said = example.op.schema().has("dtype").then(|| example.params.value("dtype"));
                let wanted = match (said, name.as_str()) {
                    _ if example.op.name() == "Embedding" => data,
                    (_, "output0") if ["topk", "sort"].contains(&example.op.name()) => data,
                    _ if attr("ret_typ") == Some("mask") => data,
                    (_, "maxidx") => DType::I64,
                    (_, "output1") if hidden_places => DType::I64,
                    _ if ["shape_array", "size_array"].contains(&example.op.name()) => DType::I64,
                    (Some(Value::DType(dtype)), _) => *dtype,
                    (Some(Value::Int(code)), _) => DType::from_code(i32::try_from(*code).unwrap()).unwrap(),
                    (_, "mask") if example.op.name() == "Dropout" => DType::U8,
                    _ if example.inputs.is_empty() => DType::F32,
                    _ => data,
                };
                assert_eq!(d.output(o), Some(wanted), "{example:?}");
            }
        }
    }
}

/// And those of weights and labels follow from that of data.
#[test]
fn dtypes_follow_from_data() {
    // The dtype of Embedding's table is a parameter, batch_take's indices are int32, where's condition tells nothing.
    let follows = |e: &Example| {
        !e.op.is_hidden() && !e.inputs.is_empty() && !["Embedding", "batch_take", "where"].contains(&e.op.name())
    };
    for example in examples::all().iter().filter(|e| follows(e)) {
        let names = |named: Vec<(String, Shape)>| named.into_iter().map(|(n, _)| n);
        let inputs = names(example.named_inputs()).enumerate().map(|(i, n)| (n, Some(DType::F64).filter(|_| i == 0)));
        let outputs = names(example.named_outputs()).map(|n| (n, None)).collect();
        let mut d = DTypes::new(inputs.collect(), outputs);
        example.op.infer_dtype(&example.params, &mut d).unwrap();
        assert!((0..example.inputs.len()).all(|i| d.input(i) == Some(DType::F64)), "{example:?}");
    }
}

#[test]
fn labels_may_be_integers() {
    let registry = builtin();
    let op = registry.operator("SoftmaxOutput").unwrap();
    let params = op.schema().parse(&super::attrs(&[])).unwrap();
    let (data, label) = (TensorDesc::new([4, 5], DType::F32), TensorDesc::new([4], DType::I32));
    assert_eq!(infer_outputs(&**op, &params, "softmax", &[data.clone(), label]).unwrap(), vec![data]);
}

#[test]
fn mixed_dtypes_are_refused() {
    let registry = builtin();
    let op = registry.operator("elemwise_add").unwrap();
    let params = op.schema().parse(&super::attrs(&[])).unwrap();
    let descs = [TensorDesc::new([4], DType::F32), TensorDesc::new([4], DType::F64)];
    let text = infer_outputs(&**op, &params, "sum", &descs).unwrap_err().to_string();
    assert_eq!(text, "elemwise_add \"sum\": rhs has dtype float64, wanted float32");
}
