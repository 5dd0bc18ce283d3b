//! Operators of plug-ins.

use super::compile::{Built, build};
use super::{attrs, builtin, engine};
use std::slice::from_ref;
use std::sync::LazyLock;
use varflow_engine::Engine;
use varflow_ops::{
    BoundOp, BoundTensors, DType, DeviceKind, Error, KernelCall, Operator, Params, PartialShape, Philox, Provider,
    Registry, Result, Run, Schema, Shapes, Storage, Tensor, TensorDesc, infer_outputs, invoke, name_hash,
};

static BUILT: LazyLock<Built> = LazyLock::new(|| build("operators.c", &[]));

pub(super) fn registry() -> Registry {
    let mut registry = builtin();
    registry.load(BUILT.path()).unwrap();
    registry
}

fn run(e: &Engine, op: &str, given: &[(&str, &str)], inputs: &[Tensor]) -> Result<Vec<Tensor>> {
    invoke(&registry(), e, op, &attrs(given), inputs, Run::default())
}

fn floats(e: &Engine, values: &[f32]) -> Tensor {
    Tensor::from_slice(e, [values.len()], values).unwrap()
}

fn values(result: Result<Vec<Tensor>>) -> Vec<f32> {
    result.unwrap()[0].to_vec().unwrap()
}

/// What is said of a plug-in's fault, without the plug-in's name and file.
fn told(error: &Error) -> String {
    let text = error.to_string();
    let place = format!("plug-in \"test\" ({}): ", BUILT.path().display());
    assert!(text.contains(&place), "{text}\ndoes not name {place}");
    text.replace(&place, "P: ")
}

#[test]
fn operators_run() {
    let e = engine();
    let x = floats(&e, &[1.0, 2.0, 3.0]);
    assert_eq!(values(run(&e, "Scale", &[], from_ref(&x))), [2.0, 4.0, 6.0]);
    assert_eq!(values(run(&e, "Times", &[("by", "-1")], from_ref(&x))), [-1.0, -2.0, -3.0]);
    assert_eq!(values(run(&e, "Reverse", &[], from_ref(&x))), [3.0, 2.0, 1.0]);
    assert_eq!(values(run(&e, "Sum", &[("num_args", "3")], &[x.clone(), x.clone(), x.clone()])), [3.0, 6.0, 9.0]);
    let many: Vec<f32> = (0..10_000).map(|i| i as f32).collect();
    let doubled: Vec<f32> = many.iter().map(|v| 2.0 * v).collect();
    assert_eq!(values(run(&e, "Scale", &[], &[floats(&e, &many)])), doubled);
    let none = Tensor::zeros(&e, [0, 3], DType::F32).unwrap();
    assert_eq!(values(run(&e, "Scale", &[], &[none])), [0.0; 0]);
    e.wait_all().unwrap();
}

#[test]
fn what_it_means_is_as_the_table_says() {
    let registry = registry();
    let params =
        |op: &str, given: &[(&str, &str)]| registry.operator(op).unwrap().schema().parse(&attrs(given)).unwrap();
    let mul = registry.operator("Mul").unwrap();
    let none = params("Mul", &[]);
    assert_eq!(mul.inputs(&none), ["lhs", "rhs", "label"]);
    assert_eq!((mul.outputs(&none).len(), mul.num_visible_outputs(&none)), (2, 1));
    let scale = registry.operator("Times").unwrap();
    assert_eq!((scale.name(), scale.aliases(), scale.doc()), ("Scale", &["Times"][..], "A test."));
    assert_eq!(scale.inplace(&params("Scale", &[])), [(0, 0)]);
    assert!(scale.is_deterministic() && !registry.operator("Noise").unwrap().is_deterministic());
    let sum = registry.operator("Sum").unwrap();
    assert!(sum.is_variadic());
    assert_eq!(sum.inputs(&params("Sum", &[("num_args", "2")])), ["arg0", "arg1"]);
    assert!(sum.schema().parse(&attrs(&[("num_args", "70000")])).is_err(), "more inputs than anyone lists");
    let named = registry.operator("Named").unwrap();
    assert_eq!(named.inputs(&params("Named", &[])), ["data", "bias"]);
    assert_eq!(named.inputs(&params("Named", &[("bias", "False")])), ["data"]);
    assert_eq!(named.outputs(&params("Named", &[])), ["output"]);
    let descend = registry.operator("descend_update").unwrap();
    let lr = params("descend_update", &[("lr", "1")]);
    assert_eq!((descend.mutates(&lr), descend.outputs(&lr).len()), (vec![0, 2], 0));
    assert!(registry.operators().any(|o| o.name() == "_backward_Scale" && o.is_hidden()));
    assert_eq!(registry.kernels_of("_backward_Mul").collect::<Vec<_>>(), [(DeviceKind::Cpu, "test")]);
}

#[test]
fn shapes_follow_in_both_directions() {
    let registry = registry();
    let op = registry.operator("Mul").unwrap();
    let params = op.schema().parse(&attrs(&[])).unwrap();
    let unknown = |name: &str| (name.to_string(), PartialShape::unknown());
    let half = PartialShape::new([Some(2), None]);
    let mut shapes = Shapes::new(
        vec![("lhs".into(), half), unknown("rhs"), unknown("label")],
        vec![("output".into(), PartialShape::new([None, Some(3)])), unknown("kept")],
    );
    op.infer_shape(&params, &mut shapes).unwrap();
    assert_eq!(shapes.known(1).unwrap().dims(), [2, 3]);
    let deep = TensorDesc::new(vec![1; 17], DType::F32);
    let op = registry.operator("Faulty").unwrap();
    let params = op.schema().parse(&attrs(&[("how", "error")])).unwrap();
    let text = told(&infer_outputs(&**op, &params, "f", &[deep]).unwrap_err());
    assert!(text.ends_with("has 17 axes, and plug-ins take at most 16"), "{text}");
}

#[test]
fn lies_of_its_rules_are_told() {
    let e = engine();
    let x = floats(&e, &[1.0, 2.0]);
    for (how, wanted) in [
        ("rank", "P: output 0: its rule says that there are 17 axes, wanted -1 to 16"),
        ("negative", "P: output 0: its rule says that an axis has -7 elements, wanted -1 for unknown, or 0 and more"),
        (
            "huge",
            "P: output 0: its rule says that the shape is (9223372036854775807,), which is too large for any tensor",
        ),
        ("contradiction", "P: data has shape (2,), wanted (99,) by the plug-in's rule"),
        (
            "dtype",
            "P: output 0: {code 2, bits 7, lanes 1} is no dtype; float32, for one, is {code 2, bits 32, lanes 1}",
        ),
        ("check", "P: how is check, wanted another"),
        ("create", "P: is not supported: no such instance"),
    ] {
        let text = told(&run(&e, "Faulty", &[("how", how)], from_ref(&x)).unwrap_err());
        assert!(text.ends_with(wanted) && text.starts_with("Faulty"), "{text}\nwanted {wanted}");
    }
}

#[test]
fn what_a_run_says_becomes_an_error() {
    let e = engine();
    let x = floats(&e, &[1.0, 2.0]);
    for (how, wanted) in [
        ("error", "data is -1, wanted 0 and more"),
        ("panic", "panicked: index out of bounds"),
        ("end", "returned VF_END, which only the next of an iterator may"),
        ("status", "returned status 77, wanted one from 0 to 8: odd"),
        ("silent", "it gave no message"),
        ("loop", "called parallel_for without a body, or its loop panicked"),
    ] {
        let out = run(&e, "Faulty", &[("how", how)], from_ref(&x)).unwrap();
        let text = told(&out[0].wait().unwrap_err());
        assert!(text.ends_with(&format!("P: operator Faulty \"Faulty\": {wanted}")), "{text}\nwanted {wanted}");
    }
    for (op, wanted) in [("Refusing", "not today"), ("Failing", "label 10 is above 9")] {
        let out = run(&e, op, &[], from_ref(&x)).unwrap();
        let text = told(&out[0].wait().unwrap_err());
        assert!(text.ends_with(&format!("P: operator {op} \"{op}\": {wanted}")), "{text}");
    }
}

#[test]
fn only_dtypes_that_it_serves_are_run() {
    let e = engine();
    let x = Tensor::zeros(&e, [2], DType::I8).unwrap();
    let text = told(&run(&e, "Scale", &[], &[x]).unwrap_err());
    assert_eq!(text, "Scale \"Scale\": P: has no cpu kernel for int8: it serves float32");
}

#[test]
fn asynchronous_kernels_complete_on_other_threads() {
    let e = engine();
    let mut x = floats(&e, &[0.0, 10.0]);
    for op in ["Later", "Twice"].into_iter().cycle().take(50) {
        x = run(&e, op, &[], &[x]).unwrap().remove(0);
    }
    assert_eq!(x.to_vec::<f32>().unwrap(), [50.0, 60.0]);
}

#[test]
fn random_numbers_are_the_nodes_own() {
    let (e, registry) = (engine(), registry());
    let x = Tensor::zeros(&e, [11], DType::F32).unwrap();
    let run = Run { seed: 5, step: 7, priority: 0 };
    let out = invoke(&registry, &e, "Noise", &attrs(&[]), &[x], run).unwrap();
    let stream = Philox::new(5, name_hash("Noise"), 7);
    let wanted: Vec<u32> = (0..4).flat_map(|block| stream.block(block)).skip(3).take(11).collect();
    assert_eq!(out[0].to_vec::<u32>().unwrap(), wanted);
}

fn kernel(
    registry: &Registry,
    op: &str,
    node: &str,
    descs: (&[TensorDesc], &[TensorDesc]),
    wanted: &[bool],
) -> Box<dyn varflow_ops::Kernel> {
    let op = registry.operator(op).unwrap();
    let params = op.schema().parse(&attrs(&[])).unwrap();
    let (inputs, outputs) = descs;
    let call = KernelCall { op: &**op, node, params: &params, inputs, outputs, wanted, is_train: true };
    registry.kernel(DeviceKind::Cpu, &call).unwrap()
}

#[test]
fn outputs_may_be_in_place_or_unwanted() {
    let (e, registry) = (engine(), registry());
    let desc = TensorDesc::new([2], DType::F32);
    let bind = |op: &str, inputs: &[&Tensor], outputs: Vec<Option<Tensor>>, wanted: &[bool]| {
        let operator = registry.operator(op).unwrap();
        let params = operator.schema().parse(&attrs(&[])).unwrap();
        let (ins, outs) = (vec![desc.clone(); inputs.len()], vec![desc.clone(); outputs.len()]);
        let kernel = kernel(&registry, op, "n", (&ins, &outs), wanted);
        let tensors = BoundTensors { inputs: inputs.iter().map(|t| (*t).clone()).collect(), outputs, workspace: None };
        BoundOp::new(&**operator, &params, "n", kernel, tensors, &[]).unwrap().push(&e, None, Run::default());
        e.wait_all()
    };
    let x = floats(&e, &[1.0, 2.0]);
    bind("Scale", &[&x], vec![Some(x.clone())], &[true]).unwrap();
    assert_eq!(x.to_vec::<f32>().unwrap(), [2.0, 4.0]);
    let y = Tensor::zeros(&e, [2], DType::F32).unwrap();
    bind("Mul", &[&x, &x, &x], vec![Some(y.clone()), None], &[true, false]).unwrap();
    assert_eq!(y.to_vec::<f32>().unwrap(), [4.0, 16.0]);
    bind("Mul", &[&x, &x, &x], vec![None, Some(y.clone())], &[false, true]).unwrap();
    assert_eq!(y.to_vec::<f32>().unwrap(), [2.0, 4.0]);
}

#[test]
fn a_kernel_is_not_run_on_tensors_that_it_was_not_made_for() {
    let (e, registry) = (engine(), registry());
    let run = |input: &Tensor, output: Tensor| {
        let desc = TensorDesc::new([4], DType::F32);
        let kernel = kernel(&registry, "Scale", "n", (from_ref(&desc), from_ref(&desc)), &[true]);
        let op = registry.operator("Scale").unwrap();
        let params = op.schema().parse(&attrs(&[])).unwrap();
        let tensors =
            BoundTensors { inputs: vec![input.clone()], outputs: vec![Some(output.clone())], workspace: None };
        BoundOp::new(&**op, &params, "n", kernel, tensors, &[]).unwrap().push(&e, None, Run::default());
        told(&output.wait().unwrap_err())
    };
    let (x, short) = (Tensor::zeros(&e, [4], DType::F32).unwrap(), Tensor::zeros(&e, [3], DType::F32).unwrap());
    let text = run(&x, short);
    assert!(
        text.ends_with("is run with a float32 tensor of shape (3,), and was made for float32 of shape (4,)"),
        "{text}"
    );
    let storage = std::sync::Arc::new(Storage::zeroed(256).unwrap());
    let odd = Tensor::in_storage(&e, e.var(), storage, 4, TensorDesc::new([4], DType::F32)).unwrap();
    let text = run(&x, odd);
    assert!(text.contains("which is not aligned to 64 bytes as plug-ins want it"), "{text}");
}

#[test]
fn its_work_is_counted() {
    let registry = registry();
    let flops = |op: &str| {
        let op = registry.operator(op).unwrap();
        let params = op.schema().parse(&attrs(&[])).unwrap();
        let desc = [TensorDesc::new([3, 4], DType::F32)];
        let (inputs, outputs, wanted) = (&desc, &desc, &[true]);
        op.flops(&KernelCall { op: &**op, node: "n", params: &params, inputs, outputs, wanted, is_train: false })
    };
    assert_eq!((flops("Scale"), flops("Reverse")), (Some(12.0), None));
}

/// Plug-ins are never unloaded, so that a symbol of theirs may be asked for again.
fn live(symbol: &str) -> i32 {
    #![expect(unsafe_code, reason = "calls a function of the test's plug-in")]
    // SAFETY: the test's own plug-in, and the type of the function in it.
    unsafe {
        let library = libloading::Library::new(BUILT.path()).unwrap();
        let function = library.get::<unsafe extern "C" fn() -> i32>(symbol).unwrap();
        let live = function();
        std::mem::forget(library);
        live
    }
}

#[test]
fn instances_live_as_long_as_their_kernels() {
    let registry = registry();
    let desc = [TensorDesc::new([4], DType::F32)];
    let kernels: Vec<_> = (0..100).map(|_| kernel(&registry, "Scale", "n", (&desc, &desc), &[true])).collect();
    assert!(live("live_instances") >= 100);
    drop(kernels);
    // Other tests have instances at the same time, but not a hundred.
    assert!(live("live_instances") < 100);
}

#[test]
fn update_rules_name_operators_that_run() {
    let (e, registry) = (engine(), registry());
    let rule = registry.update_rule("descend").unwrap();
    assert_eq!((&*rule.op, &*rule.states), ("descend_update", &["total".to_string()][..]));
    let (weight, grad, total) = (floats(&e, &[1.0, 1.0]), floats(&e, &[1.0, 2.0]), floats(&e, &[0.0, 0.0]));
    for _ in 0..2 {
        let inputs = [weight.clone(), grad.clone(), total.clone()];
        invoke(&registry, &e, &rule.op, &attrs(&[("lr", "0.5")]), &inputs, Run::default()).unwrap();
    }
    assert_eq!(weight.to_vec::<f32>().unwrap(), [-0.5, -2.0]);
    assert_eq!(total.to_vec::<f32>().unwrap(), [2.0, 4.0]);
}

/// An operator under the name of the C example's, without its parameters.
struct Namesake(Schema);

impl Operator for Namesake {
    fn name(&self) -> &str {
        "HardSigmoid"
    }

    fn doc(&self) -> &str {
        "output = data."
    }

    fn schema(&self) -> &Schema {
        &self.0
    }

    fn infer_shape(&self, _: &Params, shapes: &mut Shapes) -> Result<()> {
        shapes.same(&[0], &[0])
    }
}

/// A kernel reads the parameters of the operator that it was written for, and so runs for no other.
#[test]
fn a_kernel_is_not_made_for_a_namesake_of_its_operator() {
    let example = build("../../../abi/examples/hard_sigmoid.c", &[]);
    let mut registry = builtin();
    registry.load(example.path()).unwrap();
    let preferred = Provider { preference: 1, ..Provider::new("other") };
    registry.install(preferred.operator(Namesake(Schema::new()))).unwrap();
    let e = engine();
    let input = floats(&e, &[0.5]);
    let error = invoke(&registry, &e, "HardSigmoid", &attrs(&[]), &[input], Run::default()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("plug-in \"hard_sigmoid\""), "{text}");
    assert!(text.ends_with("is for an operator with other parameters than the HardSigmoid in use has"), "{text}");
}
