//! What a network is trained on: a data set, or iterators by name.

use crate::args::TrainArgs;
use crate::data::{self, Dataset};
use crate::failure::Failure;
use std::path::Path;
use varflow::io::Prefetch;
use varflow::ops::{Attrs, DataDesc, Part};
use varflow::prelude::*;
use varflow::{Error, Runtime};

/// Batches that are prepared before they are asked for: one in use, one ready.
const AHEAD: usize = 2;

/// Where training samples and those to measure on come from.
pub(crate) struct Source {
    /// What it is, and how much of it: `mnist: 640 samples in batches of 32`.
    pub(crate) text: String,
    pub(crate) train: Box<dyn DataIter>,
    pub(crate) eval: Option<Box<dyn DataIter>>,
}

impl Source {
    /// Opens what the command line names.
    pub(crate) fn open(args: &TrainArgs, rt: &Runtime, seed: u64) -> Result<Source, Failure> {
        match (args.dataset, &args.train_iter) {
            (Some(dataset), _) => Ok(Source::of_dataset(args, dataset, rt, seed)?),
            (None, Some(name)) => Source::of_iterators(args, name, rt, seed),
            (None, None) => {
                Err(Failure::Usage("there is nothing to train on: wanted --dataset or --train-iter".into()))
            }
        }
    }

    fn of_dataset(args: &TrainArgs, dataset: Dataset, rt: &Runtime, seed: u64) -> Result<Source, Error> {
        let parts = data::load(dataset, args.data_dir.as_deref().map(Path::new))?;
        let num_examples = args.num_examples.and_then(|n| usize::try_from(n).ok());
        let train = num_examples.map_or_else(|| parts.train.clone(), |n| parts.train.first(n));
        let batch_size = args.batch_size as usize;
        Ok(Source {
            text: format!("{}: {} samples in batches of {batch_size}", dataset.name(), train.len()),
            train: Box::new(data::labelled(&rt.engine, &train, batch_size).shuffle(seed).build()?),
            eval: Some(Box::new(data::labelled(&rt.engine, &parts.test, 256).build()?)),
        })
    }

    fn of_iterators(args: &TrainArgs, name: &str, rt: &Runtime, seed: u64) -> Result<Source, Failure> {
        let open = |name: &str, params: &[(String, String)]| open(rt, name, params, args.batch_size, seed);
        let train = open(name, &args.iter_param)?;
        let eval = args.eval_iter.as_ref().map(|name| open(name, &args.eval_param)).transpose()?;
        let first = train.provide_data().first().and_then(|d| d.shape.dims().first().copied());
        let batch_size = first.ok_or_else(|| Error::Shape("gives no data with a first axis".into()).at(name))?;
        let count = train.num_batches().map(|n| format!("{n} ")).unwrap_or_default();
        Ok(Source { text: format!("{name}: {count}batches of {batch_size}"), train, eval })
    }

    /// Binds the network to the shapes of both, so that what does not fit is told before training.
    pub(crate) fn bind(&self, module: &mut Module) -> Result<(), Error> {
        for (what, iter) in [("training", Some(&self.train)), ("validation", self.eval.as_ref())] {
            let Some(iter) = iter else { continue };
            let given: Vec<DataDesc> = iter.provide_data().into_iter().chain(iter.provide_label()).collect();
            let inputs: Vec<_> = given.iter().map(|d| (&d.name[..], d.shape.clone())).collect();
            module.bind(&inputs).map_err(|e| {
                let given: Vec<_> = given.iter().map(|d| format!("{} {}", d.name, d.shape)).collect();
                e.at(format!("the {what} batches ({}) do not fit the network", given.join(", ")))
            })?;
        }
        Ok(())
    }
}

fn open(
    rt: &Runtime,
    name: &str,
    params: &[(String, String)],
    batch_size: u32,
    seed: u64,
) -> Result<Box<dyn DataIter>, Failure> {
    let usage = |e: Error| Failure::Usage(e.to_string());
    let place = |e: Error| e.at(format!("iterator \"{name}\""));
    let kind = rt.registry.iterator(name).map_err(usage)?;
    let mut attrs = attrs(params)?;
    if kind.schema().has("batch_size") {
        attrs.entry("batch_size".to_string()).or_insert_with(|| batch_size.to_string());
    }
    let params = kind.schema().parse(&attrs).map_err(place).map_err(usage)?;
    let iter = kind.open(&rt.engine, &params, Part { seed, ..Part::default() }).map_err(place)?;
    Ok(Box::new(Prefetch::new(&rt.engine, iter, AHEAD)))
}

/// Parameters as attributes.
pub(crate) fn attrs(pairs: &[(String, String)]) -> Result<Attrs, Failure> {
    let mut attrs = Attrs::new();
    for (name, value) in pairs {
        if let Some(first) = attrs.insert(name.clone(), value.clone()) {
            let text = format!("parameter \"{name}\" is given twice, as \"{first}\" and as \"{value}\"");
            return Err(Failure::Usage(text));
        }
    }
    Ok(attrs)
}
