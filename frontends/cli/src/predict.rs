//! The command `predict`.

use crate::args::PredictArgs;
use crate::data::{self, Dataset};
use crate::failure::{Failure, say};
use crate::plugins::Plugins;
use std::sync::Arc;
use varflow::io::Array;
use varflow::prelude::*;

/// Prints what a checkpoint sees, a line for each picture.
pub(crate) fn run(args: &PredictArgs, plugins: &Plugins) -> Result<(), Failure> {
    let rt = plugins.runtime(args.checkpoint.cpus)?;
    let mut module = Module::load(&rt, &args.checkpoint.model_prefix, args.checkpoint.epoch)?;
    if let (Some(dataset), true) = (args.dataset, args.files.is_empty()) {
        let test = data::load(dataset, args.data_dir.as_deref())?.test;
        let labels = test.labels.to_f32();
        let label = |i: usize| labels.get(i).map(|l| dataset.class_name(*l as usize));
        return print(args, &mut module, dataset.name(), test.images, &label);
    }
    for path in &args.files {
        let images = data::read_pictures(path)?;
        print(args, &mut module, &path.display().to_string(), images.into(), &|_| None)?;
    }
    Ok(())
}

fn print(
    args: &PredictArgs,
    module: &mut Module,
    source: &str,
    images: Arc<Array>,
    label: &dyn Fn(usize) -> Option<String>,
) -> Result<(), Failure> {
    let images = match args.num_examples.and_then(|n| usize::try_from(n).ok()) {
        Some(n) => Arc::new(Arc::unwrap_or_clone(images).first(n)),
        None => images,
    };
    let n = images.num_samples();
    let place = || format!("{source} (pictures of shape {})", images.shape());
    let batch_size = (args.checkpoint.batch_size as usize).min(n.max(1));
    let mut iter = data::pictures(&module.runtime().engine, &images, batch_size).build().map_err(|e| e.at(place()))?;
    let predictions = module.predict(&mut iter).map_err(|e| e.at(place()))?;
    for (i, top) in predictions.top(args.top as usize).enumerate() {
        let name = if n == 1 { source.to_string() } else { format!("{source}[{i}]") };
        let classes: Vec<_> =
            top.iter().map(|(class, p)| format!("{} {p:.4}", class_name(args.dataset, *class))).collect();
        let truth = label(i).map(|l| format!(" (label {l})")).unwrap_or_default();
        say(&format!("{name}: {}{truth}", classes.join(", ")))?;
    }
    Ok(())
}

fn class_name(dataset: Option<Dataset>, class: usize) -> String {
    dataset.map_or_else(|| class.to_string(), |d| d.class_name(class))
}
