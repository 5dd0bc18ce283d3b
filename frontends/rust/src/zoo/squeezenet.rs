//! SqueezeNet.

use super::Network;
use super::layers::{NEAR, POINT, Window, concat, max_pool_3, softmax};
use super::spec::{Built, Spec};
use varflow_ops::Result;
use varflow_symbol::{Symbol, sym};

pub(super) const SQUEEZENET_1_0: Network = Network {
    name: "squeezenet-1.0",
    about: "SqueezeNet 1.0 (Iandola et al. 2016)",
    forms: &[""],
    takes: &["image_shape"],
    build: |spec| build(spec, Window { kernel: 7, stride: 2, pad: 0 }, 96, [1, 4, 8]),
};

pub(super) const SQUEEZENET_1_1: Network = Network {
    name: "squeezenet-1.1",
    about: "SqueezeNet 1.1, of less work than 1.0 (Iandola et al. 2016)",
    forms: &[""],
    takes: &["image_shape"],
    build: |spec| build(spec, Window { kernel: 3, stride: 2, pad: 0 }, 64, [1, 3, 5]),
};

/// Filters of the 1×1 convolutions that squeeze, of the modules fire2 to fire9. Those that expand have four times as many,
/// of 1×1 and of 3×3 each.
const SQUEEZED: [usize; 8] = [16, 16, 32, 32, 48, 48, 64, 64];

/// With this first convolution, and pooling after the modules of these numbers.
fn build(spec: &Spec, stem: Window, filters: usize, pooled: [usize; 3]) -> Result<Built> {
    let of = spec.images([3, 224, 224], 1000);
    let mut x = sym::relu(stem.convolution(sym::var("data"), filters).name("conv1")).name("relu_conv1").build();
    for (i, squeezed) in std::iter::once(0).chain(SQUEEZED).enumerate() {
        let i = i + 1;
        if i > 1 {
            x = fire(&x, squeezed, &format!("fire{i}"));
        }
        if pooled.contains(&i) {
            x = max_pool_3(x).name(format!("pool{i}")).build();
        }
    }
    let x = POINT.convolution(sym::dropout(x).p(0.5).name("drop9"), of.num_classes).name("conv10");
    let x = sym::pooling(sym::relu(x).name("relu_conv10")).global_pool(true).kernel([1, 1]).pool_type("avg");
    Ok(of.built(softmax(sym::flatten(x.name("pool10")).name("flatten"))))
}

fn fire(x: &Symbol, squeezed: usize, name: &str) -> Symbol {
    let conv = |x: &Symbol, window: Window, filters, part: &str| {
        let x = window.convolution(x, filters).name(format!("{name}_{part}"));
        sym::relu(x).name(format!("{name}_relu_{part}")).build()
    };
    let x = conv(x, POINT, squeezed, "squeeze1x1");
    let expanded = [conv(&x, POINT, 4 * squeezed, "expand1x1"), conv(&x, NEAR, 4 * squeezed, "expand3x3")];
    concat(expanded, &format!("{name}_concat"))
}
