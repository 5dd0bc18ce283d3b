//! How long a node takes, roughly: to compare nodes with each other, not with a clock.

use crate::graph::Node;
use crate::work::products;
use varflow_ops::{Shape, TensorDesc};

/// Floating-point operations a second of what is bound by arithmetic, on two cores with 256-bit vectors.
const FLOPS_PER_SECOND: f64 = 60e9;
/// Bytes a second of what is bound by memory.
const BYTES_PER_SECOND: f64 = 10e9;

/// Floating-point operations of one run: two for each product of convolutions, fully connected layers and matrix products,
/// forward and backward; one for each element of the largest tensor for all else.
pub(super) fn flops(node: &Node, inputs: &[&TensorDesc], outputs: &[TensorDesc]) -> f64 {
    let elements = inputs.iter().copied().chain(outputs).map(|d| d.shape.len()).max().unwrap_or(0);
    let products = multiply_adds(node, inputs, outputs);
    if products > 0 { 2.0 * products as f64 } else { elements as f64 }
}

/// The longer of computing, and moving its tensors from and to memory.
pub(super) fn seconds(flops: f64, inputs: &[&TensorDesc], outputs: &[TensorDesc]) -> f64 {
    let bytes: f64 = inputs.iter().copied().chain(outputs).map(|d| d.len_bytes() as f64).sum();
    (flops / FLOPS_PER_SECOND).max(bytes / BYTES_PER_SECOND)
}

/// Inputs of a backward operator are the gradient of the output, data and weight. The gradients by data and by weight take
/// as many products each as the output took.
fn multiply_adds(node: &Node, inputs: &[&TensorDesc], outputs: &[TensorDesc]) -> u64 {
    let shapes: Vec<Option<&Shape>> = inputs.iter().map(|d| Some(&d.shape)).collect();
    let name = node.op.as_ref().map_or("", |op| op.name());
    match (name.strip_prefix("_backward_"), &shapes[..]) {
        (Some(forward), [out_grad, rest @ ..]) => products(forward, &node.params, rest, *out_grad).saturating_mul(2),
        _ => products(name, &node.params, &shapes, outputs.first().map(|d| &d.shape)),
    }
}
