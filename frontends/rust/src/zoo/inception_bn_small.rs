//! Inception with batch normalisation for small images.

use super::Network;
use super::layers::{NEAR, Norm, POINT, Window, classify, concat};
use super::spec::{Built, Spec};
use varflow_ops::Result;
use varflow_symbol::{Symbol, sym};

pub(super) const INCEPTION_BN_28_SMALL: Network = Network {
    name: "inception-bn-28-small",
    about: "Inception with batch normalisation for CIFAR's images, cut to 28×28 (after Ioffe and Szegedy 2015)",
    forms: &[""],
    takes: &["image_shape"],
    build,
};

/// Filters of the 1×1 and the 3×3 convolution, or of the 3×3 one that halves the size.
enum Module {
    Same(usize, usize),
    Half(usize),
}
use Module::{Half, Same};

const MODULES: [(&str, Module); 10] = [
    ("in3a", Same(32, 32)),
    ("in3b", Same(32, 48)),
    ("in3c", Half(80)),
    ("in4a", Same(112, 48)),
    ("in4b", Same(96, 64)),
    ("in4c", Same(80, 80)),
    ("in4d", Same(48, 96)),
    ("in4e", Half(96)),
    ("in5a", Same(176, 160)),
    ("in5b", Same(176, 160)),
];

pub(super) fn build(spec: &Spec) -> Result<Built> {
    let of = spec.images([3, 28, 28], 10);
    let x = conv(&sym::var("data").build(), NEAR, 96, "1");
    let x = MODULES.iter().fold(x, |x, (name, module)| {
        let parts = match *module {
            Same(point, near) => {
                [conv(&x, POINT, point, &format!("{name}_1x1")), conv(&x, NEAR, near, &format!("{name}_3x3"))]
            }
            Half(filters) => [
                conv(&x, NEAR.stride(2), filters, &format!("{name}_conv")),
                NEAR.stride(2).pooling(&x, "max").name(format!("{name}_pool")).build(),
            ],
        };
        concat(parts, &format!("{name}_ch_concat"))
    });
    let x = Window { kernel: 7, stride: 1, pad: 0 }.pooling(x, "avg").name("global_pool");
    Ok(of.built(classify(x, "fullyconnected0", of.num_classes)))
}

fn conv(x: &Symbol, window: Window, filters: usize, name: &str) -> Symbol {
    let x = window.convolution(x, filters).name(format!("conv_{name}"));
    let x = Norm { eps: 1e-5 + 1e-10, fix_gamma: false }.of(x, &format!("bn_{name}"));
    sym::relu(x).name(format!("relu_{name}")).build()
}
