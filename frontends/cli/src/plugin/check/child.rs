//! The child's side: loads the plug-in, runs checks, tells of them.
#![expect(unsafe_code, reason = "keeps standard output for the protocol")]

use super::crash::report_faults;
use super::protocol::{Block, Line, Title, Verdict};
use super::{iterator, operator, reduction, update_rule};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use varflow::ops::plugin::Library;
use varflow::{Error, Result, registry};

/// Tells the parent.
pub(crate) struct Teller(File);

impl Teller {
    /// Takes standard output for itself; what the plug-in prints goes to standard error.
    fn new() -> Result<Teller> {
        // SAFETY: duplicates descriptors that every process has; the copy is owned by the file alone.
        let own = unsafe {
            let own = libc::dup(libc::STDOUT_FILENO);
            libc::dup2(libc::STDERR_FILENO, libc::STDOUT_FILENO);
            own
        };
        if own < 0 {
            return Err(Error::io("cannot duplicate standard output", std::io::Error::last_os_error()));
        }
        // SAFETY: as above.
        Ok(Teller(File::from(unsafe { OwnedFd::from_raw_fd(own) })))
    }

    fn line(&mut self, line: &Line) -> Result<()> {
        let mut text =
            serde_json::to_string(line).map_err(|e| Error::Contract(format!("cannot tell {line:?}: {e}")))?;
        text.push('\n');
        self.0.write_all(text.as_bytes()).map_err(|e| Error::io("cannot write to the parent process", e))
    }

    /// Says what is about to be called, should it crash.
    ///
    /// # Errors
    /// When the parent has gone.
    pub(crate) fn doing(&mut self, what: String, blocks: Vec<Block>) -> Result<(), String> {
        self.line(&Line::Doing { what, blocks }).map_err(|e| e.to_string())
    }
}

/// One check of one thing.
pub(crate) struct Check<'a> {
    pub(crate) title: Title,
    /// The names of checks of the same thing without which this one means nothing.
    pub(crate) needs: &'static [&'static str],
    pub(crate) body: Box<dyn Fn(&mut Teller) -> Finding + 'a>,
}

/// What was looked at, or why there is nothing to look at; the error: what was found and what was wanted.
pub(crate) type Finding = Result<Passed, String>;

/// A check that did not fail.
pub(crate) enum Passed {
    /// All is well; what was looked at.
    Ok(String),
    /// There is nothing to check.
    Skipped(String),
}

/// Runs the checks from number `from`.
///
/// # Errors
/// When the parent has gone.
pub(crate) fn run(file: &Path, from: usize, failed: &[usize]) -> Result<()> {
    let mut teller = Teller::new()?;
    report_faults(teller.0.as_raw_fd());
    let mut registry = registry()?;
    let library = match registry.load(file) {
        Ok(library) => library,
        Err(e) => return teller.line(&Line::Refused { message: e.to_string() }),
    };
    let registry = Arc::new(registry);
    let mut checks = Vec::new();
    for table in library.operators() {
        checks.extend(operator::checks(&registry, table)?);
    }
    checks.extend(library.iterators().iter().flat_map(iterator::checks));
    checks.extend(library.reductions().iter().flat_map(reduction::checks));
    checks.extend(library.update_rules().iter().flat_map(|rule| update_rule::checks(&registry, rule)));
    let titles: Vec<Title> = checks.iter().map(|c| c.title.clone()).collect();
    teller.line(&Line::Plan { plugin: title(&library), checks: titles.clone() })?;
    let mut failed = failed.to_vec();
    for (i, check) in checks.iter().enumerate().skip(from) {
        teller.line(&Line::Begin { check: i })?;
        let lacks = failed
            .iter()
            .filter_map(|f| titles.get(*f))
            .find(|t| t.subject == check.title.subject && check.needs.contains(&t.check.as_str()));
        let verdict = match lacks {
            Some(lacks) => Verdict::Skipped(format!("{} failed", lacks.check)),
            None => match (check.body)(&mut teller) {
                Ok(Passed::Ok(text)) => Verdict::Ok(text),
                Ok(Passed::Skipped(text)) => Verdict::Skipped(text),
                Err(text) => Verdict::Failed(text),
            },
        };
        if matches!(verdict, Verdict::Failed(_)) {
            failed.push(i);
        }
        teller.line(&Line::End { check: i, verdict })?;
    }
    Ok(())
}

fn title(library: &Library) -> String {
    format!("{} {}", library.name(), library.version())
}
