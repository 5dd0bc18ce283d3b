//! Plug-ins on the command line: the C examples, compiled as their authors would.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::process::Command;
use support::{Folder, finish, ok, refused, strs, varflow};

/// Compiles an example into the folder and gives the file.
fn build(folder: &Folder, example: &str) -> String {
    let abi = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ops/abi");
    let file = folder.arg(&format!("lib{example}.so"));
    let mut cc = Command::new("cc");
    cc.args(["-O2", "-shared", "-fPIC", "-o", &file, "-I"]).arg(abi.join("include"));
    let done = cc.arg(abi.join(format!("examples/{example}.c"))).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    file
}

const NET: &str = r#"{"nodes":[
    {"op":"null","name":"data","inputs":[]},
    {"op":"Flatten","name":"flat","inputs":[[0,0,0]]},
    {"op":"null","name":"fc1_weight","inputs":[]},
    {"op":"null","name":"fc1_bias","inputs":[]},
    {"op":"FullyConnected","name":"fc1","attrs":{"num_hidden":"32"},"inputs":[[1,0,0],[2,0,0],[3,0,0]]},
    {"op":"HardSigmoid","name":"act","attrs":{"alpha":"0.5"},"inputs":[[4,0,0]]},
    {"op":"null","name":"fc2_weight","inputs":[]},
    {"op":"null","name":"fc2_bias","inputs":[]},
    {"op":"FullyConnected","name":"fc2","attrs":{"num_hidden":"10"},"inputs":[[5,0,0],[6,0,0],[7,0,0]]},
    {"op":"null","name":"softmax_label","inputs":[]},
    {"op":"SoftmaxOutput","name":"softmax","inputs":[[8,0,0],[9,0,0]]}],
    "arg_nodes":[0,2,3,6,7,9],"heads":[[10,0,0]]}"#;

#[test]
fn a_plugin_operator_is_listed_shown_planned_trained_and_resumed() {
    let folder = Folder::new();
    let file = build(&folder, "hard_sigmoid");
    let plugin = ["--plugin", &file];
    let list = ok(&[&["ops", "list"], &plugin[..]].concat()).out;
    assert!(list.lines().any(|l| l.starts_with("HardSigmoid ") && l.contains("alpha * data")), "{list}");
    let shown = ok(&[&["ops", "show", "HardSigmoid"], &plugin[..]].concat()).out;
    let provider = format!("provider     hard_sigmoid 0.1.0 ({file})");
    let texts = ["HardSigmoid (operator)", &provider, "in place     data → output", "gradient     yes"];
    for text in [&texts[..], &["cpu (by hard_sigmoid)", "alpha (number, default 0.2): Slope."]].concat() {
        assert!(shown.contains(text), "no \"{text}\" in: {shown}");
    }
    let doctor = ok(&[&["doctor"], &plugin[..]].concat()).out;
    assert!(doctor.contains(&format!("hard_sigmoid 0.1.0 ({file}), ABI 3: operators HardSigmoid")), "{doctor}");

    let net = folder.arg("net.json");
    std::fs::write(&net, NET).unwrap();
    refused(&["summary", "--network", &net], 1, &["\"act\"", "\"HardSigmoid\""]);
    let shape = ["--data-shape", "1,28,28", "--batch-size", "8"];
    let look = |command: &str| ok(&[&[command, "--network", &net], &shape[..], &plugin[..]].concat()).out;
    assert!(look("summary").contains("HardSigmoid") && look("plan").contains("training"));

    let train = |prefix: &str, more: &[&str]| {
        let prefix = folder.arg(prefix);
        let args = ["--network", &net, "--lr", "0.3", "--model-prefix", &prefix];
        ok(&strs(&folder.train(&[&args, &plugin[..], more].concat()))).out
    };
    let whole = train("whole", &["--num-epochs", "3"]);
    let accuracy = whole.lines().last().unwrap().split_once("validation accuracy ").unwrap().1;
    assert!(accuracy.split_once(',').unwrap().0.parse::<f64>().unwrap() > 0.9, "{whole}");
    train("part", &["--num-epochs", "1"]);
    train("part", &["--num-epochs", "3", "--load-epoch", "1", "--cpus", "1"]);
    let params = |prefix: &str| support::bytes(&folder.path(&format!("{prefix}-0003.params")));
    assert!(params("whole") == params("part"), "a resumed run ends elsewhere");
}

#[test]
fn plugins_come_from_the_environment_and_once() {
    let folder = Folder::new();
    let file = build(&folder, "mean_reduction");
    // In the folder that the variable names and given too: one plug-in.
    let mut list = varflow(&["ops", "list", "--kind", "reductions", "--plugin", &file]);
    let ran = finish(list.env("VARFLOW_PLUGIN_PATH", folder.path("")).spawn().unwrap());
    assert_eq!(ran.code, 0, "{}", ran.err);
    let names: Vec<_> = ran.out.lines().map(|l| l.split_whitespace().next().unwrap()).collect();
    assert_eq!(names, ["local", "mean"]);
    // A copy brings the same name again.
    let copy = folder.arg("copy.so");
    std::fs::copy(&file, &copy).unwrap();
    refused(&["ops", "list", "--plugin", &file, "--plugin", &copy], 1, &["copy.so", "reduction mean", "preference 0"]);
    let shown = ok(&["ops", "show", "mean", "--plugin", &file]).out;
    assert!(shown.contains("mean (reduction)") && shown.contains(&format!("mean_reduction 0.1.0 ({file})")), "{shown}");
}

#[test]
fn a_plugin_iterator_is_trained_on() {
    let folder = Folder::new();
    let file = build(&folder, "ramp_stream");
    let plugin = ["--plugin", &file];
    let shown = ok(&[&["ops", "show", "RampStream"], &plugin[..]].concat()).out;
    assert!(shown.contains("RampStream (iterator)") && shown.contains("num_batches (integer, default 10)"), "{shown}");
    let first = ["train", "--network", "mlp", "--train-iter", "RampStream", "--batch-size", "8", "--lr", "1e-6"];
    let args = [&first[..], &plugin, &["--iter-param", "num_batches=5", "--num-epochs", "2"]].concat();
    let ran = ok(&args);
    assert!(ran.out.starts_with("training mlp on RampStream: 5 batches of 8, "), "{}", ran.out);
    assert_eq!(ran.out.lines().count(), 3);
    refused(&[&args[..], &["--iter-param", "classes=0"]].concat(), 2, &["\"classes\"", "\"0\"", "from 1 to"]);
    // Four numbers a sample are no picture.
    let lenet = [&args[..], &["--network", "lenet"]].concat();
    let lenet: Vec<_> = lenet.iter().enumerate().filter(|(i, _)| *i != 1 && *i != 2).map(|(_, a)| *a).collect();
    refused(&lenet, 1, &["the training batches (data (8, 4), softmax_label (8,))", "conv1"]);
}
