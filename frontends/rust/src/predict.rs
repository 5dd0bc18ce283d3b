//! What a network says of some data.

use crate::module::{Module, borrowed};
use crate::run_ahead::RunAhead;
use varflow_ops::{DataIter, Result, Shape};

impl Module {
    /// The network's first output for all samples of an epoch, padding left out. Labels, if the iterator has any, are not
    /// looked at.
    ///
    /// # Errors
    /// As [`score`](Self::score).
    pub fn predict(&mut self, iter: &mut dyn DataIter) -> Result<Predictions> {
        let inputs: Vec<_> = iter.provide_data().into_iter().map(|d| (d.name, d.shape)).collect();
        let engine = self.runtime.engine.clone();
        let session = self.session(&borrowed(&inputs), false)?;
        let output = session.output()?;
        let dims = output.shape().dims();
        let row = Shape::new(dims.get(1..).unwrap_or_default());
        let mut values = Vec::new();
        let mut ahead = RunAhead::new::<f32>(&engine, output.shape().clone())?;
        iter.reset(0)?;
        let mut step = 0;
        let keep = |pad: usize, batch: &[f32], values: &mut Vec<f32>| {
            values.extend(&batch[..batch.len().saturating_sub(pad * row.len())]);
        };
        while let Some(batch) = iter.next()? {
            session.feed(&batch)?;
            session.executor.forward(false, step)?;
            step += 1;
            let mut copied = Ok(());
            let done = ahead.push::<f32>(batch.pad, |slot| copied = slot.copy_from(&output))?;
            copied?;
            done.iter().for_each(|(pad, batch)| keep(*pad, batch, &mut values));
        }
        while let Some((pad, batch)) = ahead.pop()? {
            keep(pad, &batch, &mut values);
        }
        Ok(Predictions { row, values })
    }
}

/// What [`Module::predict`] found.
#[derive(Clone, Debug, PartialEq)]
pub struct Predictions {
    /// The shape of one sample's output: (classes,) for a classifier.
    pub row: Shape,
    /// The outputs, sample by sample.
    pub values: Vec<f32>,
}

impl Predictions {
    /// The outputs of each sample.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.row.len().max(1))
    }

    /// The `k` classes of highest score of each sample, with the scores, highest first; of equal scores the lower
    /// class number first.
    pub fn top(&self, k: usize) -> impl Iterator<Item = Vec<(usize, f32)>> {
        self.rows().map(move |row| {
            let mut ranked: Vec<_> = row.iter().copied().enumerate().collect();
            ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            ranked.truncate(k);
            ranked
        })
    }
}
