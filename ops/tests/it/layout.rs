//! Wishes for layouts: who is heard, and what is refused.

use super::builtin;
use varflow_ops::{
    Attrs, DType, DeviceKind, Error, Kernel, KernelCall, KernelCtx, Layout, Permutation, Provider, Registry, Relaid,
    Result, TensorDesc,
};

fn order(axes: &[usize]) -> Permutation {
    Permutation::new(axes).unwrap()
}

fn desc(dims: &[usize]) -> TensorDesc {
    TensorDesc::new(dims, DType::F32)
}

/// What the registry says of a `softmax` along axis 1 of data (2, 3, 4).
fn asked(registry: &Registry) -> Result<Option<Relaid>> {
    let op = registry.operator("softmax")?.clone();
    let params = op.schema().parse(&Attrs::from([("axis".to_string(), "1".to_string())]))?;
    let (inputs, outputs) = ([desc(&[2, 3, 4])], [desc(&[2, 3, 4])]);
    let call = KernelCall {
        op: &*op,
        node: "s",
        params: &params,
        inputs: &inputs,
        outputs: &outputs,
        wanted: &[true],
        is_train: false,
    };
    registry.layout(DeviceKind::Cpu, &call)
}

/// Wants the axes so.
fn wishes(name: &str, preference: i32, axes: &'static [usize]) -> Provider {
    let provider = Provider::new(name).layout("softmax", DeviceKind::Cpu, move |call| {
        let orders = vec![Some(order(axes))];
        let attrs = Attrs::from([("axis".to_string(), order(axes).position(1).unwrap().to_string())]);
        assert_eq!((call.node, call.params.int("axis")), ("s", 1));
        Ok(Some(Layout { operator: None, attrs, inputs: orders.clone(), outputs: orders }))
    });
    Provider { preference, ..provider }
}

#[test]
fn the_wish_of_highest_preference_counts() {
    let mut r = builtin();
    assert!(asked(&r).unwrap().is_none() && !r.has_layouts(DeviceKind::Cpu));
    r.install(wishes("one", 0, &[0, 2, 1])).unwrap();
    r.install(wishes("two", 1, &[1, 2, 0])).unwrap();
    let relaid = asked(&r).unwrap().unwrap();
    assert_eq!((relaid.inputs[0].clone(), relaid.params.int("axis")), (Some(order(&[1, 2, 0])), 0));
    assert!(r.has_layouts(DeviceKind::Cpu) && !r.has_layouts(DeviceKind::Cuda));
    let again = r.install(wishes("three", 1, &[0, 2, 1])).unwrap_err().to_string();
    let wanted =
        "provider \"three\" brings a cpu layout of softmax with preference 1, which \"two\" has brought already";
    assert_eq!(again, wanted);
}

#[test]
fn a_kernel_of_higher_preference_silences_wishes() {
    let kernel = |_: &KernelCall<'_>| Ok(Box::new(|_: &mut KernelCtx<'_>| Ok(())) as Box<dyn Kernel>);
    let kernels = |name: &str, preference| Provider {
        preference,
        ..Provider::new(name).kernel("softmax", DeviceKind::Cpu, kernel)
    };
    let mut r = builtin();
    r.install(kernels("plain", 0)).unwrap();
    r.install(wishes("one", 1, &[0, 2, 1])).unwrap();
    assert!(asked(&r).unwrap().is_some());
    r.install(kernels("best", 2)).unwrap();
    assert!(asked(&r).unwrap().is_none());
}

#[test]
fn orders_that_change_nothing_are_none() {
    let mut r = builtin();
    r.install(wishes("one", 0, &[0, 1, 2])).unwrap();
    let relaid = asked(&r).unwrap().unwrap();
    assert_eq!((relaid.inputs, relaid.outputs), (vec![None], vec![None]));
}

#[test]
fn answers_that_do_not_fit_are_refused() {
    let mut r = builtin();
    r.install(wishes("one", 0, &[1, 0])).unwrap();
    assert_eq!(
        asked(&r).err().unwrap().to_string(),
        "softmax \"s\": the layout that provider \"one\" wants: has the order [1, 0] for the input data of shape (2, 3, 4), wanted one of 3 axes"
    );
    let mut r = builtin();
    let fails = |_: &KernelCall<'_>| Err(Error::Param("no".to_string()));
    r.install(Provider::new("two").layout("softmax", DeviceKind::Cpu, fails)).unwrap();
    assert_eq!(asked(&r).err().unwrap().to_string(), "softmax \"s\": the layout that provider \"two\" wants: no");
}

#[test]
fn inputs_that_are_changed_stay() {
    let r = builtin();
    let op = r.operator("BatchNorm").unwrap().clone();
    let params = op.schema().parse(&Attrs::new()).unwrap();
    let inputs = [desc(&[2, 3, 4]), desc(&[3]), desc(&[3]), desc(&[3]), desc(&[3])];
    let outputs = [desc(&[2, 3, 4]), desc(&[3]), desc(&[3])];
    let call = KernelCall {
        op: &*op,
        node: "bn",
        params: &params,
        inputs: &inputs,
        outputs: &outputs,
        wanted: &[true; 3],
        is_train: true,
    };
    let relaid = Relaid::permuted(&op, &order(&[0, 2, 1]), &call).unwrap().unwrap();
    assert_eq!((relaid.params.int("axis"), relaid.inputs[1..].to_vec()), (2, vec![None; 4]));
    // A vector has one order only, so this cannot be but by an operator on matrices: `sgd_mom_update` changes its state.
    let op = r.operator("sgd_mom_update").unwrap().clone();
    let params = op.schema().parse(&Attrs::from([("lr".to_string(), "1".to_string())])).unwrap();
    let inputs = [desc(&[2, 3]), desc(&[2, 3]), desc(&[2, 3])];
    let call = KernelCall { op: &*op, params: &params, inputs: &inputs, outputs: &[], wanted: &[], ..call };
    let layout = Layout { inputs: vec![Some(order(&[1, 0])); 3], ..Layout::default() };
    let text = Relaid::new(op.clone(), layout, &call).err().unwrap().to_string();
    assert!(text.contains("which the operator changes: wanted it as it is"), "{text}");
}

#[test]
fn permutations_compose() {
    let (a, b) = (order(&[2, 0, 1, 3]), order(&[3, 1, 0, 2]));
    let shape = varflow_ops::Shape::new(&[5, 6, 7, 8]);
    assert_eq!(a.then(&b).apply(&shape), b.apply(&a.apply(&shape).unwrap()));
    assert!(a.then(&a.inverse()).is_identity() && a.inverse().then(&a).is_identity());
    assert_eq!((a.position(2), a.position(4)), (Some(0), None));
    assert_eq!(a.apply(&[1, 2].into()), None);
    for axes in [&[0, 0][..], &[1, 2], &[2]] {
        let text = Permutation::new(axes).unwrap_err().to_string();
        assert_eq!(text, format!("the axes are {axes:?}, wanted each of {} axes once", axes.len()));
    }
}
