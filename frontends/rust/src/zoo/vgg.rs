//! VGG.

use super::Network;
use super::layers::{NEAR, softmax};
use super::spec::{Built, Spec};
use varflow_ops::Result;
use varflow_symbol::sym;

pub(super) const VGG: Network = Network {
    name: "vgg",
    about: "VGG, with -bn batch-normalised (Simonyan and Zisserman 2014)",
    forms: &["11", "13", "16", "19", "11-bn", "13-bn", "16-bn", "19-bn"],
    takes: &["num_layers", "image_shape", "batch_norm"],
    build,
};

fn build(spec: &Spec) -> Result<Built> {
    let convolutions = match spec.num_layers {
        Some(11) => [1, 1, 2, 2, 2],
        Some(13) => [2, 2, 2, 2, 2],
        Some(16) => [2, 2, 3, 3, 3],
        Some(19) => [2, 2, 4, 4, 4],
        _ => return Err(spec.refuse_layers("11, 13, 16 or 19")),
    };
    let of = spec.images([3, 224, 224], 1000);
    let mut x = sym::var("data").build();
    for (stage, (convolutions, filters)) in (1..).zip(convolutions.into_iter().zip([64, 128, 256, 512, 512])) {
        for i in 1..=convolutions {
            x = NEAR.convolution(x, filters).name(format!("conv{stage}_{i}")).build();
            if spec.batch_norm == Some(true) {
                x = sym::op("BatchNorm").input(x).name(format!("bn{stage}_{i}")).build();
            }
            x = sym::relu(x).name(format!("relu{stage}_{i}")).build();
        }
        x = sym::pooling(x).pool_type("max").kernel([2, 2]).stride([2, 2]).name(format!("pool{stage}")).build();
    }
    x = sym::flatten(x).name("flatten").build();
    for i in [6, 7] {
        let y = sym::fully_connected(x).num_hidden(4096).name(format!("fc{i}"));
        x = sym::dropout(sym::relu(y).name(format!("relu{i}"))).p(0.5).name(format!("drop{i}")).build();
    }
    Ok(of.built(softmax(sym::fully_connected(x).num_hidden(of.num_classes).name("fc8"))))
}
