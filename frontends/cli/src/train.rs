//! The command `train`.

use crate::args::TrainArgs;
use crate::data;
use crate::failure::{Failure, say};
use crate::progress::Progress;
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use varflow::callback::EpochEnd;
use varflow::metric::value_of;
use varflow::prelude::*;
use varflow::{Error, Files};

/// Trains as the command line says.
pub(crate) fn run(args: &TrainArgs) -> Result<(), Failure> {
    let stop = stop_on_interrupt()?;
    let rt = runtime(args.cpus)?;
    let mut module = Module::new(&rt, args.network.symbol()?)?;
    let mut log = args.json.as_deref().map(Log::open).transpose()?;
    if let (Some(prefix), Some(epoch)) = (&args.model_prefix, args.load_epoch) {
        module.load_params(prefix, epoch)?;
    }
    let seed = args.seed.unwrap_or(module.seed());
    let parts = data::load(args.dataset, args.data_dir.as_deref()).map_err(|e| match stop.load(Ordering::Relaxed) {
        true => Failure::Interrupted("interrupted before training".to_string()),
        false => e.into(),
    })?;
    let num_examples = args.num_examples.and_then(|n| usize::try_from(n).ok());
    let train = num_examples.map_or_else(|| parts.train.clone(), |n| parts.train.first(n));
    let batch_size = args.batch_size as usize;
    let mut train_iter = data::labelled(&rt.engine, &train, batch_size).shuffle(seed).build()?;
    let mut test_iter = data::labelled(&rt.engine, &parts.test, 256).build()?;
    let samples = train.len();
    let optimizer = optimizer(args, samples.div_ceil(batch_size))?;
    let workers = rt.engine.default_lane().width();
    if module.progress().epoch >= args.num_epochs {
        let (done, wanted) = (module.progress().epoch, args.num_epochs);
        return say(&format!("nothing to do: {done} epochs are done, --num-epochs asks for {wanted}"));
    }
    say(&format!(
        "training {} on {}: {samples} samples in batches of {batch_size}, {workers} workers",
        args.network,
        args.dataset.name()
    ))?;

    let progress = Progress::new(args.num_epochs);
    let mut said = Ok(());
    let mut fit = Fit::epochs(args.num_epochs)
        .optimizer(optimizer)
        .seed(seed)
        .eval(&mut test_iter)
        .stop(stop)
        .warning(|text| progress.aside(|| eprintln!("varflow: warning: {text}")))
        .batch_end(|end| progress.batch(end))
        .epoch_end(|end| {
            if said.is_ok() {
                said = progress.aside(|| say(&describe(end, args.num_epochs)));
            }
            log.as_mut().map_or(Ok(()), |log| log.append(end))
        });
    if let Some(prefix) = &args.model_prefix {
        fit = fit.checkpoint(prefix, 1);
    }
    let ending = module.fit(&mut train_iter, fit);
    progress.clear();
    match ending? {
        Ending::Finished => said,
        Ending::Stopped { epoch, batch } => Err(interrupted(args, epoch, batch)),
    }
}

/// A flag that Ctrl-C sets. A second one ends the process at once.
fn stop_on_interrupt() -> Result<Arc<AtomicBool>, Error> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    let handler = move || {
        // Relaxed: the flag carries no other data.
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    };
    ctrlc::set_handler(handler).map_err(|e| Error::Contract(format!("cannot take over Ctrl-C: {e}")))?;
    Ok(stop)
}

fn interrupted(args: &TrainArgs, epoch: u64, batch: u64) -> Failure {
    let place =
        if batch == 0 { format!("after epoch {epoch}") } else { format!("in epoch {epoch} after batch {batch}") };
    let kept = match &args.model_prefix {
        Some(prefix) if epoch > 0 => {
            let path = Files::new(prefix, epoch).params;
            format!("; the checkpoint is {}, go on with --load-epoch {epoch}", path.display())
        }
        _ => String::new(),
    };
    Failure::Interrupted(format!("interrupted {place}{kept}"))
}

fn optimizer(args: &TrainArgs, batches_per_epoch: usize) -> Result<Sgd, Error> {
    let mut sgd = Sgd::new(args.lr).momentum(args.mom).wd(args.wd);
    sgd.check()?;
    if args.lr_factor < 1.0 {
        let step = ((batches_per_epoch as f64 * args.lr_factor_epoch) as u64).max(1);
        sgd = sgd.schedule(Factor::new(step, args.lr_factor)?);
    }
    Ok(sgd)
}

fn describe(end: &EpochEnd<'_>, num_epochs: u64) -> String {
    let line = Line::of(end);
    format!(
        "epoch {}/{num_epochs}: train accuracy {:.4}, train loss {:.4}, validation accuracy {:.4}, {:.0} samples/s, {:.1} s",
        line.epoch, line.train_accuracy, line.train_loss, line.validation_accuracy, line.samples_per_s, line.seconds
    )
}

/// What is told of an epoch. Numbers that are not finite become `null` in JSON.
#[derive(Serialize)]
struct Line {
    epoch: u64,
    train_accuracy: f64,
    train_loss: f64,
    validation_accuracy: f64,
    samples_per_s: f64,
    seconds: f64,
}

impl Line {
    fn of(end: &EpochEnd<'_>) -> Self {
        let value = |of, name| value_of(of, name).unwrap_or(f64::NAN);
        Line {
            epoch: end.epoch,
            train_accuracy: value(end.train, "accuracy"),
            train_loss: value(end.train, "cross-entropy"),
            validation_accuracy: value(end.validation, "accuracy"),
            samples_per_s: end.samples_per_s,
            seconds: end.seconds,
        }
    }
}

/// The file that gets a JSON object for each epoch.
struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    fn open(path: &Path) -> Result<Log, Error> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.map_err(|e| Error::io(format!("cannot open {}", path.display()), e))?;
        Ok(Log { path: path.to_path_buf(), file })
    }

    fn append(&mut self, end: &EpochEnd<'_>) -> Result<(), Error> {
        let failed = |e| Error::io(format!("cannot write {}", self.path.display()), e);
        let mut line = serde_json::to_vec(&Line::of(end)).map_err(|e| failed(e.into()))?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(failed)
    }
}
