//! The command `predict`.

use crate::args::PredictArgs;
use crate::data::{self, Dataset};
use crate::failure::{Failure, say};
use crate::pictures;
use crate::plugins::Plugins;
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;
use varflow::Error;
use varflow::io::Array;
use varflow::prelude::*;

/// Prints what a checkpoint sees, a line for each picture.
pub(crate) fn run(args: &PredictArgs, plugins: &Plugins) -> Result<(), Failure> {
    if args.files.is_empty() && args.dataset.is_none() {
        return Err(Failure::Usage("there is nothing to look at: wanted FILES or --dataset".to_string()));
    }
    let rt = plugins.runtime(args.checkpoint.cpus)?;
    let module = Module::load(&rt, &args.checkpoint.model_prefix, args.checkpoint.epoch)?;
    let classes = Classes::new(args.labels.as_deref(), args.dataset)?;
    let input = match module.inputs()[..] {
        [input] => input.to_string(),
        _ => "data".to_string(),
    };
    let mut teller = Teller { args, module, input, classes };
    if let (Some(dataset), true) = (args.dataset, args.files.is_empty()) {
        let test = data::load(dataset, args.data_dir.as_deref())?.test;
        let labels = test.labels.to_f32();
        let label = |i: usize| labels.get(i).map(|l| dataset.class_name(*l as usize));
        return teller.tell_array(dataset.name(), test.images, &label);
    }
    let mut how = None;
    // Pictures of one size, up to a batch of them, are looked at together.
    let mut waiting: Vec<(String, Array)> = Vec::new();
    for path in &args.files {
        let name = path.display().to_string();
        if !data::is_picture(path)? {
            teller.tell_pictures(&mut waiting)?;
            teller.tell_array(&name, data::read_pictures(path)?.into(), &|_| None)?;
            continue;
        }
        let how = match &how {
            Some(how) => how,
            None => how.insert(args.pictures.preprocess(&teller.module, &teller.input)?),
        };
        let picture = pictures::read(path, how)?;
        let is_full = waiting.len() == args.checkpoint.batch_size as usize;
        if is_full || waiting.last().is_some_and(|(_, last)| last.shape() != picture.shape()) {
            teller.tell_pictures(&mut waiting)?;
        }
        waiting.push((name, picture));
    }
    teller.tell_pictures(&mut waiting)
}

/// What looks at pictures and tells what it sees.
struct Teller<'a> {
    args: &'a PredictArgs,
    module: Module,
    /// The network's input.
    input: String,
    classes: Classes,
}

/// What is told of one picture.
#[derive(Serialize)]
struct Line<'a> {
    picture: &'a str,
    /// The class that it is known to be of.
    label: Option<String>,
    top: Vec<Seen>,
}

#[derive(Serialize)]
struct Seen {
    class: usize,
    name: String,
    score: f32,
}

impl Teller<'_> {
    /// Looks at the pictures of one array.
    fn tell_array(
        &mut self,
        source: &str,
        images: Arc<Array>,
        label: &dyn Fn(usize) -> Option<String>,
    ) -> Result<(), Failure> {
        let images = match self.args.num_examples.and_then(|n| usize::try_from(n).ok()) {
            Some(n) => Arc::new(Arc::unwrap_or_clone(images).first(n)),
            None => images,
        };
        let n = images.num_samples();
        let name = |i: usize| if n == 1 { source.to_string() } else { format!("{source}[{i}]") };
        self.tell(source, &images, &name, label)
    }

    /// Looks at pictures of one shape, and takes them away.
    fn tell_pictures(&mut self, waiting: &mut Vec<(String, Array)>) -> Result<(), Failure> {
        let (names, arrays): (Vec<_>, Vec<_>) = waiting.drain(..).unzip();
        let Some(source) = names.first() else { return Ok(()) };
        let images = Arc::new(Array::concat(&arrays)?);
        self.tell(source, &images, &|i| names.get(i).cloned().unwrap_or_default(), &|_| None)
    }

    fn tell(
        &mut self,
        source: &str,
        images: &Arc<Array>,
        name: &dyn Fn(usize) -> String,
        label: &dyn Fn(usize) -> Option<String>,
    ) -> Result<(), Failure> {
        let place = || format!("{source} (pictures of shape {})", images.shape());
        let batch_size = (self.args.checkpoint.batch_size as usize).min(images.num_samples().max(1));
        let iter = data::pictures(&self.module.runtime().engine, &self.input, images, batch_size).build();
        let mut iter = iter.map_err(|e| e.at(place()))?;
        let predictions = self.module.predict(&mut iter).map_err(|e| e.at(place()))?;
        self.classes.check(predictions.row.len())?;
        for (i, top) in predictions.top(self.args.top as usize).enumerate() {
            let seen = |(class, score)| Seen { class, name: self.classes.name(class), score };
            let top = top.into_iter().map(seen).collect();
            let line = Line { picture: &name(i), label: label(i), top };
            say(&if self.args.json { line.to_json()? } else { line.to_text() })?;
        }
        Ok(())
    }
}

impl Line<'_> {
    fn to_text(&self) -> String {
        let seen: Vec<_> = self.top.iter().map(|s| format!("{} {:.4}", s.name, s.score)).collect();
        let truth = self.label.as_ref().map(|l| format!(" (label {l})")).unwrap_or_default();
        format!("{}: {}{truth}", self.picture, seen.join(", "))
    }

    fn to_json(&self) -> Result<String, Error> {
        serde_json::to_string(self).map_err(|e| Error::Data(format!("{}: the scores are no JSON: {e}", self.picture)))
    }
}

/// What classes are called.
enum Classes {
    /// As the lines of a file say.
    Named {
        file: String,
        names: Vec<String>,
    },
    Of(Dataset),
    Numbered,
}

impl Classes {
    fn new(labels: Option<&Path>, dataset: Option<Dataset>) -> Result<Classes, Error> {
        let Some(path) = labels else { return Ok(dataset.map_or(Classes::Numbered, Classes::Of)) };
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(format!("cannot read {file}"), e))?;
        Ok(Classes::Named { names: text.lines().map(|l| l.trim().to_string()).collect(), file })
    }

    /// Refuses names that are not as many as classes.
    fn check(&self, classes: usize) -> Result<(), Error> {
        match self {
            Classes::Named { file, names } if names.len() != classes => {
                let found = names.len();
                Err(Error::Data(format!(
                    "{file} has {found} lines, wanted one for each of the network's {classes} classes"
                )))
            }
            _ => Ok(()),
        }
    }

    fn name(&self, class: usize) -> String {
        match self {
            Classes::Named { names, .. } => names.get(class).cloned().unwrap_or_else(|| class.to_string()),
            Classes::Of(dataset) => dataset.class_name(class),
            Classes::Numbered => class.to_string(),
        }
    }
}
