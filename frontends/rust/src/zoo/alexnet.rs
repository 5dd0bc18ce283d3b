//! AlexNet.

use super::Network;
use super::layers::{NEAR, Window, max_pool_3, softmax};
use super::spec::{Built, Spec};
use varflow_ops::Result;
use varflow_symbol::{Symbol, sym};

pub(super) const ALEXNET: Network = Network {
    name: "alexnet",
    about: "AlexNet in one column (Krizhevsky et al. 2012)",
    forms: &[""],
    takes: &["image_shape"],
    build,
};

fn build(spec: &Spec) -> Result<Built> {
    let of = spec.images([3, 224, 224], 1000);
    let lrn = |x: Symbol, name: &str| {
        let lrn =
            sym::op("LRN").input(x).set("alpha", 0.0001).set("beta", 0.75).set("knorm", 2.0).set("nsize", 5_usize);
        lrn.name(name).build()
    };
    let relu = |x, name: &str| sym::relu(x).name(name).build();

    let x = Window { kernel: 11, stride: 4, pad: 0 }.convolution(sym::var("data"), 96).name("conv1");
    let x = max_pool_3(lrn(relu(x, "relu1"), "lrn1")).name("pool1");
    let x = Window { kernel: 5, stride: 1, pad: 2 }.convolution(x, 256).name("conv2");
    let x = max_pool_3(lrn(relu(x, "relu2"), "lrn2")).name("pool2");
    let x = relu(NEAR.convolution(x, 384).name("conv3"), "relu3");
    let x = relu(NEAR.convolution(x, 384).name("conv4"), "relu4");
    let x = relu(NEAR.convolution(x, 256).name("conv5"), "relu5");
    let mut x = sym::flatten(max_pool_3(x).name("pool3")).name("flatten").build();
    for (fc, relu, dropout) in [("fc1", "relu6", "dropout1"), ("fc2", "relu7", "dropout2")] {
        let y = sym::fully_connected(x).num_hidden(4096).name(fc);
        x = sym::dropout(sym::relu(y).name(relu)).p(0.5).name(dropout).build();
    }
    Ok(of.built(softmax(sym::fully_connected(x).num_hidden(of.num_classes).name("fc3"))))
}
