//! Training runs of the binary.
#![allow(clippy::unwrap_used)]

mod support;

use support::{Folder, bytes, finish, ok, pictures, strs, varflow};
use varflow::io::write_npy;

#[test]
fn a_run_tells_each_epoch_in_lines_and_json_and_can_be_used() {
    let folder = Folder::new();
    let (prefix, log) = (folder.arg("made/net"), folder.arg("log.jsonl"));
    let args = folder.train(&["--num-epochs", "3", "--lr", "0.05", "--model-prefix", &prefix, "--json", &log]);
    let ran = ok(&strs(&args));
    assert_eq!(ran.err, "");
    let lines: Vec<_> = ran.out.lines().collect();
    assert_eq!(lines.len(), 4, "{}", ran.out);
    assert!(lines[0].contains("mlp on mnist: 640 samples in batches of 32"), "{}", lines[0]);
    assert!(
        lines[3].starts_with("epoch 3/3: train accuracy ") && lines[3].contains("validation accuracy "),
        "{}",
        lines[3]
    );

    let text = std::fs::read_to_string(folder.path("log.jsonl")).unwrap();
    let epochs: Vec<serde_json::Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let mut keys: Vec<_> = epochs[0].as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["epoch", "samples_per_s", "seconds", "train_accuracy", "train_loss", "validation_accuracy"]);
    assert_eq!(epochs.iter().map(|e| e["epoch"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
    let accuracy = epochs[2]["validation_accuracy"].as_f64().unwrap();
    assert!(accuracy > 0.9, "{text}");

    let data = folder.arg("data");
    let checkpoint = ["--model-prefix", &prefix, "--epoch", "3"];
    let scored =
        ok(&[&["score", "--dataset", "mnist", "--data-dir", &data, "--top", "10"], &checkpoint[..]].concat()).out;
    assert!(scored.contains("200 samples") && scored.contains(&format!("accuracy {accuracy:.4}")), "{scored}");
    assert!(scored.contains("top_k_accuracy_10 1.0000"), "{scored}");
    let (images, labels) = (folder.arg("data/t10k-images-idx3-ubyte"), folder.arg("data/t10k-labels-idx1-ubyte"));
    let of_files = ok(&[&["score"], &checkpoint[..], &[&images, &labels]].concat()).out;
    assert!(of_files.contains(&format!("accuracy {accuracy:.4}")), "{of_files}");

    let by_name = ok(&[&["predict", "--dataset", "mnist", "--data-dir", &data], &checkpoint[..]].concat()).out;
    assert_eq!(by_name.lines().count(), 200);
    let right = by_name.lines().filter(|l| {
        let (seen, label) = l.split_once(": ").unwrap().1.split_once(" (label ").unwrap();
        seen.split_once(' ').unwrap().0 == label.trim_end_matches(')')
    });
    assert_eq!(right.count(), (accuracy * 200.0).round() as usize);

    write_npy(folder.path("one.npy"), &pictures(1, 9).0.reshape([28, 28]).unwrap()).unwrap();
    let one = ok(&[&["predict"], &checkpoint[..], &["--top", "3", &folder.arg("one.npy")]].concat()).out;
    let (name, classes) = one.trim_end().split_once(": ").unwrap();
    assert!(name.ends_with("one.npy") && classes.split(", ").count() == 3, "{one}");
    assert!(classes.starts_with("0 0."), "{one}");
}

#[test]
fn resuming_and_workers_change_no_bit() {
    let folder = Folder::new();
    let train = |prefix: &str, more: &[&str]| {
        let prefix = folder.arg(prefix);
        let first = ["--mom", "0.9", "--lr", "0.01", "--seed", "3", "--num-examples", "300", "--model-prefix", &prefix];
        ok(&strs(&folder.train(&[&first, more].concat())))
    };
    train("whole", &["--num-epochs", "3", "--cpus", "1"]);
    train("part", &["--num-epochs", "1", "--cpus", "2"]);
    train("part", &["--num-epochs", "3", "--cpus", "2", "--load-epoch", "1"]);
    for file in ["0003.params", "0003.states", "symbol.json"] {
        let (whole, part) =
            (bytes(&folder.path(&format!("whole-{file}"))), bytes(&folder.path(&format!("part-{file}"))));
        assert!(whole == part, "{file} differs");
    }
}

#[test]
#[cfg(unix)]
fn an_interrupt_finishes_the_batch_keeps_a_checkpoint_and_can_be_resumed() {
    let folder = Folder::new();
    let prefix = folder.arg("net");
    // So many epochs that it is under way when it is interrupted.
    let args = folder.train(&["--num-epochs", "100000", "--lr", "0.01", "--model-prefix", &prefix]);
    let child = varflow(&strs(&args)).spawn().unwrap();
    let first = folder.path("net-0001.params");
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !first.exists() {
        assert!(std::time::Instant::now() < until, "no checkpoint within a minute");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let ran = finish(child);
    assert_eq!(ran.code, 130, "{}{}", ran.out, ran.err);
    assert!(ran.err.starts_with("varflow: interrupted ") && ran.err.contains("--load-epoch "), "{}", ran.err);
    let epoch: u64 = ran.err.trim_end().rsplit_once("--load-epoch ").unwrap().1.parse().unwrap();
    assert!(folder.path(&format!("net-{epoch:04}.states")).exists());

    let (epoch, end) = (epoch.to_string(), (epoch + 1).to_string());
    let more = ["--num-epochs", &end, "--lr", "0.01", "--model-prefix", &prefix];
    ok(&strs(&folder.train(&[&more[..], &["--load-epoch", &epoch]].concat())));
    let whole = folder.arg("whole");
    ok(&strs(&folder.train(&["--num-epochs", &end, "--lr", "0.01", "--model-prefix", &whole])));
    let number = format!("{:04}", end.parse::<u64>().unwrap());
    let (a, b) = (folder.path(&format!("net-{number}.params")), folder.path(&format!("whole-{number}.params")));
    assert!(bytes(&a) == bytes(&b), "an interrupted and resumed run ends elsewhere");
}

#[test]
fn a_loss_that_is_not_finite_is_a_warning_with_epoch_and_batch() {
    let folder = Folder::new();
    let log = folder.arg("log.jsonl");
    let ran = ok(&strs(&folder.train(&["--num-epochs", "1", "--lr", "1e30", "--json", &log])));
    assert!(ran.err.starts_with("varflow: warning: cross-entropy is not finite in epoch 1, batch "), "{}", ran.err);
    let line: serde_json::Value = serde_json::from_slice(&bytes(&folder.path("log.jsonl"))).unwrap();
    assert!(line["train_loss"].is_null(), "{line}");
}
