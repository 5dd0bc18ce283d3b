//! How the command fails: exit status and text.

use std::borrow::Cow;
use std::io::{self, Write};
use std::process::ExitCode;
use varflow::Error;
use varflow::engine::Cause;

/// Why the command ends otherwise than well.
pub(crate) enum Failure {
    /// Something went wrong: exit status 1.
    Failed(Error),
    /// The command line asks for what cannot be: exit status 2.
    Usage(String),
    /// Interrupted, with what there is to say: exit status 130.
    Interrupted(String),
    /// The reader of standard output has gone: nobody wants more.
    ReaderGone,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Failed(error)
    }
}

impl Failure {
    /// Says it on standard error.
    pub(crate) fn report(self) -> ExitCode {
        let (text, code) = match self {
            Failure::Failed(error) => (explain(&error), 1),
            Failure::Usage(text) => (text, 2),
            Failure::Interrupted(text) => (text, 130),
            Failure::ReaderGone => return ExitCode::SUCCESS,
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        eprintln!("varflow: {}", printable(&words.join(" ")));
        ExitCode::from(code)
    }
}

/// The error's text. Of a failed task: what its body said, not which tasks were skipped because of it.
fn explain(error: &Error) -> String {
    match error {
        Error::At { place, source } => format!("{place}: {}", explain(source)),
        Error::Engine(e) => match e.failure().map(|f| (f.task(), f.cause())) {
            Some((task, Cause::Failed(cause))) => format!("{}: {cause}", task.name),
            _ => e.to_string(),
        },
        Error::Registry(text) => {
            let path = std::env::var_os("VARFLOW_PLUGIN_PATH").filter(|path| !path.is_empty());
            let searched = path.map_or("not set".to_string(), |path| path.display().to_string());
            format!("{text} (VARFLOW_PLUGIN_PATH is {searched})")
        }
        other => other.to_string(),
    }
}

/// Says on standard error what is no failure.
pub(crate) fn warn(text: &str) {
    eprintln!("varflow: warning: {}", printable(text));
}

/// Text of one line whose control characters, which names from files may have, do nothing to a terminal. JSON stays JSON.
fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return text.into();
    }
    let shown = |c: char| if c.is_control() { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
    text.chars().map(shown).collect()
}

/// Writes a line to standard output.
pub(crate) fn say(line: &str) -> Result<(), Failure> {
    match writeln!(io::stdout().lock(), "{}", printable(line)) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Err(Failure::ReaderGone),
        Err(e) => Err(Error::io("cannot write to standard output", e).into()),
    }
}

/// Writes text of several lines to standard output.
pub(crate) fn say_lines(text: &str) -> Result<(), Failure> {
    text.lines().try_for_each(say)
}

/// What the argument parser says, in one paragraph.
pub(crate) fn usage_paragraph(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with("For more information"));
    let text = lines.collect::<Vec<_>>().join(" ");
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    format!("{text} (--help tells more)")
}
