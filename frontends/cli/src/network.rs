//! Networks by name or from a file, and the command `networks`.

use crate::failure::{Failure, say};
use clap::Args;
use serde::Serialize;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use varflow::Error;
use varflow::ops::Shape;
use varflow::symbol::{Symbol, json};
use varflow::zoo::{self, Spec};

/// A network of the zoo, or a symbol file.
#[derive(Clone, Debug)]
pub(crate) enum Network {
    Zoo(Spec),
    File(PathBuf),
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.ends_with(".json") {
            return Ok(Network::File(text.into()));
        }
        text.parse().map(Network::Zoo).map_err(|e: Error| format!("{e}; a symbol file ends in .json"))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Network::Zoo(spec) => spec.fmt(f),
            Network::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Sizes of a network of the zoo, where they are not as usual.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Options of a network of the zoo")]
pub(crate) struct NetworkSizes {
    /// Layers that have weights; of a language model, its recurrent layers.
    #[arg(long, value_name = "N")]
    pub(crate) num_layers: Option<usize>,
    /// Classes; of a language model, words.
    #[arg(long, value_name = "N")]
    pub(crate) num_classes: Option<usize>,
    /// Channels, height and width of an image, or the values that mlp takes; of a symbol file, the shape of one sample of
    /// `data`.
    #[arg(long, visible_alias = "data-shape", value_name = "C,H,W")]
    pub(crate) image_shape: Option<Sample>,
    /// Normalise every convolution of vgg.
    #[arg(long)]
    pub(crate) batch_norm: bool,
    /// Factor on the filters of mobilenet and mobilenet-v2.
    #[arg(long, value_name = "FACTOR")]
    pub(crate) multiplier: Option<f64>,
    /// Words that a language model is unrolled over.
    #[arg(long, value_name = "N")]
    pub(crate) seq_len: Option<usize>,
    /// Units of each recurrent layer.
    #[arg(long, value_name = "N")]
    pub(crate) num_hidden: Option<usize>,
    /// Length of the vector that a word becomes.
    #[arg(long, value_name = "N")]
    pub(crate) num_embed: Option<usize>,
}

/// The shape of one sample.
#[derive(Clone, Debug)]
pub(crate) struct Sample(pub(crate) Vec<usize>);

impl FromStr for Sample {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let extents = text.split(',').map(|extent| extent.trim().parse().ok()).collect::<Option<_>>();
        extents.map(Sample).ok_or_else(|| "wanted numbers such as 3,224,224".to_string())
    }
}

impl Network {
    /// The network itself, and the shape of one sample of `data` if it is known.
    pub(crate) fn build(&self, sizes: &NetworkSizes) -> Result<(Symbol, Option<Shape>), Failure> {
        match self {
            Network::Zoo(spec) => {
                let model = sizes.over(spec)?.build().map_err(|e| Failure::Usage(as_options(&e.to_string())))?;
                let flat = sizes.image_shape.as_ref().filter(|shape| shape.0.len() == 1);
                Ok((model.symbol, Some(flat.map_or(model.data_shape, |shape| Shape::new(&shape.0)))))
            }
            Network::File(path) => {
                if let Some(option) = sizes.of_the_zoo() {
                    let told =
                        format!("--{option} is for networks of the zoo: {} has sizes of its own", path.display());
                    return Err(Failure::Usage(told));
                }
                Ok((json::load(path)?, sizes.image_shape.as_ref().map(|shape| Shape::new(&shape.0))))
            }
        }
    }
}

impl NetworkSizes {
    /// The network with these sizes instead of its usual ones. What its short name says cannot be said otherwise.
    fn over(&self, spec: &Spec) -> Result<Spec, Failure> {
        Ok(Spec {
            network: spec.network.clone(),
            num_layers: one_of(spec, "num-layers", spec.num_layers, self.num_layers)?,
            num_classes: self.num_classes.or(spec.num_classes),
            image_shape: self.image(spec)?.or(spec.image_shape),
            batch_norm: self.batch_norm.then_some(true).or(spec.batch_norm),
            multiplier: one_of(spec, "multiplier", spec.multiplier, self.multiplier)?,
            seq_len: self.seq_len.or(spec.seq_len),
            num_hidden: self.num_hidden.or(spec.num_hidden),
            num_embed: self.num_embed.or(spec.num_embed),
        })
    }

    /// The image that the network is to take.
    fn image(&self, spec: &Spec) -> Result<Option<[usize; 3]>, Failure> {
        match self.image_shape.as_ref().map(|shape| &shape.0[..]) {
            None => Ok(None),
            Some(&[c, h, w]) => Ok(Some([c, h, w])),
            // It flattens what it takes.
            Some(&[n]) if spec.network == "mlp" => Ok(Some([1, 1, n])),
            Some(other) => {
                let n = other.len();
                let also = if spec.network == "mlp" { ", or one number" } else { "" };
                Err(Failure::Usage(format!(
                    "the shape of data has {n} numbers, wanted channels, height and width{also}"
                )))
            }
        }
    }

    /// The first option given that a symbol file has no use for.
    fn of_the_zoo(&self) -> Option<&'static str> {
        let given = [
            ("num-layers", self.num_layers.is_some()),
            ("num-classes", self.num_classes.is_some()),
            ("batch-norm", self.batch_norm),
            ("multiplier", self.multiplier.is_some()),
            ("seq-len", self.seq_len.is_some()),
            ("num-hidden", self.num_hidden.is_some()),
            ("num-embed", self.num_embed.is_some()),
        ];
        given.into_iter().find(|(_, given)| *given).map(|(option, _)| option)
    }
}

/// A size that a short name and an option may both say, the same.
fn one_of<T: PartialEq + fmt::Display>(
    spec: &Spec,
    option: &str,
    of_name: Option<T>,
    given: Option<T>,
) -> Result<Option<T>, Failure> {
    match (of_name, given) {
        (Some(of_name), Some(given)) if of_name != given => {
            let told = format!("--{option} {given} contradicts --network {spec}: wanted one of the two");
            Err(Failure::Usage(told))
        }
        (of_name, given) => Ok(given.or(of_name)),
    }
}

/// What the zoo says of its parameters, as the command line calls them.
fn as_options(text: &str) -> String {
    const PARAMETERS: [&str; 8] =
        ["num_layers", "num_classes", "image_shape", "batch_norm", "multiplier", "seq_len", "num_hidden", "num_embed"];
    let option = |name: &str| format!("--{}", name.replace('_', "-"));
    PARAMETERS.into_iter().fold(text.to_string(), |text, name| text.replace(name, &option(name)))
}

/// A network in the list.
#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    data_shape: &'a [usize],
    num_classes: usize,
    about: &'a str,
}

/// Prints the networks of the zoo in their usual forms.
pub(crate) fn list(as_json: bool) -> Result<(), Failure> {
    if !as_json {
        say(&format!("{:<22} {:<16} {:>7}  {}", "network", "data", "classes", "about"))?;
    }
    for name in zoo::names() {
        let model = zoo::by_name(&name)?;
        let (data_shape, num_classes, about) = (model.data_shape.dims(), model.num_classes, model.about);
        if as_json {
            let line = Line { name: &name, data_shape, num_classes, about };
            say(&serde_json::to_string(&line).map_err(|e| Error::Data(format!("the list is no JSON: {e}")))?)?;
        } else {
            say(&format!("{name:<22} {:<16} {num_classes:>7}  {about}", model.data_shape.to_string()))?;
        }
    }
    Ok(())
}
