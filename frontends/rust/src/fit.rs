//! Training: epochs over an iterator, with an optimizer, validation, checkpoints and callbacks.

use crate::callback::{BatchEnd, EpochEnd};
use crate::init::{Initializer, Xavier};
use crate::metric::{Measured, Metrics};
use crate::module::{Module, borrowed, described};
use crate::optimizer::{Optimizer, Sgd};
use crate::run_ahead::RunAhead;
use crate::score::{Totals, push_measure};
use crate::states::Progress;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use varflow_ops::{DataIter, Result};

type OnBatch<'a> = Box<dyn FnMut(&BatchEnd<'_>) + 'a>;
type OnEpoch<'a> = Box<dyn FnMut(&EpochEnd<'_>) -> Result<()> + 'a>;

/// How to train.
pub struct Fit<'a> {
    epochs: u64,
    begin_epoch: Option<u64>,
    optimizer: Arc<dyn Optimizer>,
    initializer: Box<dyn Initializer>,
    seed: Option<u64>,
    metrics: Metrics,
    eval: Option<&'a mut dyn DataIter>,
    checkpoint: Option<(String, u64)>,
    stop: Option<Arc<AtomicBool>>,
    batch_end: Vec<OnBatch<'a>>,
    epoch_end: Vec<OnEpoch<'a>>,
    warning: Box<dyn FnMut(&str) + 'a>,
}

impl<'a> Fit<'a> {
    /// Until `epochs` epochs are done, those of the checkpoint that the module was loaded from included. Unless set
    /// otherwise: plain SGD at 0.01, Xavier of magnitude 2, seed 0, accuracy and cross-entropy, no validation.
    #[must_use]
    pub fn epochs(epochs: u64) -> Self {
        Fit {
            epochs,
            begin_epoch: None,
            optimizer: Arc::new(Sgd::new(0.01)),
            initializer: Box::new(Xavier::magnitude(2.0)),
            seed: None,
            metrics: Metrics::default(),
            eval: None,
            checkpoint: None,
            stop: None,
            batch_end: Vec::new(),
            epoch_end: Vec::new(),
            warning: Box::new(|text| eprintln!("varflow: warning: {text}")),
        }
    }

    /// Counts this many epochs as done before training begins, whatever a checkpoint says.
    #[must_use]
    pub fn begin_epoch(mut self, epoch: u64) -> Self {
        self.begin_epoch = Some(epoch);
        self
    }

    /// Sets the optimizer.
    #[must_use]
    pub fn optimizer(mut self, optimizer: impl Optimizer + 'static) -> Self {
        self.optimizer = Arc::new(optimizer);
        self
    }

    /// Sets the initialiser of weights. It is not used on a module whose parameters have values.
    #[must_use]
    pub fn initializer(mut self, initializer: impl Initializer + 'static) -> Self {
        self.initializer = Box::new(initializer);
        self
    }

    /// Sets the seed of initial values and of operators that draw random numbers; unless set, that of the run whose
    /// checkpoint the module was loaded from, else 0.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets the metrics of training and validation.
    #[must_use]
    pub fn metric(mut self, metrics: impl Into<Metrics>) -> Self {
        self.metrics = metrics.into();
        self
    }

    /// Sets the data on which the network is measured after each epoch.
    #[must_use]
    pub fn eval(mut self, iter: &'a mut dyn DataIter) -> Self {
        self.eval = Some(iter);
        self
    }

    /// Writes a checkpoint of this prefix after every `period` epochs, after the last one, and when stopped.
    #[must_use]
    pub fn checkpoint(mut self, prefix: impl Into<String>, period: u64) -> Self {
        self.checkpoint = Some((prefix.into(), period.max(1)));
        self
    }

    /// Stops after the batch in the course of which this flag is set.
    #[must_use]
    pub fn stop(mut self, flag: Arc<AtomicBool>) -> Self {
        self.stop = Some(flag);
        self
    }

    /// Adds a callback for each batch.
    #[must_use]
    pub fn batch_end(mut self, callback: impl FnMut(&BatchEnd<'_>) + 'a) -> Self {
        self.batch_end.push(Box::new(callback));
        self
    }

    /// Adds a callback for each epoch. Its error ends training.
    #[must_use]
    pub fn epoch_end(mut self, callback: impl FnMut(&EpochEnd<'_>) -> Result<()> + 'a) -> Self {
        self.epoch_end.push(Box::new(callback));
        self
    }

    /// Sets who is told of a metric that is not finite; standard error unless set. It is told once an epoch.
    #[must_use]
    pub fn warning(mut self, callback: impl FnMut(&str) + 'a) -> Self {
        self.warning = Box::new(callback);
        self
    }

    fn is_stopped(&self) -> bool {
        // Relaxed: the flag carries no other data.
        self.stop.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed))
    }
}

/// How training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All epochs are done.
    Finished,
    /// The stop flag was set. If there is a prefix, the checkpoint of number `epoch` was written; training that is resumed
    /// from it goes on with the next batch.
    Stopped {
        /// The number of the epoch that was under way, from 1, or of the one just done.
        epoch: u64,
        /// Batches done of it; 0 if it is done.
        batch: u64,
    },
}

impl Module {
    /// Trains the network. On the way it binds it to the iterator's shapes and, if need be, initialises it.
    ///
    /// The result does not depend on how many workers the engine has. Nor does it on whether the run was stopped and
    /// resumed from a checkpoint. Gradients are divided by the batch size. The padding of a last batch takes
    /// part in training, as in MXNet, but is left out of metrics.
    ///
    /// # Errors
    /// As [`bind`](Module::bind), [`init`](Module::init), [`init_optimizer`](Module::init_optimizer) and
    /// [`save`](Module::save); bad data.
    pub fn fit(&mut self, train: &mut dyn DataIter, mut fit: Fit<'_>) -> Result<Ending> {
        let inputs = described(train);
        self.bind(&borrowed(&inputs))?;
        self.set_seed(fit.seed.unwrap_or(self.seed));
        self.init(&*fit.initializer, self.seed)?;
        if let Some(epoch) = fit.begin_epoch.filter(|e| *e != self.progress.epoch) {
            self.progress = Progress { epoch, ..Progress::default() };
        }
        if self.progress.num_update == 0 {
            // No states file says how far schedules are.
            self.progress.num_update = self.progress.epoch * train.num_batches().unwrap_or(0) as u64;
        }
        self.init_optimizer(&borrowed(&inputs), fit.optimizer.clone())?;
        if let Some((prefix, _)) = &fit.checkpoint {
            // Whether checkpoints can be written is better known before training than after it.
            self.save_symbol(prefix)?;
        }
        while self.progress.epoch < fit.epochs {
            if !fit.is_stopped() && self.fit_epoch(train, &mut fit)? {
                continue;
            }
            let Progress { epoch, batch, .. } = self.progress;
            let epoch = epoch + u64::from(batch > 0);
            if let Some((prefix, _)) = fit.checkpoint.as_ref().filter(|_| epoch > 0) {
                self.save(prefix, epoch)?;
            }
            return Ok(Ending::Stopped { epoch, batch });
        }
        Ok(Ending::Finished)
    }

    /// Trains for what is left of one epoch, measures and tells. Returns false if it was stopped on the way.
    fn fit_epoch(&mut self, train: &mut dyn DataIter, fit: &mut Fit<'_>) -> Result<bool> {
        train.reset(self.progress.epoch)?;
        for _ in 0..self.progress.batch {
            train.next()?;
        }
        let mut watch = Watch::new(self.progress.epoch + 1, train.num_batches(), &fit.metrics);
        let mut ahead = RunAhead::new::<f64>(&self.runtime.engine, [2 * fit.metrics.len()])?;
        while let Some(batch) = train.next()? {
            self.train_step(&batch)?;
            self.progress.batch += 1;
            let step = Step { batch: self.progress.batch, samples: (batch.index.len() - batch.pad) as u64 };
            let output = self.train_output()?;
            let done = ahead.push::<f64>(step, |slot| push_measure(&fit.metrics, &output, &batch, slot))?;
            done.iter().for_each(|(step, sums)| watch.arrived(step, sums, fit));
            if fit.is_stopped() {
                break;
            }
        }
        while let Some((step, sums)) = ahead.pop()? {
            watch.arrived(&step, &sums, fit);
        }
        self.params().iter().try_for_each(|p| p.tensor.wait())?;
        let seconds = watch.started.elapsed().as_secs_f64();
        if fit.is_stopped() {
            return Ok(false);
        }
        let validation = match &mut fit.eval {
            Some(iter) => self.score(&mut **iter, &fit.metrics)?,
            None => Vec::new(),
        };
        self.progress.epoch += 1;
        self.progress.batch = 0;
        let epoch = self.progress.epoch;
        if let Some((prefix, period)) = &fit.checkpoint
            && (epoch.is_multiple_of(*period) || epoch == fit.epochs)
        {
            self.save(prefix, epoch)?;
        }
        let samples_per_s = watch.samples as f64 / seconds.max(1e-9);
        let train = watch.totals.measured();
        let end = EpochEnd { epoch, train: &train, validation: &validation, samples_per_s, seconds, module: self };
        fit.epoch_end.iter_mut().try_for_each(|callback| callback(&end))?;
        Ok(true)
    }
}

/// A step under way.
struct Step {
    batch: u64,
    samples: u64,
}

/// What has arrived of an epoch.
struct Watch {
    epoch: u64,
    num_batches: Option<usize>,
    totals: Totals,
    samples: u64,
    started: Instant,
    has_warned: bool,
}

impl Watch {
    fn new(epoch: u64, num_batches: Option<usize>, metrics: &Metrics) -> Self {
        let totals = Totals::new(metrics);
        Watch { epoch, num_batches, totals, samples: 0, started: Instant::now(), has_warned: false }
    }

    /// Takes in the metrics of a step, warns and tells.
    fn arrived(&mut self, step: &Step, sums: &[f64], fit: &mut Fit<'_>) {
        self.totals.add(sums);
        self.samples += step.samples;
        if let Some(name) = self.totals.not_finite(sums).filter(|_| !self.has_warned) {
            let (epoch, batch) = (self.epoch, step.batch);
            (fit.warning)(&format!(
                "{name} is not finite in epoch {epoch}, batch {batch}: the weights have diverged or the data hold values \
                 that are not finite; a lower learning rate often helps"
            ));
            self.has_warned = true;
        }
        if fit.batch_end.is_empty() {
            return;
        }
        let train: Vec<Measured> = self.totals.measured();
        let end = BatchEnd {
            epoch: self.epoch,
            batch: step.batch,
            num_batches: self.num_batches,
            samples: self.samples,
            seconds: self.started.elapsed().as_secs_f64(),
            train: &train,
        };
        fit.batch_end.iter_mut().for_each(|callback| callback(&end));
    }
}
