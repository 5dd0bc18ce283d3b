//! Binding, scoring, predicting, saving and loading.
#![allow(clippy::unwrap_used)]

mod support;

use support::{CLASSES, FEATURES, batches, bits, blobs, module, network, within};
use varflow::io::{Array, ArrayIter, LastBatch};
use varflow::metric::value_of;
use varflow::prelude::*;
use varflow::symbol::params;

fn bound(cpus: usize) -> Module {
    let mut module = module(cpus);
    module.bind(&[("data", [16, FEATURES].into())]).unwrap();
    module.init(&Xavier::default(), 7).unwrap();
    module
}

/// Batches in the order of the samples.
fn in_order(module: &Module, data: Array, labels: Array, batch_size: usize) -> ArrayIter {
    let iter = ArrayIter::builder(&module.runtime().engine).data("data", data).label("softmax_label", labels);
    iter.batch_size(batch_size).last_batch(LastBatch::Pad).build().unwrap()
}

#[test]
fn padding_counts_neither_in_scores_nor_in_predictions() {
    within(60, || {
        let mut module = bound(2);
        let (data, labels) = blobs(50, 3);
        let mut whole = in_order(&module, data.clone(), labels.clone(), 50);
        let wanted = (module.predict(&mut whole).unwrap(), module.score(&mut whole, &Metrics::default()).unwrap());
        assert_eq!((wanted.0.row.dims(), wanted.0.values.len()), (&[CLASSES][..], 50 * CLASSES));
        for batch_size in [1, 7, 16, 64] {
            let mut iter = in_order(&module, data.clone(), labels.clone(), batch_size);
            let found = (module.predict(&mut iter).unwrap(), module.score(&mut iter, &Metrics::default()).unwrap());
            assert_eq!(found.0.values.len(), 50 * CLASSES);
            let close = |a: f64, b: f64| (a - b).abs() < 1e-5;
            let pairs = found.0.values.iter().zip(&wanted.0.values);
            assert!(pairs.into_iter().all(|(a, b)| close(f64::from(*a), f64::from(*b))), "batches of {batch_size}");
            for name in ["accuracy", "cross-entropy"] {
                let (a, b) = (value_of(&found.1, name).unwrap(), value_of(&wanted.1, name).unwrap());
                assert!(close(a, b), "{name} in batches of {batch_size}: {a} {b}");
            }
        }
    });
}

#[test]
fn scores_agree_with_predictions() {
    within(60, || {
        let mut module = bound(1);
        let (data, labels) = blobs(30, 4);
        let mut iter = in_order(&module, data, labels.clone(), 8);
        let predictions = module.predict(&mut iter).unwrap();
        let right = predictions.top(1).zip(labels.to_f32()).filter(|(top, label)| top[0].0 == *label as usize).count();
        let measured = module.score(&mut iter, &Accuracy.into()).unwrap();
        assert_eq!(value_of(&measured, "accuracy"), Some(right as f64 / 30.0));
        assert!(predictions.rows().all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-5));
    });
}

#[test]
fn a_checkpoint_brings_network_and_parameters_back() {
    within(60, || {
        let dir = tempfile::tempdir().unwrap();
        let prefix = dir.path().join("net").display().to_string();
        let saved = bound(1);
        saved.save(&prefix, 3).unwrap();
        let mut names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["net-0003.params", "net-symbol.json"]);
        let keys: Vec<_> = params::load(format!("{prefix}-0003.params")).unwrap().into_iter().map(|(k, _)| k).collect();
        assert_eq!(keys, ["arg:fc1_weight", "arg:fc1_bias", "arg:fc2_weight", "arg:fc2_bias"]);
        let mut loaded = Module::load(saved.runtime(), &prefix, 3).unwrap();
        loaded.bind(&[("data", [2, FEATURES].into())]).unwrap();
        assert!(bits(&saved) == bits(&loaded));
        assert_eq!(loaded.progress().epoch, 3);
    });
}

#[test]
fn a_checkpoint_that_does_not_fit_is_told_with_array_and_shapes() {
    within(60, || {
        let dir = tempfile::tempdir().unwrap();
        let prefix = dir.path().join("net").display().to_string();
        bound(1).save(&prefix, 1).unwrap();
        let refused = |net: Symbol| {
            let mut module = Module::new(&varflow::runtime(1).unwrap(), net).unwrap();
            module.load_params(&prefix, 1).unwrap();
            module.bind(&[("data", [2, FEATURES].into())]).unwrap_err().to_string()
        };
        let layer = |x: Symbol, n: usize, name: &str| sym::fully_connected(x).num_hidden(n).name(name).build();
        let data = || sym::var("data").build();
        let wide = refused(layer(layer(data(), 17, "fc1"), CLASSES, "fc2"));
        let wanted = "arg:fc1_weight has shape (16, 12), with these inputs the network wants (17, 12)";
        assert!(wide.contains("net-0001.params") && wide.contains(wanted), "{wide}");
        let deep = refused(layer(layer(layer(data(), 16, "fc1"), CLASSES, "fc2"), CLASSES, "fc3"));
        assert!(deep.contains("it lacks arg:fc3_weight of shape (4, 4)"), "{deep}");
        let flat = refused(layer(data(), 16, "fc1"));
        assert!(
            flat.contains("it has what the network does not:") && flat.contains("arg:fc2_bias of shape (4,)"),
            "{flat}"
        );
    });
}

#[test]
fn states_of_another_optimizer_are_refused() {
    within(60, || {
        let dir = tempfile::tempdir().unwrap();
        let prefix = dir.path().join("net").display().to_string();
        let mut module = bound(1);
        let mut iter = batches(module.runtime(), 32, 16, 0);
        let fit = Fit::epochs(1).optimizer(Sgd::new(0.1).momentum(0.5)).checkpoint(&prefix, 1);
        module.fit(&mut iter, fit).unwrap();
        let mut loaded = Module::load(module.runtime(), &prefix, 1).unwrap();
        let told = loaded.fit(&mut iter, Fit::epochs(2).optimizer(Sgd::new(0.1))).unwrap_err().to_string();
        assert!(told.contains("belong to operator sgd_mom_update, the optimizer now uses sgd_update"), "{told}");
    });
}

#[test]
fn misuse_is_told() {
    within(60, || {
        let rt = varflow::runtime(1).unwrap();
        let mut module = Module::new(&rt, network()).unwrap();
        let told = module.bind(&[("dta", [2, 3].into())]).unwrap_err().to_string();
        assert!(told.contains("dta"), "{told}");
        let mut iter = batches(&rt, 32, 16, 0);
        let told = module.score(&mut iter, &Metrics::default()).unwrap_err().to_string();
        assert!(told.contains("parameters have no values"), "{told}");
        let told = module.train_step(&iter.next().unwrap().unwrap()).unwrap_err().to_string();
        assert!(told.contains("before init_optimizer"), "{told}");
        module.init(&Xavier::default(), 0).unwrap();
        let told = module.bind(&[("data", [2, FEATURES + 1].into())]).unwrap_err().to_string();
        assert!(told.contains("fc1_weight has shape (16, 12), these inputs want (16, 13)"), "{told}");
        let Err(told) = Module::new(&rt, network()).unwrap().devices([cpu(0), cpu(1)]) else { panic!("accepted") };
        assert!(told.to_string().contains("cpu(0) only"), "{told}");
    });
}

#[test]
fn zoo_networks_have_mxnets_arguments() {
    let rt = varflow::runtime(1).unwrap();
    let args = |name: &str| {
        let graph = zoo::by_name(name).unwrap().symbol.resolve(&rt.registry).unwrap();
        graph.list_arguments().join(" ")
    };
    assert_eq!(args("mlp"), "data fc1_weight fc1_bias fc2_weight fc2_bias fc3_weight fc3_bias softmax_label");
    assert_eq!(
        args("lenet"),
        "data conv1_weight conv1_bias conv2_weight conv2_bias fc1_weight fc1_bias fc2_weight fc2_bias softmax_label"
    );
    assert!(zoo::by_name("nothing").unwrap_err().to_string().contains("mlp, lenet"));
}
