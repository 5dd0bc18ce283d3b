//! What training tells while it goes on.

use crate::metric::Measured;
use crate::module::Module;
use std::fmt::Write as _;

/// A batch is done. Told a few batches after it was pushed, so that telling holds nothing up.
#[derive(Clone, Debug)]
pub struct BatchEnd<'a> {
    /// The number of its epoch, from 1.
    pub epoch: u64,
    /// Its number in the epoch, from 1.
    pub batch: u64,
    /// Batches in an epoch, if known.
    pub num_batches: Option<usize>,
    /// Samples done in this epoch by this run.
    pub samples: u64,
    /// Seconds since the epoch began.
    pub seconds: f64,
    /// The metrics over this epoch so far.
    pub train: &'a [Measured],
}

/// An epoch is done.
pub struct EpochEnd<'a> {
    /// Its number, from 1; also that of its checkpoint.
    pub epoch: u64,
    /// The metrics over the epoch's training batches, each taken before the batch's own update.
    pub train: &'a [Measured],
    /// The metrics on the validation data after the epoch; empty without validation data.
    pub validation: &'a [Measured],
    /// Training samples a second, validation left out.
    pub samples_per_s: f64,
    /// Seconds of training, validation left out.
    pub seconds: f64,
    /// The network as it is now.
    pub module: &'a Module,
}

/// Writes metrics as `accuracy=0.8731 cross-entropy=0.3512`.
#[must_use]
pub fn format_metrics(measured: &[Measured]) -> String {
    let mut text = String::new();
    for (i, m) in measured.iter().enumerate() {
        let _ = write!(text, "{}{}={:.4}", if i == 0 { "" } else { " " }, m.name, m.value);
    }
    text
}

/// A callback for batches that hands `say` a line with speed and metrics after every `frequent` batches:
/// `Epoch[1] Batch[50] 21034 samples/s accuracy=0.7012 cross-entropy=0.8123`.
pub fn speedometer(frequent: u64, mut say: impl FnMut(&str)) -> impl FnMut(&BatchEnd<'_>) {
    let mut since = (0, 0, 0.0);
    move |end: &BatchEnd<'_>| {
        if since.0 != end.epoch {
            since = (end.epoch, 0, 0.0);
        }
        if end.batch.is_multiple_of(frequent.max(1)) {
            let speed = (end.samples - since.1) as f64 / (end.seconds - since.2).max(1e-9);
            let (epoch, batch, metrics) = (end.epoch, end.batch, format_metrics(end.train));
            say(&format!("Epoch[{epoch}] Batch[{batch}] {speed:.0} samples/s {metrics}"));
            since = (end.epoch, end.samples, end.seconds);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_speedometer_tells_the_speed_since_it_last_spoke() {
        let train = [Measured { name: "accuracy".to_string(), value: 0.5 }];
        let mut lines = Vec::new();
        let mut meter = speedometer(2, |line| lines.push(line.to_string()));
        for (epoch, batch, samples, seconds) in [(1, 1, 10, 1.0), (1, 2, 20, 2.0), (1, 4, 40, 3.0), (2, 2, 20, 4.0)] {
            meter(&BatchEnd { epoch, batch, num_batches: None, samples, seconds, train: &train });
        }
        drop(meter);
        let wanted = [
            "Epoch[1] Batch[2] 10 samples/s accuracy=0.5000",
            "Epoch[1] Batch[4] 20 samples/s accuracy=0.5000",
            "Epoch[2] Batch[2] 5 samples/s accuracy=0.5000",
        ];
        assert_eq!(lines, wanted);
    }
}
