//! The command `score`.

use crate::args::ScoreArgs;
use crate::data;
use crate::failure::{Failure, say};
use crate::plugins::Plugins;
use varflow::io::Split;
use varflow::prelude::*;

/// Prints the metrics of a checkpoint.
pub(crate) fn run(args: &ScoreArgs, plugins: &Plugins) -> Result<(), Failure> {
    if args.files.is_empty() && args.dataset.is_none() {
        return Err(nothing());
    }
    let rt = plugins.runtime(args.checkpoint.cpus)?;
    let mut module = Module::load(&rt, &args.checkpoint.model_prefix, args.checkpoint.epoch)?;
    let (what, part) = match (&args.files[..], args.dataset) {
        ([images, labels], _) => {
            let part = Split { images: data::read_pictures(images)?.into(), labels: data::read_array(labels)?.into() };
            (images.display().to_string(), part)
        }
        (_, Some(dataset)) => {
            (format!("the test part of {}", dataset.name()), data::load(dataset, args.data_dir.as_deref())?.test)
        }
        _ => return Err(nothing()),
    };
    let mut metrics: Vec<Box<dyn Metric>> = vec![Box::new(Accuracy), Box::new(CrossEntropy)];
    if let Some(k) = args.top {
        metrics.push(Box::new(TopK(k as usize)));
    }
    let mut iter = data::labelled(&rt.engine, &part, args.checkpoint.batch_size as usize).build()?;
    let measured = module.score(&mut iter, &Metrics::new(metrics)).map_err(|e| e.at(what.clone()))?;
    say(&format!("{what}: {} samples", part.len()))?;
    measured.iter().try_for_each(|m| say(&format!("{} {:.4}", m.name, m.value)))
}

fn nothing() -> Failure {
    Failure::Usage("there is nothing to score: wanted --dataset or IMAGES LABELS".to_string())
}
