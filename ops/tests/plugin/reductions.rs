//! Reductions of plug-ins, and the tasks that call them.

use super::compile::{Built, build};
use super::engine;
use std::slice::from_ref;
use std::sync::LazyLock;
use varflow_engine::Engine;
use varflow_ops::{DType, Reducer, Registry, Tensor};

static BUILT: LazyLock<Built> = LazyLock::new(|| build("reductions.c", &[]));

fn reducer(engine: &Engine, name: &str) -> Reducer {
    let mut registry = Registry::new();
    registry.load(BUILT.path()).unwrap();
    Reducer::new(engine, registry.reduction(name).unwrap().clone())
}

fn floats(e: &Engine, values: [f32; 2]) -> Tensor {
    Tensor::from_slice(e, [2], &values).unwrap()
}

#[test]
fn many_become_one_and_one_many() {
    let e = engine();
    for name in ["total", "later_total"] {
        let reducer = reducer(&e, name);
        let inputs = [floats(&e, [1.0, 2.0]), floats(&e, [10.0, 20.0]), floats(&e, [100.0, 200.0])];
        let (sum, outputs) = (floats(&e, [0.0, 0.0]), [floats(&e, [0.0, 0.0]), floats(&e, [0.0, 0.0])]);
        for _ in 0..20 {
            reducer.push_reduce("w1", &inputs, &sum, 0).unwrap();
            reducer.push_broadcast("w1", &sum, &outputs, 0).unwrap();
        }
        assert!(outputs.iter().all(|o| o.to_vec::<f32>().unwrap() == [111.0, 222.0]), "{name}");
    }
}

#[test]
fn calls_of_one_ordering_key_run_in_push_order() {
    #![expect(unsafe_code, reason = "calls a function of the test's plug-in")]
    // A copy of its own, whose calls nobody else makes.
    let (e, built) = (engine(), build("reductions.c", &[]));
    let mut registry = Registry::new();
    registry.load(built.path()).unwrap();
    let reducer = Reducer::new(&e, registry.reduction("later_total").unwrap().clone());
    for i in 0..16 {
        reducer.push_reduce(&format!("k{i}"), &[floats(&e, [1.0, 1.0])], &floats(&e, [0.0, 0.0]), i).unwrap();
    }
    e.wait_all().unwrap();
    // SAFETY: the test's own plug-in, and the type of the function in it.
    let order: Vec<i32> = unsafe {
        let library = libloading::Library::new(built.path()).unwrap();
        let order_of = library.get::<unsafe extern "C" fn(i32) -> i32>("order_of").unwrap();
        let order = (0..16).map(|i| order_of(i)).collect();
        std::mem::forget(library);
        order
    };
    assert_eq!(order, (0..16).collect::<Vec<_>>());
}

#[test]
fn failures_are_told_and_stay_with_their_call() {
    let e = engine();
    let reducer = reducer(&e, "total");
    let (x, out) = (floats(&e, [1.0, 2.0]), floats(&e, [0.0, 0.0]));
    reducer.push_reduce("bad", from_ref(&x), &out, 0).unwrap();
    let text = out.wait().unwrap_err().to_string();
    let wanted = format!(
        "plug-in \"test\" ({}): reduction total of key \"bad\": the other side has gone",
        BUILT.path().display()
    );
    assert!(text.ends_with(&wanted), "{text}\nwanted {wanted}");
    reducer.push_broadcast("bad", &x, from_ref(&out), 0).unwrap();
    assert_eq!(out.to_vec::<f32>().unwrap(), [1.0, 2.0]);
}

#[test]
fn tensors_that_do_not_fit_are_refused() {
    let e = engine();
    let reducer = reducer(&e, "total");
    let x = floats(&e, [1.0, 2.0]);
    let refused =
        |inputs: &[Tensor], output: &Tensor| reducer.push_reduce("k", inputs, output, 0).unwrap_err().to_string();
    let out = Tensor::zeros(&e, [3], DType::F32).unwrap();
    let place = "reduction total of key \"k\": ";
    assert_eq!(
        refused(from_ref(&x), &out),
        format!("{place}an output has shape (3,), wanted (2,) as the first input has")
    );
    let out = Tensor::zeros(&e, [2], DType::I32).unwrap();
    assert_eq!(
        refused(from_ref(&x), &out),
        format!("{place}an output holds int32, wanted float32 as the first input does")
    );
    assert_eq!(refused(from_ref(&x), &x), format!("{place}output 0 shares memory with another tensor of the call"));
    assert_eq!(refused(&[], &x), format!("{place}has 0 inputs and 1 outputs, wanted one at least of both"));
}
