//! The commands that look into things.
#![allow(clippy::unwrap_used)]

mod support;

use std::process::Stdio;
use support::{finish, ok, run, varflow};

#[test]
fn the_plan_is_near_its_lower_bound() {
    for network in ["mlp", "lenet"] {
        let out = ok(&["plan", "--network", network, "--batch-size", "64", "--json"]).out;
        let lines: Vec<serde_json::Value> = out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(lines.iter().map(|l| l["mode"].as_str().unwrap()).collect::<Vec<_>>(), ["training", "inference"]);
        for line in lines {
            assert_eq!((line["network"].as_str().unwrap(), line["batch_size"].as_u64().unwrap()), (network, 64));
            let bytes = ["naive_bytes", "planned_bytes", "lower_bound_bytes"].map(|key| line[key].as_f64().unwrap());
            assert!(bytes[0] >= bytes[1] && bytes[1] >= bytes[2] && bytes[2] > 0.0, "{line}");
            assert!(bytes[1] <= 1.1 * bytes[2], "{line}");
        }
    }
    let table = ok(&["plan", "--network", "lenet"]).out;
    assert!(table.contains("training") && table.contains("lower bound"), "{table}");
}

#[test]
fn the_summary_counts_parameters() {
    let out = ok(&["summary", "--network", "lenet"]).out;
    // 520 + 25,050 + 400,500 + 5,010.
    assert!(out.contains("conv2") && out.replace(',', "").contains("431080"), "{out}");
}

#[test]
fn networks_are_listed_and_told_in_full_or_in_short() {
    let list = ok(&["networks"]).out;
    assert!(list.lines().any(|l| l.starts_with("resnet-50 ") && l.contains("(3, 224, 224)")), "{list}");
    let lines = ok(&["networks", "--json"]).out;
    let lines: Vec<serde_json::Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len() + 1, list.lines().count());
    let full = lines.iter().find(|l| l["name"] == "inception-bn-full").unwrap();
    assert_eq!((&full["num_classes"], &full["data_shape"]), (&21_841.into(), &serde_json::json!([3, 224, 224])));
    let short = ok(&["summary", "--network", "resnet-v1-50"]).out;
    let long = ["summary", "--network", "resnet-v1", "--num-layers", "50", "--image-shape", "3,224,224"];
    assert_eq!(short, ok(&[&long[..], &["--num-classes", "1000"]].concat()).out);
    assert!(short.contains("Total params: 25557032\n") && short.contains("GFLOPs"), "{short}");
}

#[test]
fn shapes_are_those_of_the_file_or_of_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("net.json").display().to_string();
    let write = |data: &str, of: &str| {
        let node = r#""op":"FullyConnected","name":"fc","attrs":{"num_hidden":"4","no_bias":"True"}"#;
        let text = format!(
            r#"{{"nodes":[{{"op":"null","name":"{data}","inputs":[],"attrs":{of}}},{{"op":"null","name":"w","inputs":[]}},
            {{{node},"inputs":[[0,0],[1,0]]}}],"arg_nodes":[0,1],"heads":[[2,0]]}}"#
        );
        std::fs::write(&file, text).unwrap();
    };
    let summary = |more: &[&str]| ok(&[&["summary", "--network", &file], more].concat()).out;
    write("data", r#"{"__shape__":"(2, 3)"}"#);
    assert!(summary(&[]).contains("data (null)          (2, 3)"), "{}", summary(&[]));
    write("data", r#"{"__shape__":"(0, 3)"}"#);
    assert!(summary(&["--batch-size", "5"]).contains("(5, 3)") && summary(&[]).contains("(1, 3)"));
    write("data", "{}");
    assert!(summary(&["--data-shape", "7", "--batch-size", "2"]).contains("(2, 7)"));
    assert!(summary(&["--input-shape", "data=6,7"]).contains("(6, 4)"));
    write("left", "{}");
    assert!(summary(&["--input-shape", "left=6,7"]).contains("left (null)"));
    assert!(ok(&["plan", "--network", &file, "--input-shape", "left=6,7"]).out.contains("batches of 6"));
    let flat = ok(&["summary", "--network", "mlp", "--data-shape", "100"]).out;
    assert!(flat.contains("(1, 100)"), "{flat}");
}

#[test]
fn without_a_command_there_is_help() {
    let ran = run(&[]);
    assert!(ran.code == 2 && ran.out.is_empty(), "{}", ran.out);
    assert!(ran.err.lines().any(|line| line.trim_start().starts_with("summary ")), "{}", ran.err);
}

#[test]
fn operators_are_listed_and_shown() {
    let list = ok(&["ops", "list"]).out;
    assert!(list.lines().any(|l| l.starts_with("Convolution ")) && !list.contains("_backward_"), "{list}");
    assert!(ok(&["ops", "list", "--all"]).out.contains("_backward_Convolution"));
    let shown = ok(&["ops", "show", "Convolution"]).out;
    for text in ["data, weight, bias", "num_filter (integer, must be given)", "cpu (by "] {
        assert!(shown.contains(text), "no \"{text}\" in: {shown}");
    }
    for text in ["in place     none", "gradient     yes", "provider     builtin"] {
        assert!(shown.contains(text), "no \"{text}\" in: {shown}");
    }
    let relu = ok(&["ops", "show", "Activation"]).out;
    assert!(relu.contains("in place     data → output"), "{relu}");
    assert!(ok(&["ops", "show", "sgd_update"]).out.contains("gradient     no"));
}

#[test]
fn everything_that_is_listed_is_shown() {
    for sort in ["operators", "iterators", "reductions", "optimizers"] {
        let list = ok(&["ops", "list", "--all", "--kind", sort]).out;
        let mut names: Vec<_> = list.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
        assert!(!names.is_empty());
        if sort == "operators" {
            // Each is a process: one of ten will do.
            names = names.into_iter().step_by(10).collect();
        }
        for name in names {
            let shown = ok(&["ops", "show", name]).out;
            assert!(shown.contains(&format!("({})", sort.trim_end_matches('s'))), "{shown}");
        }
    }
    let iterator = ok(&["ops", "show", "MNISTIter"]).out;
    assert!(
        iterator.contains("provider     io") && iterator.contains("batch_size (integer, default 128)"),
        "{iterator}"
    );
    let optimizer = ok(&["ops", "show", "sgd_mom"]).out;
    assert!(optimizer.contains("operator     sgd_mom_update") && optimizer.contains("momentum (number"), "{optimizer}");
    assert!(!optimizer.contains("  lr ("), "{optimizer}");
    assert!(ok(&["ops", "show", "local"]).out.contains("(reduction)"));
}

#[test]
fn help_and_doctor_tell_what_there_is() {
    for args in [&["--help"][..], &["train", "--help"], &["data", "fetch", "--help"], &["predict", "--help"]] {
        let ran = ok(args);
        assert!(ran.out.contains("Usage: varflow") && ran.err.is_empty(), "{}", ran.out);
    }
    let mut doctor = varflow(&["doctor"]);
    let ran = finish(doctor.env("VARFLOW_CACHE", "/somewhere/else").spawn().unwrap());
    assert_eq!(ran.code, 0);
    for text in [env!("CARGO_PKG_VERSION"), "cores", "gpus", "VARFLOW_CACHE", "/somewhere/else", "plug-ins   none"] {
        assert!(ran.out.contains(text), "no \"{text}\" in: {}", ran.out);
    }
}

#[test]
fn doctor_tells_of_plugins_that_cannot_be_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("libtext.so");
    std::fs::write(&file, "text").unwrap();
    let mut doctor = varflow(&["doctor", "--plugin", "/gone.so"]);
    let ran = finish(doctor.env("VARFLOW_PLUGIN_PATH", folder.path()).spawn().unwrap());
    assert_eq!(ran.code, 0, "{}", ran.err);
    for text in ["/gone.so", "No such file", &file.display().to_string(), "VARFLOW_PLUGIN_PATH"] {
        assert!(ran.out.contains(text), "no \"{text}\" in: {}", ran.out);
    }
    let mut doctor = varflow(&["doctor"]);
    let ran = finish(doctor.env("VARFLOW_PLUGIN_PATH", "/not/there").spawn().unwrap());
    assert!(ran.code == 0 && ran.out.contains("VARFLOW_PLUGIN_PATH names /not/there"), "{}", ran.out);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = varflow(&["ops", "list"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ran = finish(child);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
}
