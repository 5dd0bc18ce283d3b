//! Training with iterators and optimizers by name.
#![allow(clippy::unwrap_used)]

mod support;

use support::{Folder, bytes, ok, pictures, refused, strs};
use varflow::io::{Array, write_npy};

/// Arguments of a short run of the network `mlp` on the folder's pictures, through `MNISTIter`.
fn on_iterator(folder: &Folder, more: &[&str]) -> Vec<String> {
    let param = |name: &str, file: &str| format!("{name}={}", folder.arg(&format!("data/{file}")));
    let (image, label) = (param("image", "train-images-idx3-ubyte"), param("label", "train-labels-idx1-ubyte"));
    let (eval_image, eval_label) = (param("image", "t10k-images-idx3-ubyte"), param("label", "t10k-labels-idx1-ubyte"));
    let first = ["train", "--network", "mlp", "--batch-size", "32", "--train-iter", "MNISTIter"];
    let train = ["--iter-param", &image, "--iter-param", &label, "--eval-iter", "MNISTIter"];
    let eval = ["--eval-param", &eval_image, "--eval-param", &eval_label];
    [&first[..], &train, &eval, more].concat().into_iter().map(String::from).collect()
}

#[test]
fn an_iterator_by_name_trains_as_the_data_set_does() {
    let folder = Folder::new();
    let (by_name, by_set) = (folder.arg("by_name"), folder.arg("by_set"));
    let more = ["--num-epochs", "2", "--lr", "0.05", "--seed", "5", "--model-prefix"];
    let ran = ok(&strs(&on_iterator(&folder, &[&more[..], &[&by_name]].concat())));
    assert!(ran.out.starts_with("training mlp on MNISTIter: 20 batches of 32, "), "{}", ran.out);
    assert!(ran.out.contains("validation accuracy "), "{}", ran.out);
    ok(&strs(&folder.train(&[&more[..], &[&by_set]].concat())));
    for end in ["0002.params", "0002.states"] {
        assert!(
            bytes(&folder.path(&format!("by_name-{end}"))) == bytes(&folder.path(&format!("by_set-{end}"))),
            "{end}"
        );
    }
}

#[test]
fn arrays_in_files_train_without_validation() {
    let folder = Folder::new();
    let (images, labels) = pictures(96, 4);
    let scaled = images.to_f32().into_iter().map(|v| v / 255.0).collect::<Vec<f32>>();
    write_npy(folder.path("x.npy"), &Array::new([96, 784], scaled).unwrap()).unwrap();
    write_npy(folder.path("y.npy"), &labels).unwrap();
    let (data, label) = (format!("data={}", folder.arg("x.npy")), format!("label={}", folder.arg("y.npy")));
    let args =
        ["train", "--network", "mlp", "--train-iter", "NDArrayIter", "--iter-param", &data, "--iter-param", &label];
    let log = folder.arg("log.jsonl");
    let more = ["--iter-param", "shuffle=True", "--iter-param", "batch_size=8", "--num-epochs", "1", "--json", &log];
    let ran = ok(&[&args[..], &more].concat());
    assert!(ran.out.contains("NDArrayIter: 12 batches of 8") && !ran.out.contains("validation"), "{}", ran.out);
    let line: serde_json::Value = serde_json::from_slice(&bytes(&folder.path("log.jsonl"))).unwrap();
    assert!(line["validation_accuracy"].is_null() && line["train_accuracy"].is_number(), "{line}");
}

#[test]
fn an_optimizer_by_name_is_what_its_options_say() {
    let folder = Folder::new();
    let (by_rule, by_option) = (folder.arg("by_rule"), folder.arg("by_option"));
    let more = ["--num-epochs", "1", "--lr", "0.05", "--wd", "0.001", "--model-prefix"];
    let rule = [&more[..], &[&by_rule, "--optimizer", "sgd_mom", "--opt-param", "momentum=0.7"]].concat();
    ok(&strs(&folder.train(&rule)));
    ok(&strs(&folder.train(&[&more[..], &[&by_option]].concat())));
    for end in ["0001.params", "0001.states"] {
        let name = |prefix: &str| bytes(&folder.path(&format!("{prefix}-{end}")));
        assert!(name("by_rule") == name("by_option"), "{end}");
    }
    let clipped = folder.arg("clipped");
    ok(&strs(&folder.train(&[&more[..], &[&clipped, "--opt-param", "clip_gradient=0.001"]].concat())));
    assert!(bytes(&folder.path("clipped-0001.params")) != bytes(&folder.path("by_rule-0001.params")));
}

#[test]
fn optimizers_that_cannot_be() {
    let folder = Folder::new();
    let refuse = |more: &[&str], texts: &[&str]| refused(&strs(&folder.train(more)), 2, texts);
    refuse(&["--optimizer", "magic"], &["\"magic\"", "sgd, sgd_mom"]);
    let unknown = ["optimizer \"sgd_mom\"", "unknown parameter \"beta\"", "clip_gradient", "momentum"];
    refuse(&["--opt-param", "beta=1"], &unknown);
    refuse(&["--opt-param", "clip_gradient=low"], &["clip_gradient", "\"low\"", "a number"]);
    refuse(&["--opt-param", "clip_gradient"], &["--opt-param", "wanted NAME=VALUE"]);
    refuse(&["--opt-param", "clip_gradient=1", "--opt-param", "clip_gradient=2"], &["clip_gradient", "given twice"]);
    refuse(&["--opt-param", "lr=1"], &["\"lr\" is set by training"]);
    refuse(&["--optimizer", "sgd_mom", "--mom", "0.5"], &["--mom", "--opt-param", "sgd_mom"]);
}

#[test]
fn iterators_that_cannot_be() {
    let folder = Folder::new();
    let refuse = |more: &[&str], code: i32, texts: &[&str]| {
        refused(&[&["train", "--network", "mlp", "--train-iter"], more].concat(), code, texts);
    };
    refuse(&["Magic"], 2, &["iterator \"Magic\"", "MNISTIter, NDArrayIter"]);
    refuse(&["MNISTIter", "--iter-param", "size=3"], 2, &["iterator \"MNISTIter\"", "\"size\"", "image, label"]);
    refuse(&["MNISTIter", "--iter-param", "shuffle=often"], 2, &["\"often\"", "True or False"]);
    refuse(&["NDArrayIter"], 2, &["parameter \"data\" is missing"]);
    let gone = folder.arg("gone");
    refuse(&["MNISTIter", "--iter-param", &format!("image={gone}")], 1, &["iterator \"MNISTIter\"", &gone]);
    refuse(&["MNISTIter", "--dataset", "mnist"], 2, &["--dataset", "--train-iter"]);
    refuse(&["MNISTIter", "--num-examples", "3"], 2, &["--num-examples", "--train-iter"]);
    refused(&["train", "--iter-param", "x=1", "--dataset", "mnist"], 2, &["--iter-param", "--dataset"]);
    refused(&["train", "--eval-iter", "MNISTIter", "--dataset", "mnist"], 2, &["--eval-iter", "--dataset"]);
}

#[test]
fn batches_that_do_not_fit_the_network_are_told_before_training() {
    let folder = Folder::new();
    write_npy(folder.path("x.npy"), &Array::new([6, 5], vec![0_f32; 30]).unwrap()).unwrap();
    write_npy(folder.path("y.npy"), &Array::new([6, 2], vec![0_f32; 12]).unwrap()).unwrap();
    let (data, label) = (format!("data={}", folder.arg("x.npy")), format!("label={}", folder.arg("y.npy")));
    let array = |name: &'static str| [name, "NDArrayIter"];
    let params = |flag: &'static str, more: &[&'static str]| {
        let all = [&data, &label].into_iter().cloned().chain(more.iter().map(ToString::to_string));
        all.flat_map(|param| [flag.to_string(), param]).collect::<Vec<String>>()
    };
    let train = |more: &[String]| {
        let first = ["train", "--network", "mlp", "--batch-size", "2"].into_iter().chain(array("--train-iter"));
        first.map(String::from).chain(more.iter().cloned()).collect::<Vec<String>>()
    };
    // Two labels a sample where the network wants one.
    let args = train(&params("--iter-param", &[]));
    refused(
        &strs(&args),
        1,
        &["the training batches (data (2, 5), softmax_label (2, 2)) do not fit the network", "softmax"],
    );
    // A name that the network does not have.
    let args = train(&params("--iter-param", &["data_name=pixels"]));
    refused(&strs(&args), 1, &["pixels (2, 5)", "do not fit the network"]);
    // Validation data of another width than those trained on.
    let eval = [array("--eval-iter").map(String::from).to_vec(), params("--eval-param", &[])].concat();
    let args = [on_iterator(&folder, &[])[..11].to_vec(), eval].concat();
    refused(&strs(&args), 1, &["the validation batches (data (32, 5), softmax_label (32, 2)) do not fit the network"]);
    // Too deep for a convolution.
    let mut args = train(&params("--iter-param", &[]));
    args[2] = "lenet".to_string();
    refused(&strs(&args), 1, &["the training batches", "conv1"]);
}
