//! Rounds in which contenders take turns, and what they give.

use crate::Result;
use crate::contender::{Contender, Sample};
use crate::noise::Watch;
use crate::setting::{Hogs, Setting};
use std::ffi::OsString;
use std::time::Duration;

/// The results of one contender on one workload in one setting.
#[derive(Clone, Debug)]
pub struct Row {
    /// The system.
    pub system: &'static str,
    /// Which of its ways.
    pub variant: String,
    /// Its version.
    pub version: String,
    /// Worker threads.
    pub workers: usize,
    /// What was run.
    pub workload: String,
    /// What else the cores did.
    pub setting: Setting,
    /// The values' unit.
    pub unit: String,
    /// One a round.
    pub values: Vec<f64>,
    /// The cores that other processes used in each round.
    pub others: Vec<f64>,
}

impl Row {
    /// The middle value; of an even number, the mean of the two in the middle.
    pub fn median(&self) -> f64 {
        median(&self.values)
    }

    /// The smallest value.
    pub fn min(&self) -> f64 {
        self.values.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// The largest value.
    pub fn max(&self) -> f64 {
        self.values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }
}

/// The middle value; NaN of none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

/// What was measured, and what could not be.
#[derive(Default)]
pub struct Results {
    /// In the order of first appearance.
    pub rows: Vec<Row>,
    /// Which contender failed where, and why.
    pub failures: Vec<String>,
}

impl Results {
    fn add(&mut self, contender: &Contender, setting: Setting, sample: &Sample, others: f64) {
        let same = |r: &&mut Row| {
            (r.system, &r.variant, r.workers, r.setting)
                == (contender.system, &contender.variant, contender.workers, setting)
                && (&r.workload, &r.unit) == (&sample.workload, &sample.unit)
        };
        if let Some(row) = self.rows.iter_mut().find(same) {
            row.values.push(sample.value);
            row.others.push(others);
            return;
        }
        self.rows.push(Row {
            system: contender.system,
            variant: contender.variant.clone(),
            version: sample.version.clone(),
            workers: contender.workers,
            workload: sample.workload.clone(),
            setting,
            unit: sample.unit.clone(),
            values: vec![sample.value],
            others: vec![others],
        });
    }
}

/// One contender's part in the rounds.
pub struct Turn {
    /// Who.
    pub contender: Contender,
    /// Its further arguments.
    pub args: Vec<OsString>,
}

/// Makes results of samples, or says why it cannot.
pub type Digest = fn(Vec<Sample>) -> Result<Vec<Sample>>;

/// What is the same for all turns.
pub struct Rounds<'a> {
    /// Number of rounds.
    pub reps: u32,
    /// The settings, one after the other in each round.
    pub settings: &'a [Setting],
    /// A turn that takes longer has failed.
    pub limit: Duration,
    /// Makes results of what a contender measured in one turn.
    pub digest: Digest,
}

impl Rounds<'_> {
    /// Lets all take turns. Who fails is told, and left out of the rounds that follow in that setting. Each round starts
    /// with another contender, so that none always runs after the same one.
    ///
    /// # Errors
    /// When a setting cannot be made.
    pub fn run(&self, title: &str, turns: &[Turn], results: &mut Results) -> Result<()> {
        for setting in self.settings {
            let mut out = vec![false; turns.len()];
            for round in 0..self.reps {
                let _hogs = Hogs::start(*setting)?;
                for k in 0..turns.len() {
                    let at = (k + round as usize) % turns.len();
                    if out[at] {
                        continue;
                    }
                    let Turn { contender, args } = &turns[at];
                    let (label, name) = (contender.label(), setting.name());
                    eprintln!("{title}, {name}, round {}/{}: {label}", round + 1, self.reps);
                    let watch = Watch::start();
                    let samples = contender.run(*setting, args, self.limit);
                    let others = watch.others();
                    match samples.and_then(self.digest) {
                        Ok(samples) => samples.iter().for_each(|s| results.add(contender, *setting, s, others)),
                        Err(e) => {
                            out[at] = true;
                            results.failures.push(format!("{label} ({title}, {name}): {e}"));
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn rounds_collect_and_survive_failures() {
        let turn = |script: &str| Turn {
            contender: Contender {
                system: "shell",
                variant: script.len().to_string(),
                workers: 1,
                program: "/bin/sh".into(),
                args: vec!["-c".into(), script.into()],
                env: Vec::new(),
            },
            args: Vec::new(),
        };
        let line = r#"echo '{"version":"1","workload":"w","unit":"s","value":1}'"#;
        let turns = [turn(line), turn("echo broken >&2; exit 1")];
        let mut results = Results::default();
        let limit = Duration::from_secs(10);
        let rounds = Rounds { reps: 3, settings: &[Setting::Free], limit, digest: Ok };
        rounds.run("test", &turns, &mut results).unwrap();
        assert_eq!(results.rows.len(), 1);
        assert_eq!(results.rows[0].values, [1.0; 3]);
        assert_eq!(results.failures.len(), 1, "{:?}", results.failures);
        assert!(results.failures[0].contains("broken"));
    }
}
