//! The built-in operators: one file each, or one a family, and one line each in [`provider`].

use crate::operator::{Entry, Gradient};
use crate::registry::Provider;
use crate::{Attrs, Error, Result};

mod activation;
mod add_n;
mod arg_max;
mod batch_dot;
mod batch_norm;
mod bilinear_sampler;
mod broadcast;
mod broadcast_to;
mod cast;
mod clip;
mod concat;
mod convolution;
mod crop;
mod deconvolution;
mod depth_space;
mod dims;
mod dot;
mod dropout;
mod elementwise;
mod elemwise_binary;
mod expand_squeeze;
mod fill;
mod flatten;
mod fully_connected;
mod fused_elementwise;
mod gather_nd;
mod grid_generator;
mod group_norm;
mod hard_sigmoid;
mod instance_norm;
mod l2_normalization;
mod layer_norm;
mod layout;
mod leaky_relu;
mod like;
mod lrn;
mod make_loss;
mod order;
mod pad;
mod pick;
mod pooling;
mod random;
mod range;
mod reduce;
mod regression_output;
mod repeat;
mod reshape;
mod reverse;
mod rnn;
mod roi_pooling;
mod scalar;
mod select;
mod sequence;
mod sgd;
mod shape_of;
mod slice;
mod slice_channel;
mod smooth_l1;
mod softmax;
mod softmax_activation;
mod softmax_cross_entropy;
mod softmax_output;
mod svm_output;
mod swap_axis;
mod take;
mod transpose;
mod unary;
mod upsampling;
mod window;

pub use arg_max::arg_axis;
pub use concat::join_axis;
pub use convolution::convolution_window;
pub use crop::crop_origin;
pub use deconvolution::deconvolution_window;
pub use dims::{around_axis, axis_of};
pub use fused_elementwise::{Program, Step, elementwise_function};
pub use grid_generator::grid_is_affine;
pub use l2_normalization::l2_normalization_vectors;
pub use leaky_relu::leaky_relu_saves_output;
pub use order::{Ordered, order_axis};
pub use pad::pad_widths;
pub use pick::pick_axis;
pub use pooling::{counts_padding, pooling_power, pooling_window};
pub use range::{arange_numbers, linspace_numbers};
pub use reduce::reduced_axes;
pub use repeat::{repeat_axis, tile_reps};
pub use reverse::reversed_axes;
pub use rnn::{RnnMode, RnnSizes};
pub use roi_pooling::pooled_size;
pub use slice::{Span, slice_spans};
pub use slice_channel::slice_channel_axis;
pub use softmax::temperature;
pub use softmax_output::softmax_output_axes;
pub use swap_axis::swapped_order;
pub use take::take_axis;
pub use transpose::transpose_order;
pub use upsampling::{bilinear_window, upsampling_is_bilinear};
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
        .operator(deconvolution::Deconvolution)
        .operator(deconvolution::Backward)
        .operator(dot::Dot)
        .operator(dot::Backward)
        .operator(dropout::Dropout)
        .operator(dropout::Backward)
        .operator(flatten::Flatten)
        .operator(fully_connected::FullyConnected)
        .operator(fully_connected::Backward)
        .operator(fused_elementwise::FusedElementwise)
        .operator(instance_norm::InstanceNorm)
        .operator(instance_norm::Backward)
        .operator(leaky_relu::LeakyRelu)
        .operator(leaky_relu::Backward)
        .operator(lrn::Lrn)
        .operator(lrn::Backward)
        .operator(make_loss::MakeLoss)
        .operator(make_loss::Backward)
        .operator(pooling::Pooling)
        .operator(pooling::Backward)
        .operator(random::Random::Uniform)
        .operator(random::Random::Normal)
        .operator(reshape::Reshape)
        .operator(reshape::Backward)
        .operator(sgd::Update { momentum: false })
        .operator(sgd::Update { momentum: true })
        .operator(softmax_output::SoftmaxOutput)
        .operator(softmax_output::Backward)
        .operator(transpose::Transpose);
    provider = indexing_family(layout_family(provider));
    provider = norm_family(provider);
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
    provider = regression_output::ALL
        .into_iter()
        .fold(provider, |p, op| p.operator(op).operator(regression_output::Backward(op)));
    provider = broadcast::ALL.into_iter().fold(provider, Provider::operator);
    broadcast::BACKWARD.into_iter().fold(provider, Provider::operator)
}

/// Normalisations, recurrent layers, and losses and steps of their kind.
fn norm_family(provider: Provider) -> Provider {
    let provider = provider
        .operator(group_norm::GroupNorm)
        .operator(group_norm::Backward)
        .operator(l2_normalization::L2Normalization)
        .operator(l2_normalization::Backward)
        .operator(layer_norm::LayerNorm)
        .operator(layer_norm::Backward)
        .operator(make_loss::MakePlainLoss)
        .operator(rnn::Rnn)
        .operator(rnn::Backward)
        .operator(softmax_activation::SoftmaxActivation)
        .operator(softmax_activation::BACKWARD)
        .operator(softmax_cross_entropy::SoftmaxCrossEntropy)
        .operator(softmax_cross_entropy::Backward)
        .operator(svm_output::SvmOutput)
        .operator(svm_output::Backward);
    let provider = softmax::ALL.into_iter().fold(provider, Provider::operator);
    let provider = hard_sigmoid::ALL.into_iter().fold(provider, Provider::operator);
    smooth_l1::ALL.into_iter().fold(provider, Provider::operator)
}

/// Operators that move elements.
fn layout_family(provider: Provider) -> Provider {
    let provider = provider
        .operator(concat::Join::Concat)
        .operator(concat::Join::Stack)
        .operator(concat::Backward(concat::Join::Concat))
        .operator(concat::Backward(concat::Join::Stack))
        .operator(slice_channel::SliceChannel)
        .operator(slice_channel::Backward)
        .operator(slice::SLICE_OP)
        .operator(slice::SLICE_AXIS_OP)
        .operator(pad::PAD)
        .operator(pad::BACKWARD)
        .operator(expand_squeeze::EXPAND_DIMS)
        .operator(expand_squeeze::Squeeze)
        .operator(repeat::TILE_OP)
        .operator(repeat::REPEAT_OP)
        .operator(reverse::REVERSE)
        .operator(swap_axis::SWAP_AXIS)
        .operator(depth_space::DEPTH_TO_SPACE)
        .operator(depth_space::SPACE_TO_DEPTH)
        .operator(broadcast_to::BROADCAST_TO)
        .operator(broadcast_to::BROADCAST_AXIS)
        .operator(crop::Crop)
        .operator(crop::BACKWARD)
        .operator(shape_of::ShapeOf::Shape)
        .operator(shape_of::ShapeOf::Size)
        .operator(upsampling::UpSampling)
        .operator(upsampling::Backward);
    let provider = like::ALL.into_iter().fold(provider, Provider::operator);
    let provider = like::BACKWARD.into_iter().fold(provider, Provider::operator);
    let backward = slice::BACKWARD.into_iter().chain(repeat::BACKWARD).chain(broadcast_to::BACKWARD);
    backward.fold(provider, Provider::operator)
}

/// Operators that find elements by numbers, and numbers of elements.
fn indexing_family(provider: Provider) -> Provider {
    provider
        .operator(take::Take::Take)
        .operator(take::Take::Embedding)
        .operator(take::Backward(take::Take::Take))
        .operator(take::Backward(take::Take::Embedding))
        .operator(pick::Pick::Pick)
        .operator(pick::Pick::BatchTake)
        .operator(pick::Backward(pick::Pick::Pick))
        .operator(pick::Backward(pick::Pick::BatchTake))
        .operator(pick::OneHot)
        .operator(select::Where)
        .operator(select::Backward)
        .operator(gather_nd::GatherNd)
        .operator(gather_nd::Backward)
        .operator(gather_nd::ScatterNd)
        .operator(arg_max::Arg::Max)
        .operator(arg_max::Arg::Min)
        .operator(arg_max::Arg::MaxChannel)
        .operator(order::Order::TopK)
        .operator(order::Order::Sort)
        .operator(order::Order::ArgSort)
        .operator(order::Backward(order::Order::TopK))
        .operator(order::Backward(order::Order::Sort))
        .operator(sequence::Sequence::Mask)
        .operator(sequence::Sequence::Last)
        .operator(sequence::Sequence::Reverse)
        .operator(sequence::LastBackward)
        .operator(roi_pooling::RoiPooling)
        .operator(roi_pooling::Backward)
        .operator(bilinear_sampler::BilinearSampler)
        .operator(bilinear_sampler::Backward)
        .operator(grid_generator::GridGenerator)
        .operator(grid_generator::Backward)
}

/// Adds one node of a gradient that is composed of several, named `<node>_backward_<part>`, with no parameters.
fn compose(grad: &mut Gradient<'_>, part: &str, op: &str, inputs: &[Entry]) -> Result<Entry> {
    let name = format!("{}_backward_{part}", grad.node);
    grad.graph.add(op, &name, Attrs::new(), inputs)
}

fn no_gradient(op: &str, node: &str) -> Error {
    Error::Contract(format!("{op} \"{node}\" has no gradient"))
}
