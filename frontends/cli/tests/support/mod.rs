//! Runs the binary on a made data set.
#![allow(dead_code, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use varflow::io::{Array, write_idx};
use varflow::ops::Philox;

pub const TRAIN_SAMPLES: usize = 640;

/// What a run of the command left.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// The command with these arguments.
pub fn varflow(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_varflow"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env_remove("VARFLOW_CACHE").env_remove("VARFLOW_PLUGIN_PATH").env("RUST_BACKTRACE", "1");
    command
}

/// Says something past the test harness, which would keep it to itself.
pub fn tell(text: &str) {
    eprintln!("{text}");
}

/// The Python of a peer in the peers' folder: VARFLOW_PEERS, or peers/ in the cache folder.
pub fn peer_python(peer: &str) -> Option<PathBuf> {
    let var = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let cache = || var("XDG_CACHE_HOME").or_else(|| var("HOME").map(|home| home.join(".cache")));
    let cache = || var("VARFLOW_CACHE").or_else(|| cache().map(|folder| folder.join("varflow")));
    let peers = var("VARFLOW_PEERS").or_else(|| cache().map(|folder| folder.join("peers")))?;
    Some(peers.join(peer).join("bin/python")).filter(|python| python.exists())
}

/// Waits for a child, at most a minute.
pub fn finish(child: Child) -> Ran {
    finish_within(child, Duration::from_secs(60))
}

/// Waits for a child, at most so long. What it prints is read meanwhile.
pub fn finish_within(child: Child, limit: Duration) -> Ran {
    let id = child.id().to_string();
    let (send, ended) = mpsc::channel();
    thread::spawn(move || send.send(child.wait_with_output()));
    let Ok(output) = ended.recv_timeout(limit) else {
        Command::new("kill").args(["-9", &id]).status().unwrap();
        panic!("the command did not end within {} s", limit.as_secs());
    };
    let Output { status, stdout, stderr } = output.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: status.code().expect("ended by a signal"), out: text(stdout), err: text(stderr) }
}

pub fn run(args: &[&str]) -> Ran {
    finish(varflow(args).spawn().unwrap())
}

/// Runs what must succeed.
pub fn ok(args: &[&str]) -> Ran {
    let ran = run(args);
    assert_eq!(ran.code, 0, "{args:?}: {}{}", ran.out, ran.err);
    ran
}

/// Runs what must fail with this status, in one paragraph that holds all of `texts`.
pub fn refused(args: &[&str], code: i32, texts: &[&str]) {
    let ran = run(args);
    let err = ran.err.trim_end();
    assert_eq!(ran.code, code, "{args:?}: {err}");
    assert!(err.starts_with("varflow: ") && err.lines().count() == 1, "{args:?}: {err}");
    assert!(!err.contains("panicked") && !err.contains("backtrace"), "{args:?}: {err}");
    texts.iter().for_each(|text| assert!(err.contains(text), "{args:?}: no \"{text}\" in: {err}"));
}

/// A folder with pictures of 28 by 28 in ten classes, each with a bright patch of its own under noise.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        std::fs::create_dir(folder.path("data")).unwrap();
        folder.write("data", "train", TRAIN_SAMPLES, 1);
        folder.write("data", "t10k", 200, 2);
        folder
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A path as an argument.
    pub fn arg(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn write(&self, dir: &str, part: &str, samples: usize, seed: u64) {
        let (images, labels) = pictures(samples, seed);
        write_idx(self.path(dir).join(format!("{part}-images-idx3-ubyte")), &images).unwrap();
        write_idx(self.path(dir).join(format!("{part}-labels-idx1-ubyte")), &labels).unwrap();
    }

    /// Arguments of a short training run on this data, of the network `mlp` unless `more` says otherwise.
    pub fn train(&self, more: &[&str]) -> Vec<String> {
        let data = self.arg("data");
        let network = if more.contains(&"--network") { &[][..] } else { &["--network", "mlp"] };
        let first = ["train", "--dataset", "mnist", "--data-dir", &data, "--batch-size", "32"];
        first.iter().chain(network).chain(more).map(ToString::to_string).collect()
    }
}

pub fn pictures(samples: usize, seed: u64) -> (Array, Array) {
    let noise = Philox::new(seed, 0, 0);
    let labels: Vec<u8> = (0..samples).map(|i| (i % 10) as u8).collect();
    let pixel = |at: usize| {
        let (sample, row, column) = (at / 784, at % 784 / 28, at % 28);
        let class = sample % 10;
        let bright = row / 6 == class / 5 + 1 && column / 5 == class % 5;
        let value = 60 * u32::from(noise.block(at as u64)[0] as u8) / 255 + if bright { 150 } else { 0 };
        u8::try_from(value).unwrap()
    };
    let images = (0..samples * 784).map(pixel).collect();
    (Array::new([samples, 28, 28], images).unwrap(), Array::new([samples], labels).unwrap())
}

pub fn strs(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

/// The bytes of a file.
pub fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
