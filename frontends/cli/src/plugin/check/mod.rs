//! `varflow plugin check`: whether a plug-in keeps the contract.
//!
//! Checks run in a child process, so that a crash is a finding. The child (`child.rs`) loads the plug-in and runs one check after
//! another, telling each on a pipe (`protocol.rs`). The parent (`supervise.rs`) outlives it: a check during which the child dies or
//! hangs has failed, and a new child goes on behind it. Kernels are called through their tables (`stage.rs`), on memory between
//! inaccessible pages (`guarded.rs`).

mod cases;
mod child;
mod crash;
mod guarded;
mod heap;
mod iterator;
mod node_gradient;
mod operator;
mod planning;
mod protocol;
mod reduction;
mod site;
mod stage;
mod supervise;
mod update_rule;

use crate::failure::{Failure, say};
use protocol::Verdict;
use std::path::{Path, PathBuf};
use supervise::{Checked, supervise};
use varflow::Error;

/// Checks plug-ins and prints what was found.
pub(crate) fn run(files: &[PathBuf], json: bool) -> Result<(), Failure> {
    let (mut failed, mut skipped, mut all) = (0, 0, 0);
    for file in files {
        let mut subject = String::new();
        let checked = supervise(file, |plugin, checked| {
            if json {
                return say(&to_json(file, plugin, checked));
            }
            if subject.is_empty() {
                say(&format!("plug-in {plugin} ({})", file.display()))?;
            }
            if subject != checked.title.subject {
                subject.clone_from(&checked.title.subject);
                say(&format!("  {subject}"))?;
            }
            say(&row(checked))
        })?;
        all += checked.len();
        skipped += checked.iter().filter(|c| matches!(c.verdict, Verdict::Skipped(_))).count();
        failed += checked.iter().filter(|c| matches!(c.verdict, Verdict::Failed(_))).count();
    }
    if all == 0 {
        let text =
            "there was nothing to check: no operator with a kernel for the CPU, no iterator, reduction or update rule";
        return Err(Error::Data(text.to_string()).into());
    }
    if failed > 0 {
        return Err(Error::Data(format!("{failed} of {all} checks failed")).into());
    }
    if json { Ok(()) } else { say(&format!("{} checks passed, {skipped} skipped", all - skipped)) }
}

fn row(checked: &Checked) -> String {
    let (word, text) = match &checked.verdict {
        Verdict::Ok(text) => ("ok", text),
        Verdict::Failed(text) => ("FAILED", text),
        Verdict::Skipped(text) => ("skipped", text),
    };
    format!("    {:<13} {word:<8} {text}", checked.title.check).trim_end().to_string()
}

fn to_json(file: &Path, plugin: &str, checked: &Checked) -> String {
    let (outcome, message) = match &checked.verdict {
        Verdict::Ok(text) => ("ok", text),
        Verdict::Failed(text) => ("failed", text),
        Verdict::Skipped(text) => ("skipped", text),
    };
    let (subject, check) = (&checked.title.subject, &checked.title.check);
    serde_json::json!({
        "file": file.display().to_string(), "plugin": plugin, "subject": subject, "check": check, "outcome": outcome,
        "message": message,
    })
    .to_string()
}

/// Runs the checks from number `from` in this process. `failed` are those that failed in earlier ones.
pub(crate) fn run_child(file: &Path, from: usize, failed: &[usize]) -> Result<(), Failure> {
    child::run(file, from, failed).map_err(Failure::from)
}
