//! `varflow plan`.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::Value;
use std::collections::BTreeSet;
use support::{Folder, ok, refused, strs};

/// The objects that the command prints.
fn objects(args: &[&str]) -> Vec<Value> {
    let out = ok(&[&["plan", "--json"], args].concat()).out;
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The object of the plan for training.
fn training(args: &[&str]) -> Value {
    let mut objects = objects(&[&["--training"], args].concat());
    assert_eq!(objects.len(), 1);
    objects.remove(0)
}

fn bytes(object: &Value, key: &str) -> u64 {
    object[key].as_u64().unwrap_or_else(|| panic!("no {key} in {object}"))
}

/// All that a memory budget counts.
fn total(object: &Value) -> u64 {
    let keys = ["planned", "parameter", "gradient", "auxiliary", "optimizer", "constant", "data", "output"];
    keys.iter().map(|key| bytes(object, &format!("{key}_bytes"))).sum()
}

const RESNET: [&str; 4] = ["--network", "resnet-20", "--batch-size", "32"];

#[test]
fn an_object_accounts_for_every_byte() {
    let lines = objects(&["--network", "lenet", "--batch-size", "64"]);
    assert_eq!(lines.iter().map(|l| l["mode"].as_str().unwrap()).collect::<Vec<_>>(), ["training", "inference"]);
    let wanted = "network batch_size mode naive_bytes planned_bytes lower_bound_bytes workspace_bytes parameter_bytes \
                  gradient_bytes auxiliary_bytes optimizer_bytes constant_bytes data_bytes output_bytes extra_flops_ratio \
                  extra_time_ratio peak edges";
    let wanted: BTreeSet<&str> = wanted.split_whitespace().collect();
    for line in &lines {
        let keys: BTreeSet<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, wanted);
        // 520 + 25,050 + 400,500 + 5,010 parameters; pictures of 28 by 28 and labels; 10 classes.
        assert_eq!(bytes(line, "parameter_bytes"), 4 * 431_080);
        assert_eq!(bytes(line, "data_bytes"), 4 * 64 * (28 * 28 + 1));
        assert_eq!(bytes(line, "output_bytes"), 4 * 64 * 10);
        assert_eq!((bytes(line, "auxiliary_bytes"), line["extra_time_ratio"].as_f64()), (0, Some(0.0)));
        let alive = line["peak"]["alive"].as_array().unwrap();
        assert_eq!(alive.iter().map(|held| bytes(held, "bytes")).sum::<u64>(), bytes(line, "lower_bound_bytes"));
        assert!(alive.iter().all(|held| !held["name"].as_str().unwrap().is_empty()), "{line}");
        assert!(bytes(&line["edges"], "added") >= bytes(&line["edges"], "beyond_data"), "{line}");
    }
    let of = |key: &str| lines.iter().map(|line| bytes(line, key)).collect::<Vec<_>>();
    assert_eq!(of("gradient_bytes"), [4 * 431_080, 0]);
    assert_eq!(of("optimizer_bytes"), [4 * 431_080, 0]);
}

#[test]
fn an_optimizer_keeps_its_states_for_each_parameter() {
    for (options, states) in [(&["--momentum", "0"][..], 0), (&["--mom", "0.9"], 1), (&[], 1)] {
        let plan = training(&[&["--network", "mlp"], options].concat());
        assert_eq!(bytes(&plan, "optimizer_bytes"), states * bytes(&plan, "parameter_bytes"), "{options:?}");
    }
    refused(&["plan", "--network", "mlp", "--optimizer", "sdg"], 2, &["sdg", "sgd_mom"]);
}

#[test]
fn recomputation_takes_less_memory_and_some_time() {
    let (plain, cheap) = (training(&RESNET), training(&[&RESNET[..], &["--recompute", "cheap"]].concat()));
    assert!(10 * bytes(&cheap, "planned_bytes") < 7 * bytes(&plain, "planned_bytes"), "{cheap}");
    let extra = cheap["extra_time_ratio"].as_f64().unwrap();
    assert!(extra > 0.0 && extra < 0.2, "{cheap}");
    let compared = ok(&[&["plan", "--compare", "--recompute", "cheap"], &RESNET[..]].concat()).out;
    let planned = |plan: &Value| bytes(plan, "planned_bytes").to_string();
    let row = compared.lines().find(|line| line.starts_with("intermediates, planned")).unwrap();
    assert!(row.contains(&planned(&plain)) && row.contains(&planned(&cheap)), "{compared}");
    let ratio: f64 = row.split_whitespace().last().unwrap().parse().unwrap();
    assert!(ratio > 0.0 && ratio < 0.7, "{row}");
    for text in ["training:", "inference:", "by default", "extra time, predicted", "beyond what data says"] {
        assert!(compared.contains(text), "no \"{text}\" in: {compared}");
    }
}

#[test]
fn a_budget_is_kept_to_or_refused_with_the_smallest() {
    let budget = |size: &str| training(&[&RESNET[..], &["--memory-budget", size]].concat());
    let plan = budget("20MiB");
    assert!(total(&plan) <= 20 << 20 && plan["extra_flops_ratio"].as_f64().unwrap() > 0.0, "{plan}");
    let args = [&["plan", "--memory-budget", "1KiB"], &RESNET[..]].concat();
    refused(&args, 1, &["training: memory_budget is 1024 bytes, wanted at least "]);
    let err = support::run(&args).err;
    let smallest = err.split("wanted at least ").nth(1).unwrap().split(':').next().unwrap();
    assert_eq!(total(&budget(&format!("{smallest}B"))).to_string(), smallest);
}

#[test]
fn nothing_waits_needlessly_in_the_most_concurrent_plan() {
    const BRANCHES: [&str; 4] = ["--network", "inception-bn-28-small", "--batch-size", "32"];
    let plan = |distance: &str| training(&[&BRANCHES[..], &["--reuse-distance", distance]].concat());
    let waits = |plan: &Value| bytes(&plan["edges"], "beyond_data");
    let (smallest, near, most) = (plan("0"), plan("5"), plan("max"));
    assert!(waits(&smallest) >= waits(&near) && waits(&near) >= waits(&most), "{smallest} {near} {most}");
    assert!(waits(&smallest) > 0 && waits(&most) == 0, "{smallest} {most}");
    assert!(bytes(&smallest, "planned_bytes") < bytes(&most, "planned_bytes"));
    let told = |distance: &str| {
        ok(&[&["plan", "--training", "--edges", "--reuse-distance", distance], &BRANCHES[..]].concat()).out
    };
    let smallest_told = told("0");
    let lines = smallest_told.lines().filter(|line| line.starts_with("  ") && line.contains(" waits for ")).count();
    assert_eq!(lines as u64, waits(&smallest), "{smallest_told}");
    assert!(told("max").contains("training: nothing waits for what it does not need"));
    refused(
        &["plan", "--network", "mlp", "--reuse-distance", "far"],
        2,
        &["\"far\", wanted a number of steps, or max"],
    );
}

#[test]
fn the_options_of_inference_and_of_passes_are_heard() {
    let inference = |more: &[&str]| {
        let mut plans = objects(&[&RESNET[..], &["--inference"], more].concat());
        assert_eq!((plans.len(), plans[0]["mode"].as_str()), (1, Some("inference")));
        bytes(&plans.remove(0), "planned_bytes")
    };
    let (eight, all) = (inference(&["--samples-at-a-time", "8"]), inference(&["--samples-at-a-time", "32"]));
    assert!(eight < all && all < inference(&["--passes", "none"]));
}

#[test]
fn planning_takes_none_of_the_memory_that_is_planned() {
    // Terabytes.
    let plan = training(&["--network", "vgg-16", "--batch-size", "100000"]);
    assert!(bytes(&plan, "planned_bytes") > 1 << 41, "{plan}");
    refused(&["plan", "--network", "resnet-152", "--batch-size", "4294967295"], 1, &["more than any memory"]);
}

#[test]
fn a_picture_is_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("arena.svg").display().to_string();
    let out = ok(&["plan", "--network", "lenet", "--batch-size", "64", "--svg", &file]).out;
    assert!(out.contains("peak of training: ") && out.contains("peak of inference: "), "{out}");
    let svg = std::fs::read_to_string(&file).unwrap();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
    for text in
        ["forward →", "backward →", "lenet, batches of 64, training", "arena 6.33 MiB", "lower bound ", "peak: "]
    {
        assert!(svg.contains(text), "no \"{text}\" in: {svg}");
    }
    for text in ["execution order (", "Convolution</text>", "conv1_output → tanh1_output&#10;", " MiB</text>"] {
        assert!(svg.contains(text), "no \"{text}\" in: {svg}");
    }
    ok(&["plan", "--network", "lenet", "--inference", "--svg", &file]);
    let svg = std::fs::read_to_string(&file).unwrap();
    assert!(svg.contains("lenet, batches of 1, inference") && !svg.contains("backward →"), "{svg}");
    let nowhere = folder.path().join("none/arena.svg").display().to_string();
    refused(&["plan", "--network", "lenet", "--svg", &nowhere], 1, &["cannot write", &nowhere]);
}

#[test]
fn a_network_without_intermediate_results_has_an_empty_arena() {
    let folder = tempfile::tempdir().unwrap();
    let (net, svg) = (folder.path().join("net.json"), folder.path().join("arena.svg").display().to_string());
    let node = r#""op":"FullyConnected","name":"f<c","attrs":{"num_hidden":"4","no_bias":"True"}"#;
    let text = format!(
        r#"{{"nodes":[{{"op":"null","name":"data","inputs":[]}},{{"op":"null","name":"w","inputs":[]}},
        {{{node},"inputs":[[0,0],[1,0]]}}],"arg_nodes":[0,1],"heads":[[2,0]]}}"#
    );
    std::fs::write(&net, text).unwrap();
    let net = net.display().to_string();
    let args = ["--network", &net, "--input-shape", "data=2,3", "--inference", "--svg", &svg];
    let plan = objects(&args).remove(0);
    assert_eq!((bytes(&plan, "naive_bytes"), plan["peak"].is_null()), (0, true));
    let svg = std::fs::read_to_string(&svg).unwrap();
    assert!(svg.contains("nothing is alive") && svg.contains("f&lt;c") && !svg.contains("NaN"), "{svg}");
}

#[test]
fn wrong_options_are_usage_errors() {
    let plan = |more: &[&str], texts: &[&str]| refused(&[&["plan", "--network", "lenet"], more].concat(), 2, texts);
    for size in ["12", "2TiB", "1e3B", ""] {
        plan(&["--memory-budget", size], &["--memory-budget", "wanted a number and its unit such as 512MiB"]);
    }
    plan(&["--memory-budget", "8589934592GiB"], &["--memory-budget", "2^63"]);
    plan(&["--recompute", "all"], &["--recompute", "none, cheap"]);
    plan(&["--samples-at-a-time", "0"], &["--samples-at-a-time"]);
    plan(&["--passes", "fuse"], &["there is no pass \"fuse\": wanted some of dead_code"]);
    plan(&["--training", "--inference"], &["--training", "--inference"]);
    plan(&["--compare", "--json"], &["--compare", "--json"]);
    plan(&["--optimizer", "sgd_mom", "--mom", "0.9"], &["--mom is the momentum"]);
}

#[test]
fn training_within_a_budget_learns_the_same() {
    let folder = Folder::new();
    let network = ["--network", "resnet-8", "--image-shape", "1,28,28"];
    let params = |name: &str, more: &[&str]| {
        let prefix = folder.arg(name);
        let args = ["--num-epochs", "1", "--num-examples", "64", "--model-prefix", &prefix];
        ok(&strs(&folder.train(&[&network, &args[..], more].concat())));
        support::bytes(&folder.path(&format!("{name}-0001.params")))
    };
    let plain = params("plain", &[]);
    assert!(plain == params("cheap", &["--recompute", "cheap"]));
    let plan = training(&[&network[..], &["--batch-size", "32"]].concat());
    let budget = format!("{}B", total(&plan) - bytes(&plan, "planned_bytes") / 2);
    assert!(plain == params("small", &["--memory-budget", &budget]));
    let args = folder.train(&["--memory-budget", "1KiB"]);
    refused(&strs(&args), 1, &["memory_budget is 1024 bytes, wanted at least "]);
}
