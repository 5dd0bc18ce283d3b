//! The built-in operators: one file each, or one a family, and one line each in [`provider`].

use crate::operator::{Entry, Gradient};
use crate::registry::Provider;
use crate::{Attrs, Error, Result};

mod activation;
mod add_n;
mod batch_norm;
mod batch_dot;
mod broadcast;
mod cast;
mod clip;
mod convolution;
mod dims;
mod dot;
mod dropout;
mod elementwise;
mod elemwise_binary;
mod fill;
mod flatten;
mod fully_connected;
mod pooling;
mod random;
mod range;
mod reduce;
mod reshape;
mod scalar;
mod sgd;
mod softmax;
mod softmax_output;
mod transpose;
mod unary;
mod window;

pub use convolution::convolution_window;
pub use dims::{around_axis, axis_of};
pub use pooling::{counts_padding, pooling_window};
pub use range::{arange_numbers, linspace_numbers};
pub use reduce::reduced_axes;
pub use softmax::temperature;
pub use softmax_output::softmax_output_axes;
pub use transpose::transpose_order;
pub use window::{Rounding, Window};

/// All built-in operators, without kernels, and the update rules made of them.
#[must_use]
pub fn provider() -> Provider {
    let mut provider = Provider::new("builtin")
        .operator(activation::ACTIVATION)
        .operator(activation::BACKWARD)
        .operator(add_n::AddN)
        .operator(batch_norm::BatchNorm)
        .operator(batch_norm::Backward)
        .operator(cast::Backward)
        .operator(convolution::Convolution)
        .operator(convolution::Backward)
        .operator(dot::Dot)
        .operator(dot::Backward)
        .operator(dropout::Dropout)
        .operator(dropout::Backward)
        .operator(flatten::Flatten)
        .operator(fully_connected::FullyConnected)
        .operator(fully_connected::Backward)
        .operator(pooling::Pooling)
        .operator(pooling::Backward)
        .operator(random::Random::Uniform)
        .operator(random::Random::Normal)
        .operator(reshape::Reshape)
        .operator(reshape::Backward)
        .operator(sgd::Update { momentum: false })
        .operator(sgd::Update { momentum: true })
        .operator(softmax::Softmax { log: false })
        .operator(softmax::Softmax { log: true })
        .operator(softmax_output::SoftmaxOutput)
        .operator(softmax_output::Backward)
        .operator(transpose::Transpose);
    provider = unary::ALL.into_iter().fold(provider, Provider::operator);
    provider = scalar::ALL.into_iter().fold(provider, Provider::operator);
    provider = elemwise_binary::ALL.into_iter().fold(provider, Provider::operator);
    provider = softmax::BACKWARD.into_iter().fold(provider, Provider::operator);
    provider = fill::LIKE.into_iter().fold(provider, Provider::operator);
    provider = fill::FILLS.into_iter().fold(provider, Provider::operator);
    provider = sgd::update_rules().into_iter().fold(provider, Provider::update_rule);
    provider = unary::FUNCTIONS.into_iter().flatten().fold(provider, Provider::operator);
    provider = clip::ALL.into_iter().fold(provider, Provider::operator);
    provider = cast::ALL.into_iter().fold(provider, Provider::operator);
    provider = batch_dot::MatrixProduct::ALL.into_iter().fold(provider, Provider::operator);
    provider = range::ALL.into_iter().fold(provider, Provider::operator);
    provider = reduce::ALL.into_iter().fold(provider, Provider::operator);
    provider = reduce::BACKWARD.into_iter().fold(provider, Provider::operator);
    provider = broadcast::ALL.into_iter().fold(provider, Provider::operator);
    broadcast::BACKWARD.into_iter().fold(provider, Provider::operator)
}

/// Adds one node of a gradient that is composed of several, named `<node>_backward_<part>`, with no parameters.
fn compose(grad: &mut Gradient<'_>, part: &str, op: &str, inputs: &[Entry]) -> Result<Entry> {
    let name = format!("{}_backward_{part}", grad.node);
    grad.graph.add(op, &name, Attrs::new(), inputs)
}

fn no_gradient(op: &str, node: &str) -> Error {
    Error::Contract(format!("{op} \"{node}\" has no gradient"))
}
