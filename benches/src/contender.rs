//! A system in one configuration, as a command to run.

use crate::Result;
use crate::setting::Setting;
use serde_json::Value;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// A system in one configuration. Its program prints one JSON object a measurement with `workload`, `unit`, `value` and
/// `version`; what else it prints is passed over.
#[derive(Clone, Debug)]
pub struct Contender {
    /// `varflow`, or the name of a peer.
    pub system: &'static str,
    /// Which of the system's ways.
    pub variant: String,
    /// Worker threads.
    pub workers: usize,
    /// What to run.
    pub program: PathBuf,
    /// Its first arguments.
    pub args: Vec<OsString>,
    /// Its environment, beside that of this process.
    pub env: Vec<(&'static str, String)>,
}

/// What a contender measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The system's version.
    pub version: String,
    /// The workload.
    pub workload: String,
    /// The value's unit.
    pub unit: String,
    /// The value.
    pub value: f64,
    /// The length of the tasks' bodies in µs, where it varies.
    pub grain_us: Option<f64>,
}

impl Contender {
    /// How results name it.
    pub fn label(&self) -> String {
        let Contender { system, variant, workers, .. } = self;
        let s = if *workers == 1 { "" } else { "s" };
        format!("{system} {variant}, {workers} worker{s}")
    }

    /// Runs it to its end and collects what it measured.
    ///
    /// # Errors
    /// When it cannot be started, fails, exceeds the time limit or measures nothing.
    pub fn run(&self, setting: Setting, more: &[OsString], limit: Duration) -> Result<Vec<Sample>> {
        let mut command = setting.command(&self.program)?;
        command.args(&self.args).args(more).envs(self.env.iter().map(|(k, v)| (k, v)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|e| format!("{}: {e}", self.program.display()))?;
        let (Some(out), Some(mut err)) = (child.stdout.take(), child.stderr.take()) else {
            return Err("the child has no output".into());
        };
        let complaints = thread::spawn(move || {
            let mut bytes = Vec::new();
            // What cannot be read is missing in a message at worst.
            let _ = err.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        let (send, lines) = mpsc::channel();
        thread::spawn(move || {
            BufReader::new(out).lines().map_while(std::io::Result::ok).try_for_each(|l| send.send(l))
        });
        let deadline = Instant::now() + limit;
        let mut samples = Vec::new();
        let in_time = loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => samples.extend(parse(&line)),
                Err(mpsc::RecvTimeoutError::Disconnected) => break true,
                Err(mpsc::RecvTimeoutError::Timeout) => break false,
            }
        };
        if !in_time {
            child.kill()?;
            child.wait()?;
            return Err(format!("took more than {} s", limit.as_secs()).into());
        }
        let status = child.wait()?;
        if status.success() && !samples.is_empty() {
            return Ok(samples);
        }
        let complaints = complaints.join().unwrap_or_default();
        let last = complaints.lines().rfind(|l| !l.trim().is_empty()).unwrap_or("it printed no result");
        Err(format!("{status}: {last}").into())
    }
}

fn parse(line: &str) -> Option<Sample> {
    let object: Value = serde_json::from_str(line).ok()?;
    let text = |key: &str| object.get(key)?.as_str().map(str::to_string);
    Some(Sample {
        version: text("version")?,
        workload: text("workload")?,
        unit: text("unit")?,
        value: object.get("value")?.as_f64()?,
        grain_us: object.get("grain_us").and_then(Value::as_f64),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Contender {
        Contender {
            system: "shell",
            variant: "sh".to_string(),
            workers: 1,
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            env: vec![("FACTOR", "2".to_string())],
        }
    }

    #[test]
    fn samples_are_told_from_chatter() {
        let script =
            r#"echo hello; echo '{"version":"1","workload":"w","unit":"s","value":'$FACTOR'.5}'; echo '{"other":1}'"#;
        let samples = shell(script).run(Setting::Free, &[], Duration::from_secs(10)).unwrap();
        assert_eq!(samples.len(), 1);
        assert_eq!((samples[0].value, samples[0].workload.as_str()), (2.5, "w"));
    }

    #[test]
    fn failures_are_told() {
        let text = |script, limit| shell(script).run(Setting::Free, &[], limit).unwrap_err().to_string();
        let long = Duration::from_secs(10);
        assert!(text("echo no such luck >&2; exit 3", long).contains("3: no such luck"));
        assert!(text("exit 0", long).contains("no result"));
        assert!(text("exec sleep 30", Duration::from_millis(100)).contains("more than"));
    }
}
