//! The commands that look into things.
#![allow(clippy::unwrap_used)]

mod support;

use std::process::Stdio;
use support::{finish, ok, varflow};

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
            assert_eq!(line.as_object().unwrap().len(), 6);
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
fn operators_are_listed_and_shown() {
    let list = ok(&["ops", "list"]).out;
    assert!(list.lines().any(|l| l.starts_with("Convolution ")) && !list.contains("_backward_"), "{list}");
    assert!(ok(&["ops", "list", "--all"]).out.contains("_backward_Convolution"));
    let shown = ok(&["ops", "show", "Convolution"]).out;
    for text in ["data, weight, bias", "num_filter (integer, must be given)", "cpu (by "] {
        assert!(shown.contains(text), "no \"{text}\" in: {shown}");
    }
    for line in ok(&["ops", "list", "--all"]).out.lines() {
        ok(&["ops", "show", line.split_whitespace().next().unwrap()]);
    }
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
    for text in [env!("CARGO_PKG_VERSION"), "cores", "gpus", "VARFLOW_CACHE", "/somewhere/else"] {
        assert!(ran.out.contains(text), "no \"{text}\" in: {}", ran.out);
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = varflow(&["ops", "list"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ran = finish(child);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
}
