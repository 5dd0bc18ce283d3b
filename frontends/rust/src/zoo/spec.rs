//! What network is wanted.

use super::{Model, NETWORKS, Network};
use std::fmt;
use std::str::FromStr;
use varflow_ops::{Error, Result, Shape};
use varflow_symbol::Symbol;

/// A network by name and sizes. What is `None` is as usual for the network; a network refuses what it does not know.
///
/// It is read from and written as a short name: the network's, then the number of layers, a multiplier (known by its point)
/// and `bn`, each where wanted: `resnet-50`, `mobilenet-v2-0.5`, `vgg-16-bn`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spec {
    /// Which network: `resnet`, `vgg`, `inception-bn`.
    pub network: String,
    /// Layers that have weights, as the network's authors count them.
    pub num_layers: Option<usize>,
    /// Classes to tell apart; of a language model, the words.
    pub num_classes: Option<usize>,
    /// Channels, height and width of an image.
    pub image_shape: Option<[usize; 3]>,
    /// Whether every convolution of `vgg` is normalised.
    pub batch_norm: Option<bool>,
    /// The factor on the number of filters of `mobilenet` and `mobilenet-v2`.
    pub multiplier: Option<f64>,
    /// Words that a language model is unrolled over.
    pub seq_len: Option<usize>,
    /// Units of each recurrent layer of a language model.
    pub num_hidden: Option<usize>,
    /// Length of the vector that a language model makes of a word.
    pub num_embed: Option<usize>,
}

/// What a network's own function gives.
pub(super) struct Built {
    pub(super) symbol: Symbol,
    pub(super) data_shape: Shape,
    pub(super) num_classes: usize,
}

impl Spec {
    /// This network, as usual.
    #[must_use]
    pub fn new(network: &str) -> Spec {
        Spec { network: network.to_string(), ..Spec::default() }
    }

    /// Builds the network.
    ///
    /// # Errors
    /// A network that there is not, an option that it does not know, or a value that it has no form for: with what is
    /// wanted.
    pub fn build(&self) -> Result<Model> {
        let known = NETWORKS.iter().find(|n| n.name == self.network);
        let network = known.ok_or_else(|| unknown(&self.network))?;
        let given = [
            ("num_layers", self.num_layers.is_some()),
            ("image_shape", self.image_shape.is_some()),
            ("batch_norm", self.batch_norm.is_some()),
            ("multiplier", self.multiplier.is_some()),
            ("seq_len", self.seq_len.is_some()),
            ("num_hidden", self.num_hidden.is_some()),
            ("num_embed", self.num_embed.is_some()),
        ];
        if let Some((option, _)) = given.iter().find(|(option, given)| *given && !network.takes.contains(option)) {
            let takes: Vec<&str> = std::iter::once("num_classes").chain(network.takes.iter().copied()).collect();
            return Err(self.refuse(&format!("it has no option {option}, only {}", takes.join(", "))));
        }
        let sizes = [self.num_classes, self.seq_len, self.num_hidden, self.num_embed];
        if sizes.into_iter().flatten().chain(self.image_shape.into_iter().flatten()).any(|size| size == 0) {
            return Err(self.refuse("one of its sizes is 0: wanted at least 1"));
        }
        let Built { symbol, data_shape, num_classes } = (network.build)(self)?;
        Ok(Model { name: self.to_string(), about: network.about, symbol, data_shape, num_classes })
    }

    /// The sizes of images and classes, if not given as usual for the network.
    pub(super) fn images(&self, usual: [usize; 3], num_classes: usize) -> Images {
        let shape = self.image_shape.unwrap_or(usual);
        Images { shape, num_classes: self.num_classes.unwrap_or(num_classes) }
    }

    /// An error about this network.
    pub(super) fn refuse(&self, why: &str) -> Error {
        Error::Param(format!("network \"{}\": {why}", self.network))
    }

    /// The error of a number of layers that the network has no form of.
    pub(super) fn refuse_layers(&self, wanted: &str) -> Error {
        match self.num_layers {
            None => self.refuse(&format!("num_layers is missing: wanted {wanted}")),
            Some(n) => self.refuse(&format!("num_layers is {n}: wanted {wanted}")),
        }
    }
}

/// The sizes of a network that looks at images.
pub(super) struct Images {
    pub(super) shape: [usize; 3],
    pub(super) num_classes: usize,
}

impl Images {
    pub(super) fn height(&self) -> usize {
        self.shape[1]
    }

    pub(super) fn built(&self, symbol: Symbol) -> Built {
        Built { symbol, data_shape: self.shape.into(), num_classes: self.num_classes }
    }
}

fn unknown(name: &str) -> Error {
    let names: Vec<&str> = NETWORKS.iter().map(|n| n.name).collect();
    let wanted = names.join(", ");
    Error::Param(format!("there is no network \"{name}\": wanted {wanted}, or one in short such as resnet-50"))
}

impl FromStr for Spec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let rest_of = |n: &&Network| text.strip_prefix(n.name).filter(|r| r.is_empty() || r.starts_with('-'));
        let found = NETWORKS.iter().filter_map(|n| Some((n, rest_of(n)?))).max_by_key(|(n, _)| n.name.len());
        let (network, rest) = found.ok_or_else(|| unknown(text))?;
        let mut spec = Spec::new(network.name);
        for word in rest.split('-').skip(1) {
            let refuse = || {
                let forms: Vec<&str> = network.forms.iter().copied().filter(|f| !f.is_empty()).collect();
                let wanted = if forms.is_empty() { "nothing".to_string() } else { forms.join(", ") };
                Error::Param(format!(
                    "network \"{text}\": \"{word}\" after {} says nothing: wanted {wanted}",
                    network.name
                ))
            };
            let takes = |option| network.takes.contains(&option);
            match word {
                "bn" if takes("batch_norm") && spec.batch_norm.is_none() => spec.batch_norm = Some(true),
                w if w.contains('.') && takes("multiplier") && spec.multiplier.is_none() => {
                    spec.multiplier = Some(w.parse().map_err(|_| refuse())?);
                }
                w if takes("num_layers") && spec.num_layers.is_none() => {
                    spec.num_layers = Some(w.parse().map_err(|_| refuse())?);
                }
                _ => return Err(refuse()),
            }
        }
        Ok(spec)
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.network)?;
        if let Some(n) = self.num_layers {
            write!(f, "-{n}")?;
        }
        if let Some(multiplier) = self.multiplier {
            write!(f, "-{multiplier:?}")?;
        }
        if self.batch_norm == Some(true) {
            f.write_str("-bn")?;
        }
        Ok(())
    }
}
