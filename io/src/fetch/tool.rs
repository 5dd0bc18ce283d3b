//! Running a command-line tool with a time limit, and telling what it complained of.

use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(50);
/// How much of a tool's complaint is told.
const SHOWN_BYTES: u64 = 300;

/// Why a tool did not do its work.
#[derive(Debug)]
pub(crate) enum Failure {
    /// There is no such tool.
    NotInstalled(String),
    /// What it said, or that it took too long.
    Failed(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::NotInstalled(tool) => write!(f, "{tool} is not installed"),
            Failure::Failed(text) => f.write_str(text),
        }
    }
}

/// Runs a tool without input and output, and calls `watch` while it runs, which may stop it.
pub(crate) fn run(
    command: &mut Command,
    limit: Duration,
    watch: &mut dyn FnMut() -> Result<(), String>,
) -> Result<(), Failure> {
    let tool = command.get_program().to_string_lossy().into_owned();
    let fail = |what: &str, e: std::io::Error| Failure::Failed(format!("{tool}: {what}: {e}"));
    // A file, unlike a pipe, takes any amount of complaint without anybody reading along.
    let mut log = tempfile::tempfile().map_err(|e| fail("no temporary file", e))?;
    let stderr = log.try_clone().map_err(|e| fail("no temporary file", e))?;
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).spawn();
    let child = child.map_err(|e| match e.kind() {
        ErrorKind::NotFound => Failure::NotInstalled(tool.clone()),
        _ => fail("cannot be started", e),
    })?;
    let mut child = Running(child);
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.0.try_wait().map_err(|e| fail("cannot be waited for", e))? {
            break status;
        }
        watch().map_err(|e| Failure::Failed(format!("{tool} was stopped: {e}")))?;
        if begun.elapsed() > limit {
            return Err(Failure::Failed(format!("{tool} was stopped: it was not done after {} s", limit.as_secs())));
        }
        std::thread::sleep(POLL);
    };
    if status.success() {
        return watch().map_err(Failure::Failed);
    }
    Err(Failure::Failed(complaint(&tool, status, &mut log)))
}

/// Stops the tool when nobody waits for it any more.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both do nothing to one that has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The end of what the tool wrote, on one line.
fn complaint(tool: &str, status: ExitStatus, log: &mut File) -> String {
    let mut end = Vec::new();
    let from = log.metadata().map_or(0, |m| m.len().saturating_sub(SHOWN_BYTES));
    // Without the log there is still the status to tell.
    let _ = log.seek(SeekFrom::Start(from)).and_then(|_| log.take(SHOWN_BYTES).read_to_end(&mut end));
    let text = String::from_utf8_lossy(&end);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() { format!("{tool} ended with {status}") } else { format!("{tool} ended with {status}: {text}") }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str, limit_ms: u64, watch: &mut dyn FnMut() -> Result<(), String>) -> String {
        let mut command = Command::new("sh");
        run(command.args(["-c", script]), Duration::from_millis(limit_ms), watch)
            .map_or_else(|e| e.to_string(), |()| "done".to_string())
    }

    #[test]
    fn outcomes() {
        let calm = &mut || Ok(());
        assert_eq!(shell("echo fine >&2", 9000, calm), "done");
        assert_eq!(shell("echo out of; echo luck  >&2; exit 3", 9000, calm), "sh ended with exit status: 3: luck");
        assert_eq!(shell("exit 3", 9000, calm), "sh ended with exit status: 3");
        let long = shell("head -c 100000 /dev/zero | tr '\\0' x >&2; echo end >&2; exit 1", 9000, calm);
        assert!(long.ends_with("xxxend") && long.len() < 400, "{long}");
        let missing = run(&mut Command::new("no-such-tool-anywhere"), Duration::from_secs(1), calm).unwrap_err();
        assert_eq!(missing.to_string(), "no-such-tool-anywhere is not installed");
    }

    #[test]
    fn slow_and_greedy_tools_are_stopped() {
        let begun = Instant::now();
        let told = shell("exec sleep 60", 200, &mut || Ok(()));
        assert_eq!(told, "sh was stopped: it was not done after 0 s");
        let told = shell("exec sleep 60", 60_000, &mut || Err("too much".to_string()));
        assert_eq!(told, "sh was stopped: too much");
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}
