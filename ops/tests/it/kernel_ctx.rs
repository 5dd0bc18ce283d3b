//! What a kernel is handed, and what it is refused.

use super::engine;
use std::sync::{Arc, Mutex};
use varflow_engine::Engine;
use varflow_ops::{
    BoundOp, BoundTensors, DType, KernelCtx, Operator, Pair, Params, Result, Run, Schema, Shapes, Storage, Tensor,
    TensorDesc,
};

/// An operator with in-place pairs and mutated inputs of one's choice.
struct Free {
    inplace: Vec<(usize, usize)>,
    mutates: Vec<usize>,
    schema: Schema,
}

impl Operator for Free {
    fn name(&self) -> &str {
        "free"
    }
    fn doc(&self) -> &str {
        "Anything."
    }
    fn schema(&self) -> &Schema {
        &self.schema
    }
    fn infer_shape(&self, _: &Params, _: &mut Shapes) -> Result<()> {
        Ok(())
    }
    fn inplace(&self, _: &Params) -> Vec<(usize, usize)> {
        self.inplace.clone()
    }
    fn mutates(&self, _: &Params) -> Vec<usize> {
        self.mutates.clone()
    }
}

/// Runs `body` as a kernel over the tensors.
fn run(
    inplace: &[(usize, usize)],
    mutates: &[usize],
    tensors: BoundTensors,
    body: impl Fn(&mut KernelCtx<'_>) -> Result<()> + Send + Sync + 'static,
) -> Result<()> {
    let op = Free { inplace: inplace.to_vec(), mutates: mutates.to_vec(), schema: Schema::new() };
    let engine = tensors.inputs.first().or(tensors.outputs.iter().flatten().next()).unwrap().engine().clone();
    let bound = BoundOp::new(&op, &Params::default(), "n", Box::new(body), tensors, &[])?;
    bound.push(&engine, None, Run::default());
    Ok(engine.wait_all()?)
}

/// Tensors of four floats, in one storage at these byte offsets.
fn at(engine: &Engine, offsets: &[usize]) -> Vec<Tensor> {
    let storage = Arc::new(Storage::zeroed(256).unwrap());
    let desc = TensorDesc::new([4], DType::F32);
    offsets
        .iter()
        .map(|o| Tensor::in_storage(engine, engine.var(), storage.clone(), *o, desc.clone()).unwrap())
        .collect()
}

fn tensors(inputs: &[Tensor], outputs: &[Tensor]) -> BoundTensors {
    BoundTensors { inputs: inputs.to_vec(), outputs: outputs.iter().cloned().map(Some).collect(), workspace: None }
}

/// The texts of what the context refuses.
fn refusals(
    inplace: &[(usize, usize)],
    mutates: &[usize],
    t: BoundTensors,
    body: impl Fn(&mut KernelCtx<'_>) -> Vec<Option<varflow_ops::Error>> + Send + Sync + 'static,
) -> Vec<String> {
    let texts = Arc::new(Mutex::new(Vec::new()));
    let to = texts.clone();
    run(inplace, mutates, t, move |ctx| {
        let found = body(ctx).into_iter().map(|e| e.map_or("taken".to_string(), |e| e.to_string()));
        to.lock().unwrap().extend(found);
        Ok(())
    })
    .unwrap();
    let texts = texts.lock().unwrap();
    texts.clone()
}

#[test]
fn an_output_is_given_once() {
    let t = at(&engine(), &[0, 64]);
    let texts = refusals(&[], &[], tensors(&t[..1], &t[1..]), |ctx| {
        vec![
            ctx.output::<f32>(0).err(),
            ctx.output::<f32>(0).err(),
            ctx.pair::<f32>(0, 0).err(),
            ctx.output::<f32>(1).err(),
        ]
    });
    assert_eq!(
        texts,
        [
            "taken",
            "output 0 is asked for twice",
            "output 0 is asked for twice",
            "output 1 is asked for, which nobody wants"
        ]
    );
}

#[test]
fn inputs_are_given_as_often_as_wanted() {
    let t = at(&engine(), &[0, 64]);
    let texts = refusals(&[], &[], tensors(&t[..1], &t[1..]), |ctx| {
        vec![
            ctx.input::<f32>(0).err(),
            ctx.input::<f32>(0).err(),
            ctx.input::<f64>(0).err(),
            ctx.output::<i32>(0).err(),
            ctx.input::<f32>(1).err(),
            ctx.mutated::<f32>(0).err(),
        ]
    });
    assert_eq!(
        texts,
        [
            "taken",
            "taken",
            "input 0 holds float32, the kernel wants float64",
            "output 0 holds float32, the kernel wants int32",
            "input 1 of 1 is asked for",
            "input 0 is not declared as mutated, or overlaps another input",
        ]
    );
}

#[test]
fn unwanted_outputs_have_no_memory() {
    let t = at(&engine(), &[0, 64]);
    let bound = BoundTensors { inputs: vec![t[0].clone()], outputs: vec![None, Some(t[1].clone())], workspace: None };
    let texts = refusals(&[], &[], bound, |ctx| {
        assert!(!ctx.is_wanted(0) && ctx.is_wanted(1) && ctx.num_outputs() == 2 && ctx.num_inputs() == 1);
        vec![ctx.output::<f32>(0).err(), ctx.output::<f32>(1).err()]
    });
    assert_eq!(texts, ["output 0 is asked for, which nobody wants", "taken"]);
}

#[test]
fn shared_memory_is_given_as_a_pair() {
    let t = at(&engine(), &[0, 0, 64]);
    let texts = refusals(&[(0, 0)], &[], tensors(&[t[0].clone(), t[2].clone()], &t[1..2]), |ctx| {
        let refused = vec![ctx.input::<f32>(0).err(), ctx.output::<f32>(0).err(), ctx.pair::<f32>(1, 0).err()];
        match ctx.pair::<f32>(0, 0) {
            Ok(Pair::Same(both)) => both.fill(3.0),
            _ => panic!("they are the same"),
        }
        refused
            .into_iter()
            .chain([ctx.pair::<f32>(0, 0).err(), ctx.input::<f32>(0).err(), ctx.input::<f32>(1).err()])
            .collect()
    });
    let shares = "input 0 shares memory with output 0: ask for both with pair()";
    assert_eq!(
        texts,
        [
            shares,
            "output 0 shares memory with input 0: ask for both with pair()",
            "output 0 shares memory with input 0: ask for both with pair()",
            "output 0 is asked for twice",
            shares,
            "taken",
        ]
    );
    assert_eq!(t[1].to_vec::<f32>().unwrap(), [3.0; 4]);
}

#[test]
fn separate_memory_is_given_as_a_pair_too() {
    let t = at(&engine(), &[0, 64]);
    t[0].set(vec![1.0_f32, 2.0, 3.0, 4.0]).unwrap();
    run(&[(0, 0)], &[], tensors(&t[..1], &t[1..]), |ctx| match ctx.pair::<f32>(0, 0)? {
        Pair::Apart(from, to) => {
            to.copy_from_slice(from);
            Ok(())
        }
        Pair::Same(_) => panic!("they are apart"),
    })
    .unwrap();
    assert_eq!(t[1].to_vec::<f32>().unwrap(), [1.0, 2.0, 3.0, 4.0]);
}

/// The same input twice, and in place of one of the two, is still refused: the other would change under the kernel.
#[test]
fn an_input_given_twice_is_not_worked_on_in_place() {
    let t = at(&engine(), &[0, 0, 0]);
    let bound = tensors(&t[..2], &t[2..]);
    let error = run(&[(0, 0)], &[], bound, |_| Ok(())).unwrap_err().to_string();
    assert_eq!(error, "free \"n\": input 1 and output 0 share memory, which it does not declare");
}

#[test]
fn mutated_inputs_are_given_once_and_change() {
    let t = at(&engine(), &[0, 64]);
    let texts = refusals(&[], &[0], tensors(&t, &[]), |ctx| {
        let refused = vec![ctx.input::<f32>(0).err(), ctx.mutated::<f32>(1).err()];
        ctx.mutated::<f32>(0).unwrap().fill(2.0);
        refused.into_iter().chain([ctx.mutated::<f32>(0).err()]).collect()
    });
    assert_eq!(
        texts,
        [
            "input 0 is mutated: ask for it with mutated()",
            "input 1 is not declared as mutated, or overlaps another input",
            "mutated input 0 is asked for twice",
        ]
    );
    assert_eq!(t[0].to_vec::<f32>().unwrap(), [2.0; 4]);
}

/// Memory that is handed out as a mutated input is not handed out again as an output.
#[test]
fn a_mutated_input_is_no_pair() {
    let t = at(&engine(), &[0, 0]);
    let texts = refusals(&[(0, 0)], &[0], tensors(&t[..1], &t[1..]), |ctx| {
        vec![ctx.mutated::<f32>(0).err(), ctx.pair::<f32>(0, 0).err(), ctx.output::<f32>(0).err()]
    });
    assert_eq!(
        texts,
        [
            "taken",
            "input 0 and output 0 overlap otherwise than in place",
            "output 0 shares memory with input 0: ask for both with pair()",
        ]
    );
}

#[test]
fn the_workspace_is_given_once() {
    let e = engine();
    let (t, w) = (at(&e, &[0]), Tensor::zeros(&e, [64], DType::U8).unwrap());
    let bound = BoundTensors { workspace: Some(w), ..tensors(&[], &t) };
    let texts = refusals(&[], &[], bound, |ctx| {
        assert_eq!(ctx.workspace::<f64>().unwrap().len(), 8);
        vec![ctx.workspace::<f32>().err()]
    });
    assert_eq!(texts, ["there is no workspace, or it is taken"]);
}

#[test]
fn random_numbers_depend_on_node_seed_and_step() {
    let e = engine();
    let op = Free { inplace: vec![], mutates: vec![], schema: Schema::new() };
    let draw = |node: &str, seed, step| {
        let t = Tensor::zeros(&e, [4], DType::F32).unwrap();
        let kernel = |ctx: &mut KernelCtx<'_>| {
            ctx.output::<f32>(0)?.copy_from_slice(&ctx.rng().uniform4(0));
            Ok(())
        };
        let bound =
            BoundOp::new(&op, &Params::default(), node, Box::new(kernel), tensors(&[], std::slice::from_ref(&t)), &[])
                .unwrap();
        bound.push(&e, None, Run { seed, step, priority: 0 });
        t.to_vec::<f32>().unwrap()
    };
    let first = draw("a", 1, 1);
    assert_eq!(draw("a", 1, 1), first);
    assert!(draw("b", 1, 1) != first && draw("a", 2, 1) != first && draw("a", 1, 2) != first);
}
