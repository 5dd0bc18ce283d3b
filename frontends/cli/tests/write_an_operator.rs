//! The page "Write an operator", followed word for word in an empty folder.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use support::{Folder, finish_within};

/// The code blocks of a page, each with its language.
fn blocks(page: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut rest = page;
    while let Some((_, after)) = rest.split_once("\n```") {
        let (language, after) = after.split_once('\n').unwrap();
        let (code, after) = after.split_once("\n```").unwrap();
        found.push((language, code));
        rest = after;
    }
    found
}

#[test]
fn the_page_can_be_followed_word_for_word() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = fs::read_to_string(root.join("docs/write-an-operator.md")).unwrap();
    let blocks = blocks(&page);

    // What a reader does: types in the commands, saves the file where the page says so.
    let mut script = String::from("set -eu\n");
    for (language, code) in &blocks {
        match *language {
            "sh" => script += &format!("{code}\n"),
            "json" => script += &format!("cat > net.json <<'END_OF_FILE'\n{code}\nEND_OF_FILE\n"),
            _ => {}
        }
    }
    let data = Folder::new();
    fs::create_dir(data.path("cache")).unwrap();
    fs::rename(data.path("data"), data.path("cache").join("mnist")).unwrap();
    let empty = data.path("empty");
    fs::create_dir(&empty).unwrap();
    let bin = Path::new(env!("CARGO_BIN_EXE_varflow")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("bash");
    shell.args(["-c", &script]).current_dir(&empty).env("PATH", path).env("VARFLOW_CACHE", data.path("cache"));
    shell.env_remove("CARGO_TARGET_DIR").env_remove("VARFLOW_PLUGIN_PATH");
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let ran = finish_within(shell.spawn().unwrap(), Duration::from_secs(300));
    assert_eq!(ran.code, 0, "{}\n{}", ran.out, ran.err);

    let told = ["checks passed", "operator)", "Swish", "validation accuracy", "accuracy"];
    told.iter().for_each(|text| assert!(ran.out.contains(text), "no \"{text}\" in: {}", ran.out));
    assert!(empty.join("swish/run/swish-0001.params").is_file());
    let shown = blocks.iter().find(|(language, _)| *language == "rust,ignore").unwrap().1;
    let made = fs::read_to_string(empty.join("swish/src/lib.rs")).unwrap();
    assert_eq!(made.trim_end(), shown, "the page shows another source than plugin new writes");
    // The promise of the page's first sentence.
    assert!(shown.lines().count() <= 40 && !shown.contains("unsafe {"), "{} lines", shown.lines().count());
}
