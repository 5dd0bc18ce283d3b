//! LeNet.

use super::Network;
use super::layers::softmax;
use varflow_symbol::{Symbol, sym};

pub(super) const LENET: Network = Network {
    name: "lenet",
    about: "LeNet (LeCun et al. 1998)",
    forms: &[""],
    takes: &["image_shape"],
    build: |spec| {
        let of = spec.images([1, 28, 28], 10);
        Ok(of.built(lenet(of.num_classes)))
    },
};

/// LeNet (LeCun et al., "Gradient-based learning applied to document recognition", 1998) in MXNet's form: two tanh
/// convolutions of 20 and 50 filters, 5×5, each with 2×2 max pooling, 500 tanh units and the classes. Data:
/// (N, channels, height, width), at least 16×16; made for (N, 1, 28, 28).
#[must_use]
pub fn lenet(classes: usize) -> Symbol {
    let pool = |x, name: &str| sym::pooling(x).pool_type("max").kernel([2, 2]).stride([2, 2]).name(name);
    let x = sym::convolution(sym::var("data")).kernel([5, 5]).num_filter(20).name("conv1");
    let x = pool(sym::tanh(x).name("tanh1"), "pool1");
    let x = sym::convolution(x).kernel([5, 5]).num_filter(50).name("conv2");
    let x = pool(sym::tanh(x).name("tanh2"), "pool2");
    let x = sym::fully_connected(sym::flatten(x).name("flatten")).num_hidden(500).name("fc1");
    softmax(sym::fully_connected(sym::tanh(x).name("tanh3")).num_hidden(classes).name("fc2"))
}
