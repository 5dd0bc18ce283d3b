//! MobileNet.

use super::Network;
use super::layers::{NEAR, POINT, Window, classify, global_average};
use super::spec::{Built, Spec};
use varflow_ops::Result;
use varflow_symbol::{Symbol, sym};

pub(super) const MOBILENET: Network = Network {
    name: "mobilenet",
    about: "MobileNet: depthwise separable convolutions (Howard et al. 2017)",
    forms: &["1.0", "0.75", "0.5", "0.25"],
    takes: &["image_shape", "multiplier"],
    build,
};

/// Stride and filters of the layers after the first, before the multiplier.
const LAYERS: [(usize, usize); 13] = [
    (1, 64),
    (2, 128),
    (1, 128),
    (2, 256),
    (1, 256),
    (2, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (2, 1024),
    (1, 1024),
];

fn build(spec: &Spec) -> Result<Built> {
    let multiplier = spec.multiplier.unwrap_or(1.0);
    if !(1.0 / 32.0..=16.0).contains(&multiplier) {
        return Err(spec.refuse(&format!("multiplier is {multiplier}, wanted a number from 1/32 to 16, such as 0.5")));
    }
    let of = spec.images([3, 224, 224], 1000);
    // MXNet rounds the first layer down and counts the others in multiples of it.
    let base = (32.0 * multiplier) as usize;
    let mut filters = base;
    let mut x = unit(sym::var("data"), NEAR.stride(2), filters, 1, "conv_1");
    for (i, (stride, wanted)) in (2..).zip(LAYERS) {
        x = unit(x, NEAR.stride(stride), filters, filters, &format!("conv_{i}_dw"));
        filters = base * (wanted / 32);
        x = unit(x, POINT, filters, 1, &format!("conv_{i}"));
    }
    Ok(of.built(classify(global_average(x, "global_pool"), "fc", of.num_classes)))
}

fn unit(x: impl Into<Symbol>, window: Window, filters: usize, groups: usize, name: &str) -> Symbol {
    let x = window.convolution(x, filters).num_group(groups).no_bias(true).name(format!("{name}_conv2d"));
    let x = sym::op("BatchNorm").input(x).set("fix_gamma", true).name(format!("{name}_batchnorm"));
    sym::relu(x).name(format!("{name}_relu")).build()
}
