//! Networks to begin with, under MXNet's layer names. Each takes `data` and `softmax_label` and ends in a
//! `SoftmaxOutput` called `softmax`.

use varflow_ops::{Error, Result};
use varflow_symbol::{Symbol, sym};

/// The names that [`by_name`] knows.
pub const NAMES: [&str; 2] = ["mlp", "lenet"];

/// The network of this name, for ten classes.
///
/// # Errors
/// When there is none: with the names that there are.
pub fn by_name(name: &str) -> Result<Symbol> {
    match name {
        "mlp" => Ok(mlp(10)),
        "lenet" => Ok(lenet(10)),
        _ => Err(Error::Param(format!("there is no network \"{name}\": wanted one of {}", NAMES.join(", ")))),
    }
}

/// A perceptron with two hidden layers, of 128 and 64 relu units. Data: (N, …), flattened.
#[must_use]
pub fn mlp(classes: usize) -> Symbol {
    let x = sym::flatten(sym::var("data")).name("flatten");
    let x = sym::fully_connected(x).num_hidden(128).name("fc1");
    let x = sym::relu(x).name("relu1");
    let x = sym::fully_connected(x).num_hidden(64).name("fc2");
    let x = sym::relu(x).name("relu2");
    let x = sym::fully_connected(x).num_hidden(classes).name("fc3");
    sym::softmax_output(x).name("softmax").build()
}

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
    let x = sym::fully_connected(sym::tanh(x).name("tanh3")).num_hidden(classes).name("fc2");
    sym::softmax_output(x).name("softmax").build()
}
