//! The parent's side: runs children, outlives their crashes, ends those that hang.

use super::protocol::{Block, Fault, LAST_WORDS, Line, Title, Verdict};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use varflow::{Error, Result};

/// How long a check may take, and loading. A sound one takes a second at most.
const DEADLINE: Duration = Duration::from_secs(8);
/// Lines longer than this end a child: it has lost its mind.
const MAX_LINE_BYTES: u64 = 1 << 20;

/// One check and how it ended.
pub(crate) struct Checked {
    pub(crate) title: Title,
    pub(crate) verdict: Verdict,
}

/// Runs all checks on a plug-in, and hands each to `tell` as it ends.
///
/// # Errors
/// A plug-in that cannot be loaded; a child that cannot be started.
pub(crate) fn supervise<E: From<Error>>(
    file: &Path,
    mut tell: impl FnMut(&str, &Checked) -> Result<(), E>,
) -> Result<Vec<Checked>, E> {
    let mut all: Vec<Checked> = Vec::new();
    loop {
        let failed = all.iter().enumerate().filter(|(_, c)| matches!(c.verdict, Verdict::Failed(_)));
        let failed: Vec<usize> = failed.map(|(i, _)| i).collect();
        let mut child = Running::start(file, all.len(), &failed)?;
        let (plugin, plan) = child.plan(file)?;
        let before = all.len();
        while let Some((check, verdict)) = child.next_verdict()? {
            if check != all.len() || check >= plan.len() {
                return Err(Error::Contract(format!("the child tells of check {check}, not {}", all.len())).into());
            }
            let checked = Checked { title: plan[check].clone(), verdict };
            tell(&plugin, &checked)?;
            all.push(checked);
        }
        if all.len() >= plan.len() {
            return Ok(all);
        }
        if all.len() == before {
            let text = format!("{}: the child ended before its first check", file.display());
            return Err(Error::Contract(text).into());
        }
    }
}

/// A child, and what it was last heard to do.
struct Running {
    child: Child,
    lines: Receiver<String>,
    check: Option<usize>,
    doing: String,
    blocks: Vec<Block>,
    fault: Option<Fault>,
    ended: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    fn start(file: &Path, from: usize, failed: &[usize]) -> Result<Running> {
        let this = std::env::current_exe().map_err(|e| Error::io("cannot find this program's file", e))?;
        let mut command = Command::new(this);
        command.args(["plugin", "check-child", "--from", &from.to_string()]);
        failed.iter().for_each(|i| {
            command.arg("--failed").arg(i.to_string());
        });
        command.arg("--").arg(file).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|e| Error::io("cannot start a child process", e))?;
        let out = child.stdout.take().ok_or_else(|| Error::Contract("the child has no output".to_string()))?;
        let (sender, lines) = channel();
        // Ends with the child's output, which ends with the child.
        std::thread::spawn(move || {
            let mut out = BufReader::new(out);
            let mut line = String::new();
            while matches!(out.by_ref().take(MAX_LINE_BYTES).read_line(&mut line), Ok(n) if n > 0) {
                if sender.send(std::mem::take(&mut line)).is_err() {
                    return;
                }
            }
        });
        let doing = "it was loaded".to_string();
        Ok(Running { child, lines, check: None, doing, blocks: Vec::new(), fault: None, ended: false })
    }

    /// The next line, or what has become of the child.
    fn next_line(&mut self, until: Instant) -> Result<std::result::Result<Line, String>> {
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) if line.starts_with(LAST_WORDS) => self.fault = Fault::parse(&line),
                Ok(line) if line.trim().is_empty() => {}
                Ok(line) => {
                    let told = serde_json::from_str(&line);
                    return told.map(Ok).map_err(|e| Error::Contract(format!("the child says {line:?}: {e}")));
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.ended = true;
                    let text = format!("did not end within {} seconds: {}", DEADLINE.as_secs(), self.doing);
                    return Ok(Err(text));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    self.ended = true;
                    let status = self.child.wait().map_err(|e| Error::io("cannot wait for the child process", e))?;
                    return Ok(Err(self.death(status)));
                }
            }
        }
    }

    fn death(&self, status: ExitStatus) -> String {
        let how = match (status.signal(), status.code()) {
            (Some(signal), _) => format!("crashed with {}", signal_name(signal)),
            (None, Some(code)) => format!("ended the process with exit status {code}"),
            (None, None) => "ended the process".to_string(),
        };
        let why = self.fault.and_then(|f| f.explain(&self.blocks)).map_or(String::new(), |why| format!("{why}; "));
        format!("{why}{how} in {}", self.doing)
    }

    /// The plug-in and the checks.
    fn plan(&mut self, file: &Path) -> Result<(String, Vec<Title>)> {
        match self.next_line(Instant::now() + DEADLINE)? {
            Ok(Line::Plan { plugin, checks }) => Ok((plugin, checks)),
            Ok(Line::Refused { message }) => Err(Error::Data(message)),
            Ok(other) => Err(Error::Contract(format!("the child begins with {other:?}"))),
            Err(death) => {
                Err(Error::Data(format!("{}: {}", file.display(), death.replace(" in it was", " while it was"))))
            }
        }
    }

    /// The next check that ended, and how; `None` when the child has no more.
    fn next_verdict(&mut self) -> Result<Option<(usize, Verdict)>> {
        if self.ended {
            return Ok(None);
        }
        let until = Instant::now() + DEADLINE;
        loop {
            match self.next_line(until)? {
                Ok(Line::Begin { check }) => {
                    (self.check, self.doing, self.blocks) = (Some(check), "the check itself".to_string(), Vec::new());
                }
                Ok(Line::Doing { what, blocks }) => (self.doing, self.blocks) = (what, blocks),
                Ok(Line::End { check, verdict }) => {
                    self.check = None;
                    return Ok(Some((check, verdict)));
                }
                Ok(other) => return Err(Error::Contract(format!("the child says {other:?} out of turn"))),
                Err(death) => return Ok(self.check.map(|check| (check, Verdict::Failed(death)))),
            }
        }
    }
}

fn signal_name(signal: i32) -> String {
    match signal {
        libc::SIGSEGV => "SIGSEGV".to_string(),
        libc::SIGBUS => "SIGBUS".to_string(),
        libc::SIGABRT => "SIGABRT".to_string(),
        libc::SIGFPE => "SIGFPE".to_string(),
        libc::SIGILL => "SIGILL".to_string(),
        libc::SIGTRAP => "SIGTRAP".to_string(),
        libc::SIGKILL => "SIGKILL".to_string(),
        other => format!("signal {other}"),
    }
}
