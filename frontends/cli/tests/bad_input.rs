//! Whatever is wrong with what the command is given: one paragraph that names the thing, and the right exit status.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use support::{Folder, bytes, finish, ok, refused, run, strs, varflow};

fn train_refused(folder: &Folder, more: &[&str], code: i32, texts: &[&str]) {
    refused(&strs(&folder.train(more)), code, texts);
}

#[test]
fn damaged_data_files() {
    let folder = Folder::new();
    let images = folder.path("data/train-images-idx3-ubyte");
    let labels = folder.path("data/train-labels-idx1-ubyte");
    let good = (bytes(&images), bytes(&labels));

    fs::write(&images, &good.0[..1000]).unwrap();
    train_refused(&folder, &[], 1, &["train-images-idx3-ubyte", "byte 1000", "end of the file"]);
    fs::write(&images, [&[1, 2, 3, 4], &good.0[4..]].concat()).unwrap();
    train_refused(&folder, &[], 1, &["train-images-idx3-ubyte", "byte 0"]);
    fs::write(&images, &good.0).unwrap();

    let mut bad = good.1.clone();
    bad[8 + 17] = 10;
    fs::write(&labels, &bad).unwrap();
    train_refused(&folder, &[], 1, &["train-labels-idx1-ubyte", "label 10", "sample 17", "0 to 9"]);
    fs::remove_file(&labels).unwrap();
    train_refused(&folder, &[], 1, &["there is no file train-labels-idx1-ubyte"]);
}

#[test]
fn unknown_names() {
    let folder = Folder::new();
    train_refused(&folder, &["--network", "vgh"], 2, &["vgh", "mlp, lenet", "--help"]);
    train_refused(&folder, &["--network", "vgg"], 2, &["vgg", "--num-layers is missing: wanted 11, 13, 16 or 19"]);
    refused(&["train", "--dataset", "cifar"], 2, &["cifar", "fashion-mnist, mnist"]);
    refused(&["train"], 2, &["--dataset"]);
    refused(&["trian"], 2, &["trian", "train"]);
    refused(&["plan", "--network", "lenet", "--batch-size", "0"], 2, &["--batch-size", "0"]);
    refused(
        &["plan", "--network", "lenet", "--image-shape", "1", "--image-shape", "28,28"],
        2,
        &["--image-shape", "times"],
    );
    refused(&["summary", "--network", "mlp", "--data-shape", "1,784"], 2, &["2 numbers", "or one number"]);
    refused(&["summary", "--network", "resnet-50", "--num-layers", "18"], 2, &["--num-layers 18", "resnet-50"]);
    refused(
        &["summary", "--network", "lstm-lm", "--seq-len", "100000"],
        2,
        &["--num-layers is 2", "product", "100000"],
    );
    refused(&["score", "--model-prefix", "p", "--epoch", "0"], 2, &["--dataset or IMAGES LABELS"]);
    refused(&["predict", "--model-prefix", "p", "--epoch", "0"], 2, &["FILES or --dataset"]);
    train_refused(&folder, &["--cpus", "1025"], 2, &["--cpus", "0 to 1024"]);
    train_refused(&folder, &["--lr", "fast"], 2, &["fast", "--lr", "a number of at least 0"]);
    train_refused(&folder, &["--lr-factor", "2"], 2, &["--lr-factor", "above 0 and at most 1"]);
    train_refused(&folder, &["--optimizer", "magic"], 2, &["magic", "sgd"]);
    train_refused(&folder, &["--load-epoch", "1"], 2, &["--model-prefix"]);
    refused(&["ops", "show", "Convolutoin"], 1, &["Convolutoin", "Convolution"]);
}

#[test]
fn plugins() {
    refused(&["ops", "list", "--plugin", "/gone/libx.so"], 1, &["/gone/libx.so", "No such file"]);
    let folder = Folder::new();
    fs::write(folder.path("libtext.so"), "text").unwrap();
    let file = folder.arg("libtext.so");
    train_refused(&folder, &["--plugin", &file], 1, &["libtext.so"]);
    let mut list = varflow(&["ops", "list"]);
    let ran = finish(list.env("VARFLOW_PLUGIN_PATH", "/not/there").spawn().unwrap());
    assert_eq!(ran.code, 1);
    assert!(ran.err.starts_with("varflow: VARFLOW_PLUGIN_PATH names /not/there: No such file"), "{}", ran.err);
}

#[test]
fn symbol_files() {
    let folder = Folder::new();
    let net = |text: &str| {
        fs::write(folder.path("net.json"), text).unwrap();
        folder.arg("net.json")
    };
    let one_op = |op: &str, attrs: &str| {
        format!(
            r#"{{"nodes":[{{"op":"null","name":"data","inputs":[]}},
            {{"op":"{op}","name":"x","attrs":{attrs},"inputs":[[0,0,0]]}}],"arg_nodes":[0],"heads":[[1,0,0]]}}"#
        )
    };
    let summary = |text: &str, texts: &[&str]| refused(&["summary", "--network", &net(text)], 1, texts);
    summary("{", &["net.json"]);
    summary(&one_op("Magic", "{}"), &["\"x\"", "\"Magic\""]);
    let magic = |name: &str| format!(r#"{{"op":"Magic","name":"{name}","inputs":[[0,0,0]]}}"#);
    let two = format!(
        r#"{{"nodes":[{{"op":"null","name":"data","inputs":[]}},{},{},{{"op":"Spell","name":"z","inputs":[[1,0,0],[2,0,0]]}}],
        "arg_nodes":[0],"heads":[[3,0,0]]}}"#,
        magic("x"),
        magic("y"),
    );
    summary(&two, &["Magic \"x\", Spell \"z\"; ", "VARFLOW_PLUGIN_PATH is not set"]);
    let variable = |arg, heads| {
        format!(r#"{{"nodes":[{{"op":"null","name":"x","inputs":[]}}],"arg_nodes":[{arg}],"heads":{heads}}}"#)
    };
    summary(&variable("999", "[[0,0]]"), &["\"arg_nodes\" has 999", "0 to before 1"]);
    summary(&variable("0", "[]"), &["\"heads\" is an empty list"]);
    summary(&one_op("Fl\\u001bnn", "{}"), &["Fl\\u001bnn"]);
    summary(&one_op("Flatten", r#"{"axis":"1"}"#), &["Flatten \"x\"", "unknown parameter \"axis\""]);
    let huge = net(&one_op("Convolution", r#"{"kernel":"(29, 29)","num_filter":"1","no_bias":"True"}"#));
    refused(&["summary", "--network", &huge], 2, &["data (1, ?, ?, ?)", "--data-shape", "--input-shape NAME=EXTENTS"]);
    let small = ["summary", "--network", &huge, "--data-shape", "1,28,28"];
    refused(&small, 1, &["Convolution \"x\"", "window of 29", "28"]);
    let missing = folder.arg("missing.json");
    refused(&["summary", "--network", &missing], 1, &["missing.json"]);
}

#[test]
fn checkpoints() {
    let folder = Folder::new();
    let prefix = folder.arg("net");
    ok(&strs(&folder.train(&["--num-epochs", "1", "--model-prefix", &prefix])));
    // Of another network.
    let args =
        ["train", "--dataset", "mnist", "--network", "lenet", "--data-dir", &folder.arg("data"), "--model-prefix"];
    let other = [&args[..], &[&prefix, "--load-epoch", "1"]].concat();
    refused(&other, 1, &["net-0001.params", "arg:fc1_weight has shape (128, 784)", "(500, 800)"]);
    // For pictures of another size.
    let wide = varflow::io::Array::new([32, 32], vec![0_u8; 1024]).unwrap();
    varflow::io::write_npy(folder.path("wide.npy"), &wide).unwrap();
    let predict = |file: &str| ["predict", "--model-prefix", &prefix, "--epoch", "1", file].map(String::from);
    let texts = ["wide.npy", "(1, 1, 32, 32)", "arg:fc1_weight", "(128, 784)", "(128, 1024)"];
    refused(&strs(&predict(&folder.arg("wide.npy"))), 1, &texts);
    fs::write(folder.path("note.txt"), "hello").unwrap();
    refused(&strs(&predict(&folder.arg("note.txt"))), 1, &["note.txt", "idx", ".npy"]);
    refused(&strs(&predict(&folder.arg("none.png"))), 1, &["none.png"]);
    // Missing and damaged.
    let score = |epoch: &str| {
        let data = folder.arg("data");
        let args = ["score", "--dataset", "mnist", "--data-dir", &data, "--model-prefix", &prefix, "--epoch", epoch];
        args.map(String::from)
    };
    refused(&strs(&score("7")), 1, &["net-0007.params"]);
    let params = folder.path("net-0001.params");
    let good = bytes(&params);
    fs::write(&params, &good[..good.len() / 2]).unwrap();
    refused(&strs(&score("1")), 1, &["net-0001.params", "byte"]);
    fs::write(&params, &good).unwrap();
    let resume = ["--num-epochs", "2", "--model-prefix", &prefix, "--load-epoch", "1"];
    train_refused(&folder, &[&resume[..], &["--mom", "0"]].concat(), 1, &["sgd_update", "sgd_mom_update"]);
    fs::write(folder.path("net-0001.states"), b"\x80\x02}q\x00.").unwrap();
    train_refused(&folder, &resume, 1, &["net-0001.states", "pickle", "move it away"]);
    fs::write(folder.path("net-0001.states"), "junk").unwrap();
    train_refused(&folder, &resume, 1, &["net-0001.states", "no file of optimizer states"]);
}

#[test]
fn places_that_cannot_be_written() {
    let folder = Folder::new();
    fs::write(folder.path("file"), "x").unwrap();
    train_refused(&folder, &["--model-prefix", &folder.arg("file/net")], 1, &["folder", "/file", "of checkpoints"]);
    train_refused(&folder, &["--json", &folder.arg("none/log")], 1, &["none/log"]);
    if cfg!(target_os = "linux") {
        let ran = run(&strs(&folder.train(&["--num-epochs", "1", "--json", "/dev/full"])));
        assert_eq!(ran.code, 1);
        assert!(ran.err.contains("cannot write /dev/full: No space left"), "{}", ran.err);
    }
}
