//! Checks that hold for every kernel.

use super::usage::{How, Ran, Use};
use super::{examples, registry, workers};
use std::collections::BTreeSet;
use varflow_ops::{DType, DeviceKind};

#[test]
fn every_operator_has_a_kernel() {
    let has = |name: &str| registry().kernels_of(name).any(|k| k == (DeviceKind::Cpu, "cpu"));
    let missing: Vec<_> = registry().operators().map(|op| op.name()).filter(|name| !has(name)).collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn every_kernel_has_an_operator() {
    let operators: BTreeSet<_> = registry().operators().map(|op| op.name().to_string()).collect();
    let kernels = varflow_cpu::provider().kernels;
    let strangers: Vec<_> = kernels.iter().map(|k| &k.0).filter(|name| !operators.contains(*name)).collect();
    assert_eq!(strangers, [""; 0]);
}

/// Each use in both floating-point dtypes.
fn in_both_dtypes() -> impl Iterator<Item = Use> {
    examples::all().iter().flat_map(|u| [u.clone(), u.cast(DType::F32)])
}

#[test]
fn in_place_gives_the_same_bits() {
    let engine = workers(0);
    let mut pairs = BTreeSet::new();
    for usage in in_both_dtypes() {
        let apart = usage.run(&How::on(&engine)).unwrap();
        for (i, o) in usage.op.inplace(&usage.params) {
            let (input, output) = (&usage.inputs[i].desc, &usage.outputs[o]);
            if input.dtype != output.dtype || input.shape.len() != output.shape.len() {
                continue;
            }
            let how = How { inplace: Some((i, o)), ..How::on(&engine) };
            let same = usage.run(&how).unwrap_or_else(|e| panic!("{usage:?} ({i}, {o}): {e}"));
            assert!(same.same_bits(&apart), "{usage:?} ({i}, {o}): {same:?}, apart {apart:?}");
            pairs.insert((usage.op.name().to_string(), i, o));
        }
    }
    // All that the operators declare.
    for usage in examples::all() {
        for (i, o) in usage.op.inplace(&usage.params) {
            let known = pairs.contains(&(usage.op.name().to_string(), i, o));
            assert!(known || usage.op.name().starts_with("broadcast_"), "{usage:?} ({i}, {o})");
        }
    }
}

/// Where an operator says that its output is a part of its first input, the kernel computes just that.
#[test]
fn views_are_what_kernels_compute() {
    let engine = workers(0);
    let mut operators = BTreeSet::new();
    for usage in in_both_dtypes().filter(|u| u.outputs.len() == 1 && !u.inputs.is_empty()) {
        let (input, output) = (&usage.inputs[0], &usage.outputs[0]);
        let Some(start) = usage.op.view(&usage.params, &input.desc, output) else { continue };
        let (start, n) = (start / output.dtype.size_bytes(), output.shape.len());
        let got = usage.run(&How::on(&engine)).unwrap();
        assert_eq!(got.output().values, input.values[start..start + n], "{usage:?}");
        operators.insert(usage.op.name().to_string());
    }
    let wanted = ["BlockGrad", "Flatten", "Reshape", "_copy", "expand_dims", "slice", "slice_axis", "squeeze"];
    assert!(wanted.iter().all(|op| operators.contains(*op)), "{operators:?}");
}

#[test]
fn unwanted_outputs_are_left_out() {
    let engine = workers(0);
    for usage in in_both_dtypes().filter(|u| u.outputs.len() > 1) {
        let all = usage.run(&How::on(&engine)).unwrap();
        for only in 0..usage.outputs.len() {
            let others: Vec<_> = (0..usage.outputs.len()).filter(|o| *o != only).collect();
            for unwanted in [&others[..], &[only]] {
                let some = usage.run(&How { unwanted, ..How::on(&engine) }).unwrap();
                assert!(some.outputs.iter().enumerate().all(|(o, out)| out.is_none() == unwanted.contains(&o)));
                assert!(some.same_bits(&all), "{usage:?} without {unwanted:?}: {some:?}, all {all:?}");
            }
        }
    }
}

/// Whether each result in single precision is close to that in double precision, from the same inputs.
fn assert_close(usage: &Use, single: &Ran, double: &Ran) {
    let outputs = single.outputs.iter().zip(&double.outputs).filter_map(|(s, d)| s.as_ref().zip(d.as_ref()));
    for (single, double) in outputs.chain(single.mutated.iter().zip(&double.mutated)) {
        let scale = double.values.iter().fold(1.0_f64, |max, v| max.max(v.abs()));
        for (s, d) in single.values.iter().zip(&double.values) {
            assert!((s - d).abs() <= 1e-5 * scale, "{usage:?}: {s} in float32, {d} in float64");
        }
    }
}

#[test]
fn single_precision_agrees_with_double() {
    let engine = workers(0);
    for usage in examples::all().iter().filter(|u| !u.op.name().starts_with("_random_")) {
        let single = usage.cast(DType::F32);
        let results = (single.run(&How::on(&engine)).unwrap(), single.cast(DType::F64).run(&How::on(&engine)).unwrap());
        assert_close(usage, &results.0, &results.1);
    }
}

/// Whatever the number of workers, and however often.
#[test]
fn workers_do_not_change_bits() {
    let serial = workers(0);
    let pools = [1, 2, 3].map(|n| (n, workers(n)));
    let large = examples::large();
    assert!(large.len() > 40);
    for usage in large.into_iter().flat_map(|u| [u.cast(DType::F32), u]) {
        let wanted = usage.run(&How::on(&serial)).unwrap();
        for (n, pool) in &pools {
            let got = usage.run(&How::on(pool)).unwrap();
            assert!(got.same_bits(&wanted), "{usage:?} on {n} workers");
        }
    }
}
