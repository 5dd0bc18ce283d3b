//! `run`: arrays in, arrays out, and what does not fit told before anything runs.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use support::{Folder, ok, refused};
use varflow::io::{Array, read_npy, write_npy};
use varflow::prelude::*;
use varflow::symbol::{HostArray, json, params};

/// `data` · weightᵀ + bias with a softmax and its label behind, and the values of its parameters, with or without prefixes.
fn write_network(folder: &Folder, prefix: &str, more: &[(&str, HostArray)]) {
    let x = sym::fully_connected(sym::var("data")).num_hidden(2).name("fc");
    let net = sym::softmax_output(x).name("softmax").build();
    json::save(folder.path("net.json"), &net.resolve(&varflow::registry().unwrap()).unwrap()).unwrap();
    let weight = HostArray::from_slice([2, 3], &[1.0_f32, 0.0, 0.0, 0.0, 1.0, 1.0]).unwrap();
    let bias = HostArray::from_slice([2], &[0.5_f32, 0.0]).unwrap();
    let mut arrays = vec![(format!("{prefix}fc_weight"), weight), (format!("{prefix}fc_bias"), bias)];
    arrays.extend(more.iter().map(|(name, array)| ((*name).to_string(), array.clone())));
    params::save(folder.path("net.params"), &arrays).unwrap();
}

fn args<'a>(folder: &Folder, more: &[&'a str]) -> Vec<String> {
    let (symbol, params) = (folder.arg("net.json"), folder.arg("net.params"));
    let first = ["run", "--symbol", &symbol, "--params", &params].map(String::from);
    first.into_iter().chain(more.iter().map(|a: &&'a str| (*a).to_string())).collect()
}

fn write(path: &Path, array: &Array) {
    write_npy(path, array).unwrap();
}

#[test]
fn outputs_and_internal_outputs() {
    let folder = Folder::new();
    write(&folder.path("x.npy"), &Array::new([1, 3], vec![1.5_f32, 1.0, 1.0]).unwrap());
    let (input, y) = (format!("data={}", folder.arg("x.npy")), folder.arg("y.npy"));
    for prefix in ["arg:", ""] {
        write_network(&folder, prefix, &[]);
        ok(&support::strs(&args(&folder, &["--input", &input, "--output", &y])));
        assert_eq!(read_npy(&y).unwrap(), Array::new([1, 2], vec![0.5_f32, 0.5]).unwrap());
    }
    for name in ["fc", "fc_output"] {
        ok(&support::strs(&args(&folder, &["--input", &input, "--internal", name, "--output", &y])));
        assert_eq!(read_npy(&y).unwrap(), Array::new([1, 2], vec![2.0_f32, 2.0]).unwrap());
    }
    let pattern = folder.arg("out-{}.npy");
    let both = ["--input", &input, "--internal", "fc", "--internal", "softmax", "--output"];
    ok(&support::strs(&args(&folder, &[&both[..], &[&pattern]].concat())));
    assert!(folder.path("out-fc_output.npy").exists() && folder.path("out-softmax_output.npy").exists());
    let named = format!("softmax={}", folder.arg("named.npy"));
    ok(&support::strs(&args(&folder, &[&both[..], &[&named]].concat())));
    assert_eq!(read_npy(folder.path("named.npy")).unwrap().shape().dims(), [1, 2]);
    let listed = ok(&support::strs(&args(&folder, &["--list"]))).out;
    assert_eq!(listed, "input data\nlabel softmax_label\noutput softmax_output\n");
}

#[test]
fn what_does_not_fit() {
    let folder = Folder::new();
    write_network(&folder, "arg:", &[]);
    let refuse = |more: &[&str], code: i32, texts: &[&str]| refused(&support::strs(&args(&folder, more)), code, texts);
    let npy = |name: &str, array: Array| {
        write(&folder.path(name), &array);
        format!("data={}", folder.arg(name))
    };
    let good = npy("x.npy", Array::new([1, 3], vec![0_f32; 3]).unwrap());
    let wide = npy("wide.npy", Array::new([1, 4], vec![0_f32; 4]).unwrap());
    let double = npy("double.npy", Array::new([1, 3], vec![0_f64; 3]).unwrap());
    let y = folder.arg("y.npy");
    refuse(&["--input", &wide, "--output", &y], 1, &["net.params and inputs data float32 (1, 4)", "\"fc\"", "(2, 3)"]);
    refuse(&["--input", &double, "--output", &y], 1, &["data float64 (1, 3)", "\"fc\"", "float32"]);
    refuse(&["--output", &y], 1, &["nothing gives data", "--input NAME=FILE"]);
    refuse(&["--input", &good], 2, &["--output"]);
    refuse(&["--input", &good, "--input", &good, "--output", &y], 2, &["--input data is given twice"]);
    refuse(&["--input", "dta=x.npy", "--output", &y], 2, &["no variable dta", "data, fc_weight"]);
    refuse(&["--input", &good, "--output", "z=y.npy"], 2, &["no output z", "softmax_output"]);
    refuse(&["--input", &good, "--internal", "gc", "--output", &y], 2, &["--internal gc", "fc_output"]);
    let two = ["--input", &good, "--internal", "fc", "--internal", "softmax", "--output", &y];
    refuse(&two, 2, &["there are 2 outputs", "fc_output, softmax_output"]);
    refuse(&["--input", "data=/no/such.npy", "--output", &y], 1, &["/no/such.npy"]);
    assert!(!folder.path("y.npy").exists());
}

#[test]
fn more_parameters_than_the_network_has() {
    let folder = Folder::new();
    write_network(&folder, "arg:", &[("aux:bn_mean", HostArray::from_slice([1], &[0.0_f32]).unwrap())]);
    write(&folder.path("x.npy"), &Array::new([1, 3], vec![0_f32; 3]).unwrap());
    let (input, y) = (format!("data={}", folder.arg("x.npy")), folder.arg("y.npy"));
    let ran = ok(&support::strs(&args(&folder, &["--input", &input, "--output", &y])));
    assert!(ran.err.contains("warning") && ran.err.contains("bn_mean"), "{}", ran.err);
}

/// Names in a symbol file are no paths.
#[test]
fn outputs_stay_in_the_folder_of_their_pattern() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("out")).unwrap();
    let net = sym::relu(sym::var("data")).name("../evil").build();
    json::save(folder.path("net.json"), &net.resolve(&varflow::registry().unwrap()).unwrap()).unwrap();
    write(&folder.path("x.npy"), &Array::new([1], vec![1.0_f32]).unwrap());
    let (symbol, input, pattern) =
        (folder.arg("net.json"), format!("data={}", folder.arg("x.npy")), folder.arg("out/{}.npy"));
    ok(&["run", "--symbol", &symbol, "--input", &input, "--output", &pattern]);
    assert!(folder.path("out/.._evil_output.npy").exists() && !folder.path("evil_output.npy").exists());
}

#[test]
fn outputs_are_written_all_or_none() {
    let folder = Folder::new();
    write_network(&folder, "arg:", &[]);
    write(&folder.path("x.npy"), &Array::new([1, 3], vec![0_f32; 3]).unwrap());
    let input = format!("data={}", folder.arg("x.npy"));
    let run = |outputs: [&str; 2]| {
        let [first, second] = outputs.map(|o| folder.arg(o));
        let (first, second) = (format!("fc={first}"), format!("softmax={second}"));
        let of =
            ["--input", &input, "--internal", "fc", "--internal", "softmax", "--output", &first, "--output", &second];
        args(&folder, &of)
    };
    let same = ["outputs fc_output and softmax_output both go to"];
    refused(&support::strs(&run(["y.npy", "y.npy"])), 2, &same);
    refused(&support::strs(&run(["y.npy", "./y.npy"])), 2, &same);
    std::fs::create_dir(folder.path("folder")).unwrap();
    refused(&support::strs(&run(["y.npy", "folder"])), 1, &["folder", "not a regular file"]);
    assert!(!folder.path("y.npy").exists());
    ok(&support::strs(&run(["y.npy", "z.npy"])));
    assert!(folder.path("y.npy").exists() && folder.path("z.npy").exists());
}
