//! How good a network is on some data.

use crate::metric::{Measured, Metrics, Scores, Tally};
use crate::module::{Module, borrowed, described};
use crate::run_ahead::RunAhead;
use varflow_ops::{Batch, DataIter, Error, Result, Tensor};

impl Module {
    /// Measures the network on all batches of an epoch, padding left out.
    ///
    /// # Errors
    /// Parameters without values, bad data, inputs that do not fit.
    pub fn score(&mut self, iter: &mut dyn DataIter, metrics: &Metrics) -> Result<Vec<Measured>> {
        let inputs = described(iter);
        let engine = self.runtime.engine.clone();
        let session = self.session(&borrowed(&inputs), false)?;
        let output = session.output()?;
        let mut totals = Totals::new(metrics);
        let mut ahead = RunAhead::new::<f64>(&engine, [2 * metrics.len()])?;
        iter.reset(0)?;
        let mut step = 0;
        while let Some(batch) = iter.next()? {
            session.feed(&batch)?;
            session.executor.forward(false, step)?;
            step += 1;
            let done = ahead.push::<f64>((), |slot| push_measure(metrics, &output, &batch, slot))?;
            done.iter().for_each(|(_, sums)| totals.add(sums));
        }
        while let Some((_, sums)) = ahead.pop()? {
            totals.add(&sums);
        }
        Ok(totals.measured())
    }
}

/// Pushes a task that writes each metric's sum and count of one batch into `slot`: of `output` against the first label.
pub(crate) fn push_measure(metrics: &Metrics, output: &Tensor, batch: &Batch, slot: &Tensor) {
    let metrics = metrics.clone();
    let inputs: Vec<&Tensor> = [output].into_iter().chain(batch.label.first()).collect();
    let pad = batch.pad;
    Tensor::push_task(slot.engine(), "metrics", &inputs, &[slot], move |ctx| {
        if ctx.num_inputs() < 2 {
            return Err(Error::Data("metrics want a label, the batches have none".to_string()));
        }
        let [rows, classes] = *ctx.input_shape(0).dims() else {
            let shape = ctx.input_shape(0);
            return Err(Error::Shape(format!("metrics want outputs (samples, classes), the first has shape {shape}")));
        };
        let labels = ctx.input::<f32>(1)?;
        if labels.len() != rows {
            return Err(Error::Shape(format!(
                "metrics want one label a sample: {} labels, {rows} samples",
                labels.len()
            )));
        }
        let count = rows.saturating_sub(pad);
        let scores = Scores::new(&ctx.input::<f32>(0)?[..count * classes], classes)?;
        let tallies = metrics.measure(scores, &labels[..count])?;
        let sums = tallies.iter().flat_map(|t| [t.sum, t.count]);
        ctx.output::<f64>(0)?.iter_mut().zip(sums).for_each(|(to, from)| *to = from);
        Ok(())
    });
}

/// Tallies of several metrics over batches.
pub(crate) struct Totals {
    names: Vec<String>,
    tallies: Vec<Tally>,
}

impl Totals {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Totals { names: metrics.names().collect(), tallies: vec![Tally::default(); metrics.len()] }
    }

    /// Takes in what [`push_measure`] wrote.
    pub(crate) fn add(&mut self, sums: &[f64]) {
        for (tally, pair) in self.tallies.iter_mut().zip(sums.chunks_exact(2)) {
            tally.add(Tally { sum: pair[0], count: pair[1] });
        }
    }

    /// The value of each metric.
    pub(crate) fn measured(&self) -> Vec<Measured> {
        let each = self.names.iter().zip(&self.tallies);
        each.map(|(name, tally)| Measured { name: name.clone(), value: tally.value() }).collect()
    }

    /// The first metric whose sum over one batch is not finite.
    pub(crate) fn not_finite(&self, sums: &[f64]) -> Option<&str> {
        let bad = sums.chunks_exact(2).position(|pair| !pair[0].is_finite());
        bad.and_then(|i| self.names.get(i)).map(String::as_str)
    }
}
