//! Training from end to end on made data.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use support::{FEATURES, batches, bits, module, within};
use varflow::metric::value_of;
use varflow::prelude::*;
use varflow::schedule::Factor;

const SAMPLES: usize = 200;
const BATCH: usize = 16;

fn sgd() -> Sgd {
    Sgd::new(0.2).momentum(0.9).wd(1e-3).schedule(Factor::new(9, 0.8).unwrap())
}

fn train(module: &mut Module, epochs: u64, prefix: Option<&str>) -> Ending {
    let mut iter = batches(module.runtime(), SAMPLES, BATCH, 5);
    let mut fit = Fit::epochs(epochs).optimizer(sgd()).seed(11);
    if let Some(prefix) = prefix {
        fit = fit.checkpoint(prefix, 1);
    }
    module.fit(&mut iter, fit).unwrap()
}

#[test]
fn separable_data_are_learnt() {
    within(60, || {
        let mut module = module(2);
        let mut iter = batches(module.runtime(), SAMPLES, BATCH, 5);
        let mut fresh = batches(module.runtime(), 90, BATCH, 6);
        let mut told = Vec::new();
        let fit = Fit::epochs(6).optimizer(sgd()).eval(&mut fresh).epoch_end(|end| {
            told.push((
                end.epoch,
                value_of(end.train, "accuracy").unwrap(),
                value_of(end.validation, "accuracy").unwrap(),
            ));
            Ok(())
        });
        assert_eq!(module.fit(&mut iter, fit).unwrap(), Ending::Finished);
        assert_eq!(told.iter().map(|t| t.0).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
        assert!(told[5].1 > 0.95 && told[5].2 > 0.95, "{told:?}");
        assert!(told[0].1 < told[5].1);
    });
}

#[test]
fn the_number_of_workers_changes_nothing() {
    within(60, || {
        let run = |cpus| {
            let mut module = module(cpus);
            train(&mut module, 3, None);
            bits(&module)
        };
        let one = run(1);
        assert!(one == run(2) && one == run(3));
    });
}

#[test]
fn a_resumed_run_ends_as_the_uninterrupted_one() {
    within(60, || {
        let dir = tempfile::tempdir().unwrap();
        let prefix = dir.path().join("run").display().to_string();
        let mut whole = module(2);
        train(&mut whole, 5, Some(&prefix));
        let last = bits(&whole);
        let states = std::fs::read(format!("{prefix}-0005.states")).unwrap();
        for epoch in [1, 3] {
            let mut resumed = Module::load(whole.runtime(), &prefix, epoch).unwrap();
            assert_eq!((resumed.progress().epoch, resumed.seed()), (epoch, 11));
            let other = dir.path().join("other").display().to_string();
            train(&mut resumed, 5, Some(&other));
            assert!(last == bits(&resumed), "resumed after epoch {epoch}");
            assert!(states == std::fs::read(format!("{other}-0005.states")).unwrap());
        }
        // Going on in the same module is the same too.
        let mut steps = module(1);
        (1..=5).for_each(|epochs| assert_eq!(train(&mut steps, epochs, None), Ending::Finished));
        assert!(last == bits(&steps));
    });
}

#[test]
fn a_run_stopped_in_an_epoch_goes_on_with_the_next_batch() {
    within(60, || {
        let dir = tempfile::tempdir().unwrap();
        let prefix = dir.path().join("run").display().to_string();
        let mut whole = module(2);
        train(&mut whole, 3, None);

        let mut stopped = module(2);
        let mut iter = batches(stopped.runtime(), SAMPLES, BATCH, 5);
        let stop = Arc::new(AtomicBool::new(false));
        let flag = stop.clone();
        let fit = Fit::epochs(3).optimizer(sgd()).seed(11).stop(stop).checkpoint(&prefix, 1).batch_end(move |end| {
            flag.fetch_or(end.epoch == 2 && end.batch == 4, Ordering::Relaxed);
        });
        let Ending::Stopped { epoch: 2, batch } = stopped.fit(&mut iter, fit).unwrap() else { panic!("not stopped") };
        assert!((4..12).contains(&batch), "stopped after batch {batch}");

        let mut resumed = Module::load(stopped.runtime(), &prefix, 2).unwrap();
        assert_eq!((resumed.progress().epoch, resumed.progress().batch), (1, batch));
        train(&mut resumed, 3, None);
        assert!(bits(&whole) == bits(&resumed));
    });
}

#[test]
fn a_loss_that_is_not_finite_is_told_once_an_epoch() {
    within(60, || {
        let mut module = module(1);
        let mut iter = batches(module.runtime(), SAMPLES, BATCH, 5);
        let mut warnings = Vec::new();
        let fit = Fit::epochs(2).optimizer(Sgd::new(1e30)).warning(|text| warnings.push(text.to_string()));
        assert_eq!(module.fit(&mut iter, fit).unwrap(), Ending::Finished);
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].contains("cross-entropy is not finite in epoch 1, batch "), "{warnings:?}");
        assert!(warnings[1].contains("in epoch 2, batch 1:"), "{warnings:?}");
    });
}

#[test]
fn multipliers_of_a_variable_are_honoured() {
    within(60, || {
        let weight = sym::var("fc1_weight").lr_mult(0.0);
        let x = sym::fully_connected(sym::var("data")).weight(weight).num_hidden(support::CLASSES).name("fc1");
        let net = sym::softmax_output(x).name("softmax");
        let mut module = Module::new(&varflow::runtime(1).unwrap(), net).unwrap();
        module.bind(&[("data", [BATCH, FEATURES].into())]).unwrap();
        module.init(&Xavier::default(), 0).unwrap();
        let before = bits(&module);
        train(&mut module, 1, None);
        let after = bits(&module);
        assert_eq!((&before[0].0[..], &before[1].0[..]), ("fc1_weight", "fc1_bias"));
        assert!(before[0] == after[0] && before[1] != after[1]);
        let params = module.params();
        assert_eq!((params[0].lr_mult, params[0].wd_mult), (0.0, 1.0));
        assert_eq!((params[1].lr_mult, params[1].wd_mult), (1.0, 0.0));
    });
}

#[test]
fn plain_sgd_is_the_formula() {
    within(60, || {
        // One step on one batch: softmax regression, whose gradient is (p - y) xᵀ, summed over the batch.
        let (batch, lr, wd) = (8_usize, 0.3_f64, 0.1_f64);
        let x = sym::fully_connected(sym::var("data")).num_hidden(support::CLASSES).name("fc1");
        let mut module = Module::new(&varflow::runtime(2).unwrap(), sym::softmax_output(x).name("softmax")).unwrap();
        let mut iter = batches(module.runtime(), batch, batch, 5);
        module.bind(&[("data", [batch, FEATURES].into())]).unwrap();
        module.init(&Uniform(0.5), 3).unwrap();
        let start: Vec<Vec<f32>> = module.params().iter().map(|p| p.tensor.to_vec().unwrap()).collect();
        iter.reset(0).unwrap();
        let first = iter.next().unwrap().unwrap();
        let (data, labels) = (first.data[0].to_vec::<f32>().unwrap(), first.label[0].to_vec::<f32>().unwrap());
        module.fit(&mut iter, Fit::epochs(1).optimizer(Sgd::new(lr).wd(wd))).unwrap();

        let (mut grad_weight, mut grad_bias) = (vec![0.0; start[0].len()], vec![0.0; start[1].len()]);
        for (x, label) in data.chunks(FEATURES).zip(&labels) {
            let dot = |k: usize| -> f64 {
                let row = &start[0][k * FEATURES..][..FEATURES];
                row.iter().zip(x).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum::<f64>() + f64::from(start[1][k])
            };
            let exp: Vec<f64> = (0..support::CLASSES).map(|k| dot(k).exp()).collect();
            let total: f64 = exp.iter().sum();
            for k in 0..support::CLASSES {
                let d = exp[k] / total - f64::from(u8::from(k == *label as usize));
                grad_bias[k] += d;
                (0..FEATURES).for_each(|f| grad_weight[k * FEATURES + f] += d * f64::from(x[f]));
            }
        }
        let close = |name: &str, found: &[f32], start: &[f32], grad: &[f64], wd: f64| {
            for i in 0..grad.len() {
                let w = f64::from(start[i]);
                let wanted = w - lr * (grad[i] / batch as f64 + wd * w);
                assert!((f64::from(found[i]) - wanted).abs() < 1e-5, "{name}[{i}]: {} {wanted}", found[i]);
            }
        };
        let end: Vec<Vec<f32>> = module.params().iter().map(|p| p.tensor.to_vec().unwrap()).collect();
        close("weight", &end[0], &start[0], &grad_weight, wd);
        close("bias", &end[1], &start[1], &grad_bias, 0.0);
    });
}
