//! Metrics: how good the outputs of a batch are, as sums that add up over batches.

use varflow_ops::{Error, Result};

/// A sum over samples and how many there were. The metric's value is their quotient.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// The sum.
    pub sum: f64,
    /// The number of samples.
    pub count: f64,
}

impl Tally {
    /// The mean; NaN of no samples.
    #[must_use]
    pub fn value(self) -> f64 {
        self.sum / self.count
    }

    /// Takes another tally in.
    pub fn add(&mut self, other: Tally) {
        self.sum += other.sum;
        self.count += other.count;
    }
}

/// Class scores of some samples, row by row.
#[derive(Clone, Copy, Debug)]
pub struct Scores<'a> {
    values: &'a [f32],
    classes: usize,
}

impl<'a> Scores<'a> {
    /// `values` holds rows of `classes` scores each.
    ///
    /// # Errors
    /// When it is not a whole number of rows.
    pub fn new(values: &'a [f32], classes: usize) -> Result<Self> {
        if classes == 0 || !values.len().is_multiple_of(classes) {
            let n = values.len();
            return Err(Error::Shape(format!("{n} scores are not rows of {classes} classes")));
        }
        Ok(Scores { values, classes })
    }

    /// Each row with its label.
    fn labelled(self, labels: &'a [f32]) -> impl Iterator<Item = Result<(&'a [f32], usize)>> {
        let classes = self.classes;
        self.values.chunks_exact(classes).zip(labels).enumerate().map(move |(row, (scores, label))| {
            let class = *label as usize;
            if *label < 0.0 || class >= classes || class as f32 != *label {
                let text = format!("label {label} of sample {row} is no class: wanted 0 to {}", classes - 1);
                return Err(Error::Data(text));
            }
            Ok((scores, class))
        })
    }
}

/// A metric. It is measured batch by batch, inside engine tasks, and keeps no state itself.
pub trait Metric: Send + Sync {
    /// The name in logs: `accuracy`.
    fn name(&self) -> String;

    /// The tally of one batch, whose padding is cut off. There are as many labels as rows of scores.
    ///
    /// # Errors
    /// A label that is no class.
    fn measure(&self, scores: Scores<'_>, labels: &[f32]) -> Result<Tally>;
}

/// The share of samples whose label is among the `k` classes of highest score. Of equal scores the class of lower number
/// counts as higher; NaN scores are never right.
#[derive(Clone, Copy, Debug)]
pub struct TopK(pub usize);

impl Metric for TopK {
    fn name(&self) -> String {
        format!("top_k_accuracy_{}", self.0)
    }

    fn measure(&self, scores: Scores<'_>, labels: &[f32]) -> Result<Tally> {
        let mut tally = Tally::default();
        for row in scores.labelled(labels) {
            let (row, label) = row?;
            let own = row[label];
            let beats = |(class, score): (usize, f32)| score > own || (score == own && class < label);
            let better = row.iter().copied().enumerate().filter(|c| beats(*c)).count();
            let right = better < self.0 && !row.iter().any(|s| s.is_nan());
            tally.add(Tally { sum: f64::from(u8::from(right)), count: 1.0 });
        }
        Ok(tally)
    }
}

/// The share of samples whose label is the class of highest score.
#[derive(Clone, Copy, Debug, Default)]
pub struct Accuracy;

impl Metric for Accuracy {
    fn name(&self) -> String {
        "accuracy".to_string()
    }

    fn measure(&self, scores: Scores<'_>, labels: &[f32]) -> Result<Tally> {
        TopK(1).measure(scores, labels)
    }
}

/// The mean of `-ln(p + 1e-12)`, where `p` is the probability given to the label. Scores must be probabilities, as
/// `SoftmaxOutput` gives them.
#[derive(Clone, Copy, Debug, Default)]
pub struct CrossEntropy;

impl Metric for CrossEntropy {
    fn name(&self) -> String {
        "cross-entropy".to_string()
    }

    fn measure(&self, scores: Scores<'_>, labels: &[f32]) -> Result<Tally> {
        let mut tally = Tally::default();
        for row in scores.labelled(labels) {
            let (row, label) = row?;
            tally.add(Tally { sum: -(f64::from(row[label]) + 1e-12).ln(), count: 1.0 });
        }
        Ok(tally)
    }
}

/// Several metrics of the same outputs and labels, measured in one pass over the data.
#[derive(Clone)]
pub struct Metrics(std::sync::Arc<[Box<dyn Metric>]>);

impl Default for Metrics {
    /// [`Accuracy`] and [`CrossEntropy`].
    fn default() -> Self {
        Metrics::new(vec![Box::new(Accuracy), Box::new(CrossEntropy)])
    }
}

impl Metrics {
    /// These metrics, in this order.
    #[must_use]
    pub fn new(metrics: Vec<Box<dyn Metric>>) -> Self {
        Metrics(metrics.into())
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|m| m.name())
    }

    /// The tally of each for one batch.
    ///
    /// # Errors
    /// As [`Metric::measure`], with the metric's name.
    pub fn measure(&self, scores: Scores<'_>, labels: &[f32]) -> Result<Vec<Tally>> {
        let each = self.0.iter();
        each.map(|m| m.measure(scores, labels).map_err(|e| e.at(format!("metric {}", m.name())))).collect()
    }
}

impl<M: Metric + 'static> From<M> for Metrics {
    fn from(metric: M) -> Self {
        Metrics::new(vec![Box::new(metric)])
    }
}

/// What a metric came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// The metric's name.
    pub name: String,
    /// Its value: NaN of no samples.
    pub value: f64,
}

/// The value of the metric of this name, if it was measured.
#[must_use]
pub fn value_of(measured: &[Measured], name: &str) -> Option<f64> {
    measured.iter().find(|m| m.name == name).map(|m| m.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: [f32; 9] = [0.2, 0.5, 0.3, 0.6, 0.2, 0.2, 0.4, 0.4, 0.2];

    fn tally(metric: &dyn Metric, labels: &[f32]) -> Tally {
        metric.measure(Scores::new(&ROWS, 3).unwrap(), labels).unwrap()
    }

    #[test]
    fn accuracy_counts_the_highest_and_breaks_ties_by_class_number() {
        assert_eq!(tally(&Accuracy, &[1.0, 0.0, 0.0]), Tally { sum: 3.0, count: 3.0 });
        assert_eq!(tally(&Accuracy, &[1.0, 1.0, 1.0]), Tally { sum: 1.0, count: 3.0 });
    }

    #[test]
    fn top_k_widens_the_hit() {
        let labels = [2.0, 2.0, 1.0];
        assert_eq!(tally(&TopK(1), &labels).sum, 0.0);
        assert_eq!(tally(&TopK(2), &labels).sum, 2.0);
        assert_eq!(tally(&TopK(3), &labels).sum, 3.0);
    }

    #[test]
    fn cross_entropy_is_the_mean_surprise() {
        let found = tally(&CrossEntropy, &[1.0, 0.0, 2.0]).value();
        let wanted = -(0.5_f64.ln() + 0.6_f64.ln() + 0.2_f64.ln()) / 3.0;
        assert!((found - wanted).abs() < 1e-7, "{found} {wanted}");
    }

    #[test]
    fn nan_is_wrong_and_makes_the_loss_nan() {
        let rows = [f32::NAN; 3];
        let scores = Scores::new(&rows, 3).unwrap();
        assert_eq!(TopK(3).measure(scores, &[0.0]).unwrap(), Tally { sum: 0.0, count: 1.0 });
        assert!(CrossEntropy.measure(scores, &[0.0]).unwrap().value().is_nan());
    }

    #[test]
    fn a_label_that_is_no_class_is_named() {
        for bad in [3.0, -1.0, 0.5, f32::NAN] {
            let error = Metrics::default().measure(Scores::new(&ROWS, 3).unwrap(), &[0.0, bad, 0.0]).unwrap_err();
            let text = error.to_string();
            assert!(text.contains(&format!("label {bad} of sample 1")) && text.contains("0 to 2"), "{text}");
        }
    }

    #[test]
    fn tallies_add_up_over_batches() {
        let labels = [1.0, 2.0, 0.0];
        let whole = tally(&CrossEntropy, &labels);
        let mut parts = CrossEntropy.measure(Scores::new(&ROWS[..6], 3).unwrap(), &labels[..2]).unwrap();
        parts.add(CrossEntropy.measure(Scores::new(&ROWS[6..], 3).unwrap(), &labels[2..]).unwrap());
        assert_eq!(whole, parts);
    }
}
