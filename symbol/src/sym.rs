//! Functions that begin symbols: `sym::relu(sym::var("data"))`.
//!
//! There is one for each operator in daily use; [`op`] reaches all others, plug-ins' included, by name.

use crate::builder::{OpBuilder, VarBuilder};
use crate::symbol::Symbol;

/// A variable: data, a label or a parameter.
pub fn var(name: &str) -> VarBuilder {
    VarBuilder::new(name)
}

/// A use of the operator of this name.
pub fn op(name: &str) -> OpBuilder {
    OpBuilder::new(name)
}

/// Several symbols as one.
pub fn group<S: Into<Symbol>>(symbols: impl IntoIterator<Item = S>) -> Symbol {
    Symbol::group(symbols)
}

/// `FullyConnected`: set `num_hidden`.
pub fn fully_connected(data: impl Into<Symbol>) -> OpBuilder {
    op("FullyConnected").input(data)
}

/// `Convolution`: set `kernel` and `num_filter`.
pub fn convolution(data: impl Into<Symbol>) -> OpBuilder {
    op("Convolution").input(data)
}

/// `Pooling`: set `kernel`, `stride` and `pool_type`.
pub fn pooling(data: impl Into<Symbol>) -> OpBuilder {
    op("Pooling").input(data)
}

/// `Activation` of type `relu`, `sigmoid`, `tanh`, `softrelu` or `softsign`.
pub fn activation(data: impl Into<Symbol>, act_type: &str) -> OpBuilder {
    op("Activation").input(data).set("act_type", act_type)
}

/// `Activation` of type `relu`.
pub fn relu(data: impl Into<Symbol>) -> OpBuilder {
    activation(data, "relu")
}

/// `Activation` of type `tanh`.
pub fn tanh(data: impl Into<Symbol>) -> OpBuilder {
    activation(data, "tanh")
}

/// `Activation` of type `sigmoid`.
pub fn sigmoid(data: impl Into<Symbol>) -> OpBuilder {
    activation(data, "sigmoid")
}

/// `Flatten`: all axes but the first as one.
pub fn flatten(data: impl Into<Symbol>) -> OpBuilder {
    op("Flatten").input(data)
}

/// `Reshape`, with the special extents 0, -1, -2, -3 and -4.
pub fn reshape(data: impl Into<Symbol>, shape: impl AsRef<[i64]>) -> OpBuilder {
    op("Reshape").input(data).set("shape", shape.as_ref())
}

/// `Dropout`: set `p`.
pub fn dropout(data: impl Into<Symbol>) -> OpBuilder {
    op("Dropout").input(data)
}

/// `SoftmaxOutput`: softmax, and the cross-entropy loss in the backward pass.
pub fn softmax_output(data: impl Into<Symbol>) -> OpBuilder {
    op("SoftmaxOutput").input(data)
}

/// `softmax` along an axis.
pub fn softmax(data: impl Into<Symbol>) -> OpBuilder {
    op("softmax").input(data)
}

/// `clip`: elements kept between two bounds.
pub fn clip(data: impl Into<Symbol>, a_min: f64, a_max: f64) -> OpBuilder {
    op("clip").input(data).set("a_min", a_min).set("a_max", a_max)
}

/// `sum` over all axes, or those of `axis`.
pub fn sum(data: impl Into<Symbol>) -> OpBuilder {
    op("sum").input(data)
}

/// `mean` over all axes, or those of `axis`.
pub fn mean(data: impl Into<Symbol>) -> OpBuilder {
    op("mean").input(data)
}

/// `batch_dot`: products of the matrices along the last two axes.
pub fn batch_dot(lhs: impl Into<Symbol>, rhs: impl Into<Symbol>) -> OpBuilder {
    op("batch_dot").input(lhs).input(rhs)
}

/// `broadcast_add`: a sum whose axes of length 1 are repeated.
pub fn broadcast_add(lhs: impl Into<Symbol>, rhs: impl Into<Symbol>) -> OpBuilder {
    op("broadcast_add").input(lhs).input(rhs)
}

/// `broadcast_mul`: a product whose axes of length 1 are repeated.
pub fn broadcast_mul(lhs: impl Into<Symbol>, rhs: impl Into<Symbol>) -> OpBuilder {
    op("broadcast_mul").input(lhs).input(rhs)
}

/// `Concat` along axis 1, unless `dim` says otherwise.
pub fn concat<S: Into<Symbol>>(parts: impl IntoIterator<Item = S>) -> OpBuilder {
    op("Concat").input(group(parts))
}

/// `SliceChannel`: `num_outputs` equal parts along axis 1, or `axis`.
pub fn split(data: impl Into<Symbol>, num_outputs: usize) -> OpBuilder {
    op("SliceChannel").input(data).set("num_outputs", num_outputs)
}

/// `slice_axis`: from `begin` to before `end` along an axis.
pub fn slice_axis(data: impl Into<Symbol>, axis: i64, begin: i64, end: i64) -> OpBuilder {
    op("slice_axis").input(data).set("axis", axis).set("begin", begin).set("end", end)
}

/// `Embedding`: rows of a table of `input_dim` × `output_dim`, by index.
pub fn embedding(data: impl Into<Symbol>, input_dim: usize, output_dim: usize) -> OpBuilder {
    op("Embedding").input(data).set("input_dim", input_dim).set("output_dim", output_dim)
}

/// `BatchNorm`: set `fix_gamma` and `eps`.
pub fn batch_norm(data: impl Into<Symbol>) -> OpBuilder {
    op("BatchNorm").input(data)
}

/// `LayerNorm` along the last axis: set `axis` and `eps`.
pub fn layer_norm(data: impl Into<Symbol>) -> OpBuilder {
    op("LayerNorm").input(data)
}

/// `RNN`: `num_layers` layers of the cell `lstm`, `gru`, `rnn_tanh` or `rnn_relu` over a sequence (steps, batch, numbers).
pub fn rnn(data: impl Into<Symbol>, mode: &str, state_size: usize, num_layers: usize) -> OpBuilder {
    op("RNN").input(data).set("mode", mode).set("state_size", state_size).set("num_layers", num_layers)
}

/// `LRN`, local response normalisation over `nsize` channels.
pub fn lrn(data: impl Into<Symbol>, nsize: usize) -> OpBuilder {
    op("LRN").input(data).set("nsize", nsize)
}

/// `LeakyReLU` of type `leaky`, `prelu`, `elu`, `selu`, `gelu` or `rrelu`.
pub fn leaky_relu(data: impl Into<Symbol>, act_type: &str) -> OpBuilder {
    op("LeakyReLU").input(data).set("act_type", act_type)
}

/// `Deconvolution`, the transposed convolution: set `kernel`, `stride` and `num_filter`.
pub fn deconvolution(data: impl Into<Symbol>) -> OpBuilder {
    op("Deconvolution").input(data)
}

/// `LinearRegressionOutput`: the data, and the squared loss in the backward pass.
pub fn linear_regression_output(data: impl Into<Symbol>) -> OpBuilder {
    op("LinearRegressionOutput").input(data)
}

/// `LogisticRegressionOutput`: sigmoid, and the cross-entropy loss in the backward pass.
pub fn logistic_regression_output(data: impl Into<Symbol>) -> OpBuilder {
    op("LogisticRegressionOutput").input(data)
}

/// `MakeLoss`: the data as a loss.
pub fn make_loss(data: impl Into<Symbol>) -> OpBuilder {
    op("MakeLoss").input(data)
}
