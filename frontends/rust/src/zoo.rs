//! The networks of the field, under the layer names of MXNet 1.x's programs, so that their checkpoints load.
//!
//! Each takes `data` and `softmax_label` and ends in a `SoftmaxOutput` called `softmax`. A network has a short name, such as
//! `resnet-50`, or is told in full by a [`Spec`]:
//!
//! ```
//! use varflow::zoo::{self, Spec};
//!
//! let small = zoo::by_name("resnet-20")?;
//! assert_eq!((small.data_shape.dims(), small.num_classes), (&[3, 28, 28][..], 10));
//! let wide = Spec { num_layers: Some(50), num_classes: Some(37), ..Spec::new("resnet") }.build()?;
//! assert_eq!(wide.data_shape.dims(), [3, 224, 224]);
//! # Ok::<(), varflow::Error>(())
//! ```

mod alexnet;
mod densenet;
mod googlenet;
mod inception_bn;
mod inception_bn_small;
mod inception_v3;
mod language_model;
mod layers;
mod lenet;
mod mlp;
mod mobilenet;
mod mobilenet_v2;
mod residual;
mod resnet;
mod resnet_v1;
mod resnext;
mod spec;
mod squeezenet;
mod vgg;

pub use lenet::lenet;
pub use mlp::mlp;
pub use spec::Spec;

use spec::Built;
use varflow_ops::{Result, Shape};
use varflow_symbol::Symbol;

/// A network, and what a program that uses it needs to know.
#[derive(Clone, Debug)]
pub struct Model {
    /// What it was asked for as, in short: `resnet-50`.
    pub name: String,
    /// What it is and who described it, in a line.
    pub about: &'static str,
    /// The network itself.
    pub symbol: Symbol,
    /// The shape of one sample of `data`.
    pub data_shape: Shape,
    /// How many classes it tells apart.
    pub num_classes: usize,
}

/// A kind of network: one file of this folder has one or more.
struct Network {
    name: &'static str,
    about: &'static str,
    /// What may follow the name in a short name, such as `50` or `16-bn`; an empty text stands for the name alone.
    forms: &'static [&'static str],
    /// The options of [`Spec`] that it knows, besides `num_classes`.
    takes: &'static [&'static str],
    build: fn(&Spec) -> Result<Built>,
}

const NETWORKS: [&Network; 19] = [
    &mlp::MLP,
    &lenet::LENET,
    &alexnet::ALEXNET,
    &vgg::VGG,
    &googlenet::GOOGLENET,
    &inception_bn::INCEPTION_BN,
    &inception_bn_small::INCEPTION_BN_28_SMALL,
    &inception_bn::INCEPTION_BN_FULL,
    &inception_v3::INCEPTION_V3,
    &resnet::RESNET,
    &resnet_v1::RESNET_V1,
    &resnext::RESNEXT,
    &mobilenet::MOBILENET,
    &mobilenet_v2::MOBILENET_V2,
    &squeezenet::SQUEEZENET_1_0,
    &squeezenet::SQUEEZENET_1_1,
    &densenet::DENSENET,
    &language_model::LSTM_LM,
    &language_model::GRU_LM,
];

/// The short names of all networks in their usual forms.
pub fn names() -> impl Iterator<Item = String> {
    let joined = |name: &str, form: &str| if form.is_empty() { name.to_string() } else { format!("{name}-{form}") };
    NETWORKS.iter().flat_map(move |n| n.forms.iter().map(move |form| joined(n.name, form)))
}

/// The network of this short name, with its usual sizes.
///
/// # Errors
/// When there is none: with the names that there are.
pub fn by_name(name: &str) -> Result<Model> {
    name.parse::<Spec>()?.build()
}
