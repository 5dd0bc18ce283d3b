//! `predict` on picture files: what is told, and what is refused.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use support::{Folder, ok, refused, strs};

fn picture(name: &str) -> String {
    format!("{}/../../io/tests/pictures/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn pictures_of_any_size_fit_a_grey_network() {
    let folder = Folder::new();
    let prefix = folder.arg("net");
    ok(&strs(&folder.train(&["--num-epochs", "1", "--model-prefix", &prefix])));
    let predict = ["predict", "--model-prefix", &prefix, "--epoch", "1", "--top", "2"];
    let (grey, colour) = (picture("grey.jpg"), picture("colour.jpg"));
    let names: Vec<String> = (0..10).map(|i| format!("class {i}")).collect();
    fs::write(folder.path("labels.txt"), names.join("\n")).unwrap();
    let labels = folder.arg("labels.txt");

    let told = ok(&[&predict[..], &["--labels", &labels, &grey, &colour]].concat()).out;
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 2, "{told}");
    for (line, name) in lines.iter().zip([&grey, &colour]) {
        assert!(line.starts_with(&format!("{name}: class ")), "{line}");
        assert_eq!(line.matches("class ").count(), 2, "{line}");
    }
    // One at a time and together come to the same.
    let alone = ok(&[&predict[..], &["--batch-size", "1", "--labels", &labels, &grey, &colour]].concat()).out;
    assert_eq!(alone, told);

    let told = ok(&[&predict[..], &["--json", &grey]].concat()).out;
    let line: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&line["picture"], &line["label"]), (&grey.as_str().into(), &serde_json::Value::Null));
    assert_eq!(line["top"].as_array().unwrap().len(), 2);
    assert!(line["top"][0]["score"].as_f64() >= line["top"][1]["score"].as_f64());

    fs::write(folder.path("labels.txt"), "one\ntwo").unwrap();
    refused(&[&predict[..], &["--labels", &labels, &grey]].concat(), 1, &["labels.txt has 2 lines", "10 classes"]);
    fs::write(folder.path("cut.jpg"), &fs::read(&colour).unwrap()[..300]).unwrap();
    let cut = folder.arg("cut.jpg");
    refused(&[&predict[..], &[&cut]].concat(), 1, &["cut.jpg: not an intact JPEG picture"]);
    refused(&[&predict[..], &["--crop", "50x50", &colour]].concat(), 1, &["colour.jpg", "24×40", "50×50"]);
    refused(&[&predict[..], &["--crop", "20x20", &colour]].concat(), 1, &["colour.jpg", "(1, 1, 20, 20)"]);
    refused(&[&predict[..], &["--filter", "cubic", &colour]].concat(), 2, &["cubic", "bicubic"]);
}
