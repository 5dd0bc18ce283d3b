//! A perceptron.

use super::Network;
use super::layers::softmax;
use varflow_symbol::{Symbol, sym};

pub(super) const MLP: Network = Network {
    name: "mlp",
    about: "Perceptron with two hidden layers",
    forms: &[""],
    takes: &["image_shape"],
    build: |spec| {
        let of = spec.images([1, 28, 28], 10);
        Ok(of.built(mlp(of.num_classes)))
    },
};

/// A perceptron with two hidden layers, of 128 and 64 relu units. Data: (N, …), flattened.
#[must_use]
pub fn mlp(classes: usize) -> Symbol {
    let x = sym::flatten(sym::var("data")).name("flatten");
    let x = sym::fully_connected(x).num_hidden(128).name("fc1");
    let x = sym::relu(x).name("relu1");
    let x = sym::fully_connected(x).num_hidden(64).name("fc2");
    let x = sym::relu(x).name("relu2");
    softmax(sym::fully_connected(x).num_hidden(classes).name("fc3"))
}
