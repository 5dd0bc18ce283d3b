//! Every operator that says that it can have the axes of its tensors in another order: it computes the same.

use super::usage::{Array, How, Use};
use super::{examples, workers};
use std::collections::BTreeSet;
use varflow_ops::{KernelCall, Permutation, Relaid, TensorDesc};

/// Some orders of so many axes.
fn orders(rank: usize) -> Vec<Permutation> {
    let turned: Vec<usize> = (0..rank).rev().collect();
    let mut last: Vec<usize> = (0..rank).collect();
    last[1..].rotate_left(1);
    let mut round: Vec<usize> = (0..rank).collect();
    round.rotate_left(1);
    [turned, last, round].iter().map(|axes| Permutation::new(axes).unwrap()).collect()
}

fn permuted(array: &Array, order: Option<&Permutation>) -> Array {
    let Some(order) = order else { return array.clone() };
    let from = array.desc.shape.dims();
    let to = order.apply(&array.desc.shape).unwrap();
    let value = |mut i: usize| {
        let mut at = vec![0; from.len()];
        for (axis, len) in to.dims().iter().enumerate().rev() {
            at[order.axes()[axis]] = i % len;
            i /= len;
        }
        array.values[at.iter().zip(from).fold(0, |place, (at, len)| place * len + at)]
    };
    Array::new(to.dims(), array.desc.dtype, (0..array.values.len()).map(value).collect())
}

#[test]
fn operators_compute_the_same_in_another_order() {
    let engine = workers(0);
    let mut operators = BTreeSet::new();
    for usage in examples::all() {
        let inputs: Vec<TensorDesc> = usage.inputs.iter().map(|array| array.desc.clone()).collect();
        let ranks: BTreeSet<usize> = inputs.iter().map(|desc| desc.shape.rank()).filter(|rank| *rank > 1).collect();
        let call = KernelCall {
            op: &*usage.op,
            node: "node",
            params: &usage.params,
            inputs: &inputs,
            outputs: &usage.outputs,
            wanted: &vec![true; usage.outputs.len()],
            is_train: true,
        };
        for order in ranks.into_iter().flat_map(orders) {
            let relaid =
                Relaid::permuted(&usage.op, &order, &call).unwrap_or_else(|e| panic!("{usage:?} {order}: {e}"));
            let Some(relaid) = relaid else { continue };
            let there = Use {
                params: relaid.params.clone(),
                attrs: relaid.params.to_attrs(),
                inputs: usage.inputs.iter().zip(&relaid.inputs).map(|(a, o)| permuted(a, o.as_ref())).collect(),
                outputs: Vec::new(),
                ..usage.clone()
            };
            let outputs = usage.outputs.iter().zip(&relaid.outputs);
            let shape = |(desc, order): (&TensorDesc, &Option<Permutation>)| TensorDesc {
                shape: order.as_ref().map_or(Some(desc.shape.clone()), |order| order.apply(&desc.shape)).unwrap(),
                dtype: desc.dtype,
            };
            let there = Use { outputs: outputs.map(shape).collect(), ..there };
            let (here, there) = (usage.run(&How::on(&engine)).unwrap(), there.run(&How::on(&engine)).unwrap());
            let pairs = here.outputs.iter().zip(&there.outputs).zip(&relaid.outputs);
            for ((here, there), order) in pairs {
                let (here, there) = (permuted(here.as_ref().unwrap(), order.as_ref()), there.as_ref().unwrap());
                assert_eq!(here.desc, there.desc, "{usage:?} {order:?}");
                let scale = here.values.iter().fold(1.0_f64, |max, v| max.max(v.abs()));
                for (a, b) in here.values.iter().zip(&there.values) {
                    let is_close = (a - b).abs() <= 1e-12 * scale || a.to_bits() == b.to_bits();
                    assert!(is_close, "{usage:?} {order:?}: {b}, wanted {a}");
                }
            }
            operators.insert(usage.op.name().to_string());
        }
    }
    let wanted = ["Activation", "BatchNorm", "Cast", "Concat", "add_n", "broadcast_add", "elemwise_add", "softmax"];
    assert!(wanted.iter().all(|op| operators.contains(*op)), "{operators:?}");
}
