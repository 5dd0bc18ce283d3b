//! The command `train`.

use crate::args::TrainArgs;
use crate::failure::{Failure, say, warn};
use crate::network::Network;
use crate::plugins::Plugins;
use crate::progress::Progress;
use crate::source::Source;
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use varflow::callback::EpochEnd;
use varflow::metric::value_of;
use varflow::prelude::*;
use varflow::zoo::Spec;
use varflow::{Error, Files};

/// Trains as the command line says.
pub(crate) fn run(args: &TrainArgs, plugins: &Plugins) -> Result<(), Failure> {
    let stop = stop_on_interrupt()?;
    let rt = plugins.runtime(args.cpus)?;
    let network = match (&args.network, &args.model_prefix, args.load_epoch) {
        (Some(network), ..) => network.clone(),
        (None, Some(prefix), Some(epoch)) => Network::File(Files::new(prefix, epoch).symbol),
        (None, ..) => Network::Zoo(Spec::new("lenet")),
    };
    let module = Module::new(&rt, network.build(&args.sizes)?.0)?;
    let mut module = module.recompute(args.budget.recompute()).memory_budget(args.budget.memory_budget);
    let mut log = args.json.as_deref().map(Log::open).transpose()?;
    if let (Some(prefix), Some(epoch)) = (&args.model_prefix, args.load_epoch) {
        module.load_params(prefix, epoch)?;
    }
    let seed = args.seed.unwrap_or(module.seed());
    let mut optimizer = args.optimizer.rule(&rt.registry, args.lr)?.wd(args.wd);
    let mut source = Source::open(args, &rt, seed).map_err(|e| match (e, stop.load(Ordering::Relaxed)) {
        (Failure::Failed(_), true) => Failure::Interrupted("interrupted before training".to_string()),
        (e, _) => e,
    })?;
    source.bind(&mut module)?;
    if let Some(schedule) = schedule(args, source.train.num_batches())? {
        optimizer = optimizer.schedule(schedule);
    }
    let workers = rt.engine.default_lane().width();
    if module.progress().epoch >= args.num_epochs {
        let (done, wanted) = (module.progress().epoch, args.num_epochs);
        return say(&format!("nothing to do: {done} epochs are done, --num-epochs asks for {wanted}"));
    }
    say(&format!("training {network} on {}, {workers} workers", source.text))?;

    let progress = Progress::new(args.num_epochs);
    let mut said = Ok(());
    let mut fit = Fit::epochs(args.num_epochs)
        .optimizer(optimizer)
        .seed(seed)
        .stop(stop)
        .warning(|text| progress.aside(|| warn(text)))
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
    if let Some(eval) = &mut source.eval {
        fit = fit.eval(&mut **eval);
    }
    let ending = module.fit(&mut *source.train, fit);
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

/// The schedule of the learning rate, if it is not constant.
fn schedule(args: &TrainArgs, batches_per_epoch: Option<usize>) -> Result<Option<Factor>, Failure> {
    let Some(batches) = batches_per_epoch else {
        return match args.lr_factor {
            Some(factor) if factor < 1.0 => Err(Failure::Usage(
                "--lr-factor goes by epochs, and the iterator does not know how many batches an epoch has: wanted \
                 --lr-factor 1"
                    .to_string(),
            )),
            _ => Ok(None),
        };
    };
    let factor = args.lr_factor.unwrap_or(0.9);
    let step = ((batches as f64 * args.lr_factor_epoch) as u64).max(1);
    Ok(if factor < 1.0 { Some(Factor::new(step, factor)?) } else { None })
}

fn describe(end: &EpochEnd<'_>, num_epochs: u64) -> String {
    let line = Line::of(end);
    let measured = [
        ("train accuracy", line.train_accuracy),
        ("train loss", line.train_loss),
        ("validation accuracy", line.validation_accuracy),
    ];
    let measured = measured.iter().filter(|(name, _)| !end.validation.is_empty() || !name.starts_with("validation"));
    let measured: String = measured.map(|(name, value)| format!("{name} {value:.4}, ")).collect();
    format!("epoch {}/{num_epochs}: {measured}{:.0} samples/s, {:.1} s", line.epoch, line.samples_per_s, line.seconds)
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
