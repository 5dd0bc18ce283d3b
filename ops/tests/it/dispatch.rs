//! From operators and tensors to tasks.

use super::{attrs, builtin, engine};
use std::sync::Arc;
use varflow_engine::Engine;
use varflow_ops::{
    BoundOp, BoundTensors, DType, DeviceKind, Error, KernelCtx, Pair, Params, Provider, Registry, Result, Run, Storage,
    Tensor, TensorDesc, bind, infer_outputs, invoke,
};

/// The built-in operators, and kernels for three of them.
fn registry() -> Registry {
    let mut registry = builtin();
    let kernels = Provider::new("test")
        .kernel("elemwise_add", DeviceKind::Cpu, |_| Ok(Box::new(add)))
        .kernel("_mul_scalar", DeviceKind::Cpu, |call| {
            let by = call.params.float("scalar") as f32;
            Ok(Box::new(move |ctx: &mut KernelCtx<'_>| scale(ctx, by)))
        })
        .kernel("sgd_update", DeviceKind::Cpu, |call| {
            let lr = call.params.float("lr") as f32;
            Ok(Box::new(move |ctx: &mut KernelCtx<'_>| {
                let (weight, grad) = (ctx.mutated::<f32>(0)?, ctx.input::<f32>(1)?);
                weight.iter_mut().zip(grad).for_each(|(w, g)| *w -= lr * g);
                Ok(())
            }))
        });
    registry.install(kernels).unwrap();
    registry
}

fn add(ctx: &mut KernelCtx<'_>) -> Result<()> {
    let (lhs, rhs, out) = (ctx.input::<f32>(0)?, ctx.input::<f32>(1)?, ctx.output::<f32>(0)?);
    for (o, (l, r)) in out.iter_mut().zip(lhs.iter().zip(rhs)) {
        *o = l + r;
    }
    Ok(())
}

fn scale(ctx: &mut KernelCtx<'_>, by: f32) -> Result<()> {
    match ctx.pair::<f32>(0, 0)? {
        Pair::Same(both) => both.iter_mut().for_each(|v| *v *= by),
        Pair::Apart(from, to) => to.iter_mut().zip(from).for_each(|(t, f)| *t = f * by),
    }
    Ok(())
}

#[test]
fn operators_run_on_tensors() {
    let (e, r) = (engine(), registry());
    let a = Tensor::from_slice(&e, [2, 2], &[1.0_f32, 2.0, 3.0, 4.0]).unwrap();
    let sum = invoke(&r, &e, "_Plus", &attrs(&[]), &[a.clone(), a.clone()], Run::default()).unwrap();
    let out = invoke(&r, &e, "_mul_scalar", &attrs(&[("scalar", "0.5")]), &sum, Run::default()).unwrap();
    assert_eq!((out.len(), out[0].shape()), (1, a.shape()));
    assert_eq!(out[0].to_vec::<f32>().unwrap(), [1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn updates_change_their_weight() {
    let (e, r) = (engine(), registry());
    let weight = Tensor::from_slice(&e, [2], &[1.0_f32, 2.0]).unwrap();
    let grad = Tensor::from_slice(&e, [2], &[10.0_f32, -10.0]).unwrap();
    for _ in 0..3 {
        let out =
            invoke(&r, &e, "sgd_update", &attrs(&[("lr", "0.5")]), &[weight.clone(), grad.clone()], Run::default());
        assert!(out.unwrap().is_empty());
    }
    assert_eq!(weight.to_vec::<f32>().unwrap(), [-14.0, 17.0]);
    let text = invoke(&r, &e, "sgd_update", &attrs(&[("lr", "1")]), &[grad.clone(), grad], Run::default()).unwrap_err();
    assert!(text.to_string().contains("mutated input 0 and input 1 share memory"), "{text}");
}

#[test]
fn errors_name_operator_node_and_shapes() {
    let registry = builtin();
    let op = registry.operator("FullyConnected").unwrap();
    let params = op.schema().parse(&attrs(&[("num_hidden", "10")])).unwrap();
    let descs = |shapes: [&[usize]; 3]| shapes.map(|s| TensorDesc::new(s, DType::F32)).to_vec();
    let infer = |shapes| infer_outputs(&**op, &params, "fc1", &descs(shapes));
    assert_eq!(infer([&[32, 128], &[10, 128], &[10]]).unwrap(), [TensorDesc::new([32, 10], DType::F32)]);
    assert_eq!(
        infer([&[32, 128], &[10, 64], &[10]]).unwrap_err().to_string(),
        "FullyConnected \"fc1\": weight has shape (10, 64), wanted (10, 128) from data (32, 128)"
    );
    assert_eq!(
        infer([&[32, 128], &[10, 128], &[11]]).unwrap_err().to_string(),
        "FullyConnected \"fc1\": bias has shape (11,), wanted (10,) from num_hidden"
    );
    assert_eq!(
        infer_outputs(&**op, &params, "fc1", &descs([&[1], &[1], &[1]])[..2]).unwrap_err().to_string(),
        "FullyConnected \"fc1\": has 2 inputs, wanted 3: data, weight, bias"
    );
}

#[test]
fn calls_that_cannot_be_are_refused() {
    let (e, r) = (engine(), registry());
    let a = Tensor::zeros(&e, [2], DType::F32).unwrap();
    let call = |op: &str, given: &[(&str, &str)], inputs: &[Tensor]| {
        invoke(&r, &e, op, &attrs(given), inputs, Run::default()).unwrap_err().to_string()
    };
    assert!(call("elemwise_ad", &[], &[]).contains("nearest names are elemwise_add"));
    assert_eq!(call("negative", &[], std::slice::from_ref(&a)), "negative \"negative\": nobody has a cpu kernel of it");
    assert_eq!(
        call("_mul_scalar", &[("scalar", "x")], std::slice::from_ref(&a)),
        "_mul_scalar: parameter \"scalar\" is \"x\", wanted a number"
    );
    assert_eq!(
        call("Reshape", &[("shape", "(3, -1)")], std::slice::from_ref(&a)),
        "Reshape \"Reshape\": data has shape (2,), wanted as many elements as in output (3, ?)"
    );
    assert_eq!(
        call("_ones", &[], &[]),
        "_ones \"_ones\": output has shape (unknown), which its inputs do not determine"
    );
}

#[test]
fn in_place_runs_where_it_is() {
    let (e, r) = (engine(), registry());
    let op = r.operator("_mul_scalar").unwrap().clone();
    let params = op.schema().parse(&attrs(&[("scalar", "3")])).unwrap();
    let a = Tensor::from_slice(&e, [2], &[1.0_f32, 2.0]).unwrap();
    let bound = bind(&r, &*op, &params, "m", std::slice::from_ref(&a), vec![a.clone()], false).unwrap();
    bound.push(&e, None, Run::default());
    bound.push(&e, None, Run::default());
    assert_eq!(bound.name(), "m");
    assert_eq!(a.to_vec::<f32>().unwrap(), [9.0, 18.0]);
}

/// Four floats at each of these offsets of one storage.
fn views(e: &Engine, offsets: &[usize]) -> Vec<Tensor> {
    let storage = Arc::new(Storage::zeroed(512).unwrap());
    let view =
        |o: &usize| Tensor::in_storage(e, e.var(), storage.clone(), *o, TensorDesc::new([4], DType::F32)).unwrap();
    offsets.iter().map(view).collect()
}

fn refused(op: &str, given: &[(&str, &str)], tensors: BoundTensors) -> Option<String> {
    let registry = builtin();
    let op = registry.operator(op).unwrap();
    let params = op.schema().parse(&attrs(given)).unwrap();
    let kernel = Box::new(|_: &mut KernelCtx<'_>| Ok(()));
    BoundOp::new(&**op, &params, "n", kernel, tensors, &[]).err().map(|e| e.to_string())
}

#[test]
fn undeclared_sharing_is_refused() {
    let e = engine();
    let t = views(&e, &[0, 8, 64, 64, 128]);
    let with = |inputs: &[usize], outputs: &[usize], workspace: Option<usize>| BoundTensors {
        inputs: inputs.iter().map(|i| t[*i].clone()).collect(),
        outputs: outputs.iter().map(|o| Some(t[*o].clone())).collect(),
        workspace: workspace.map(|w| t[w].clone()),
    };
    let share =
        |a: &str, b: &str, op: &str| Some(format!("{op} \"n\": {a} and {b} share memory, which it does not declare"));
    // Apart, and in place as declared.
    assert_eq!(refused("negative", &[], with(&[0], &[2], Some(4))), None);
    assert_eq!(refused("negative", &[], with(&[2], &[3], None)), None);
    // Partly in place.
    assert_eq!(refused("negative", &[], with(&[0], &[1], None)), share("input 0", "output 0", "negative"));
    // In place, where it is not declared.
    assert_eq!(refused("zeros_like", &[], with(&[2], &[3], None)), share("input 0", "output 0", "zeros_like"));
    assert_eq!(refused("Dropout", &[], with(&[0], &[2, 3], None)), share("output 0", "output 1", "Dropout"));
    assert_eq!(refused("negative", &[], with(&[0], &[2], Some(3))), share("the workspace", "output 0", "negative"));
    assert_eq!(refused("negative", &[], with(&[2], &[0], Some(3))), share("the workspace", "input 0", "negative"));
    assert_eq!(
        refused("sgd_update", &[("lr", "1")], with(&[2, 3], &[], None)),
        share("mutated input 0", "input 1", "sgd_update")
    );
    // Inputs that are only read may be the same.
    assert_eq!(refused("elemwise_add", &[], with(&[2, 3], &[0], None)), None);
}

/// A task that destroys what shares its memory is ordered behind those who read that.
#[test]
fn clobbered_vars_order_tasks() {
    let e = engine();
    let t = views(&e, &[0, 0, 64]);
    let (old, new, seen) = (&t[0], &t[1], &t[2]);
    for round in 0..50 {
        old.set(vec![round as f32; 4]).unwrap();
        let slow = |ctx: &mut KernelCtx<'_>| {
            std::thread::sleep(std::time::Duration::from_micros(200));
            ctx.output::<f32>(0)?.copy_from_slice(ctx.input::<f32>(0)?);
            Ok(())
        };
        Tensor::push_task(&e, "reads_old", &[old], &[seen], slow);
        let registry = builtin();
        let op = registry.operator("_zeros").unwrap();
        let kernel = Box::new(|ctx: &mut KernelCtx<'_>| {
            ctx.output::<f32>(0)?.fill(-1.0);
            Ok(())
        });
        let tensors = BoundTensors { inputs: vec![], outputs: vec![Some(new.clone())], workspace: None };
        let bound = BoundOp::new(&**op, &Params::default(), "z", kernel, tensors, &[old.var().clone()]).unwrap();
        bound.push(&e, None, Run::default());
        assert_eq!(seen.to_vec::<f32>().unwrap(), [round as f32; 4]);
        assert_eq!(new.to_vec::<f32>().unwrap(), [-1.0; 4]);
    }
}

#[test]
fn a_failing_kernel_poisons_its_outputs() {
    let e = engine();
    let mut r = builtin();
    let bad = |_: &mut KernelCtx<'_>| Err(Error::Data("label 12 of sample 3, wanted 0 to 9".to_string()));
    r.install(Provider::new("bad").kernel("negative", DeviceKind::Cpu, move |_| Ok(Box::new(bad)))).unwrap();
    let a = Tensor::zeros(&e, [2], DType::F32).unwrap();
    let out = invoke(&r, &e, "negative", &attrs(&[]), std::slice::from_ref(&a), Run::default()).unwrap();
    let text = out[0].to_vec::<f32>().unwrap_err().to_string();
    assert!(text.contains("negative") && text.contains("label 12 of sample 3"), "{text}");
    assert_eq!(a.to_vec::<f32>().unwrap(), [0.0; 2]);
}
