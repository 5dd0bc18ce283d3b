//! Progress bars, if standard error is a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use varflow::callback::BatchEnd;
use varflow::metric::value_of;

/// Shows how far a download is.
pub(crate) fn bytes_bar() -> ProgressBar {
    bar("{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta} left")
}

fn bar(template: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.with_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Shows how far an epoch is.
pub(crate) struct Progress {
    bar: ProgressBar,
    num_epochs: u64,
}

impl Progress {
    /// Nothing is shown yet, and nothing at all where nobody watches.
    pub(crate) fn new(num_epochs: u64) -> Self {
        Progress { bar: bar("{prefix} {wide_bar} {pos}/{len} {msg} {eta} left"), num_epochs }
    }

    /// A batch is done.
    pub(crate) fn batch(&self, end: &BatchEnd<'_>) {
        if self.bar.is_hidden() {
            return;
        }
        if end.batch == 1 {
            self.bar.reset();
            self.bar.set_length(end.num_batches.unwrap_or(0) as u64);
            self.bar.set_prefix(format!("epoch {}/{}", end.epoch, self.num_epochs));
        }
        let metric = |name| value_of(end.train, name).unwrap_or(f64::NAN);
        let speed = end.samples as f64 / end.seconds.max(1e-9);
        let (loss, accuracy) = (metric("cross-entropy"), metric("accuracy"));
        self.bar.set_message(format!("{speed:.0} samples/s, loss {loss:.4}, accuracy {accuracy:.4},"));
        self.bar.set_position(end.batch);
    }

    /// Takes the bar away while `body` writes.
    pub(crate) fn aside<R>(&self, body: impl FnOnce() -> R) -> R {
        self.bar.suspend(body)
    }

    /// Takes the bar away for good.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
