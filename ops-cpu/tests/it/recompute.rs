//! Outputs that are computed once more have the bits that they had.

use super::engine;
use super::examples::{array, forward};
use super::graph::{backward, recomputed};
use super::usage::{Array, How, Use};
use varflow_ops::DType;
use varflow_ops::examples::Values::{Apart, Positive};

#[test]
fn every_operator_computes_its_outputs_again() {
    for usage in forward() {
        let name = usage.op.name().to_string();
        let single = (!usage.op.schema().has("dtype")).then(|| usage.cast(DType::F32));
        for usage in single.into_iter().chain([usage]) {
            let Some(pairs) = recomputed(&usage).unwrap() else {
                assert!(!usage.op.is_cheap(&usage.params), "{name} is cheap, and cannot be computed again");
                continue;
            };
            assert_eq!(pairs.len(), usage.outputs.len(), "{name}");
            for (o, (first, again)) in pairs.iter().enumerate() {
                assert!(first.same_bits(again), "{usage:?}: output {o} was {first:?}, is {again:?}");
            }
        }
    }
}

/// `BatchNorm` or `_FusedBatchNormRelu`, over data with channels of which some hold a single number or NaN.
fn norm(op: &str, given: &[(&str, &str)], dtype: DType) -> Use {
    let mut data = array(Apart, &[4, 5, 3, 7], 1);
    (0..data.values.len()).filter(|i| i / 21 % 5 == 1).for_each(|i| data.values[i] = 2.5);
    data.values[2 * 21 + 3] = f64::NAN;
    let vector = |values, seed| array(values, &[5], seed);
    let inputs = vec![data, vector(Apart, 2), vector(Apart, 3), vector(Apart, 4), vector(Positive, 5)];
    Use::new(op, given, inputs).cast(dtype)
}

#[test]
fn a_rectifier_within_gives_the_bits_of_one_behind() {
    let given: [&[(&str, &str)]; 3] =
        [&[], &[("fix_gamma", "False")], &[("fix_gamma", "False"), ("use_global_stats", "True")]];
    for given in given {
        for dtype in [DType::F32, DType::F64] {
            for is_train in [true, false] {
                let how = How { is_train, ..How::on(engine()) };
                let plain = norm("BatchNorm", given, dtype).run(&how).unwrap();
                let fused = norm("_FusedBatchNormRelu", given, dtype).run(&how).unwrap();
                let between = plain.outputs[0].clone().unwrap();
                let relu = Use::new("relu", &[], vec![between]).run(&how).unwrap().output();
                assert!(fused.outputs[0].as_ref().unwrap().same_bits(&relu), "{given:?}");
                assert_eq!(bits(&fused.outputs[1..]), bits(&plain.outputs[1..]));
                assert!(fused.mutated.iter().zip(&plain.mutated).all(|(a, b)| a.same_bits(b)));
            }
        }
    }
}

fn bits(outputs: &[Option<Array>]) -> Vec<u64> {
    outputs.iter().flatten().flat_map(|a| a.values.iter().map(|v| v.to_bits())).collect()
}

#[test]
fn the_gradients_are_those_of_the_two() {
    for given in [&[][..], &[("fix_gamma", "False")]] {
        let out_grad = array(Apart, &[4, 5, 3, 7], 6);
        let plain = norm("BatchNorm", given, DType::F64);
        let between = plain.run(&How::on(engine())).unwrap().output();
        let relu = Use::new("relu", &[], vec![between]);
        let of_relu = backward(&relu, Some(out_grad.clone())).unwrap().grads.remove(0);
        let wanted = backward(&plain, of_relu).unwrap().grads;
        let got = backward(&norm("_FusedBatchNormRelu", given, DType::F64), Some(out_grad)).unwrap().grads;
        assert_eq!(got.len(), wanted.len());
        for (got, wanted) in got.iter().zip(&wanted) {
            match (got, wanted) {
                (Some(got), Some(wanted)) => assert!(got.same_bits(wanted), "{given:?}: {got:?}, wanted {wanted:?}"),
                _ => assert!(got.is_none() && wanted.is_none()),
            }
        }
    }
}
