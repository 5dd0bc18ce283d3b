//! MobileNet v2.

use super::Network;
use super::layers::{NEAR, POINT, Window, classify, global_average};
use super::spec::{Built, Spec};
use varflow_ops::Result;
use varflow_symbol::{Symbol, sym};

pub(super) const MOBILENET_V2: Network = Network {
    name: "mobilenet-v2",
    about: "MobileNet v2: inverted residuals (Sandler et al. 2018)",
    forms: &["1.0", "0.75", "0.5", "0.25"],
    takes: &["image_shape", "multiplier"],
    build,
};

/// Expansion, filters before the multiplier, units and the first one's stride, of each sequence.
const SEQUENCES: [(usize, usize, usize, usize); 7] =
    [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)];

fn build(spec: &Spec) -> Result<Built> {
    let multiplier = spec.multiplier.unwrap_or(1.0);
    if !(1.0 / 16.0..=16.0).contains(&multiplier) {
        return Err(spec.refuse(&format!("multiplier is {multiplier}, wanted a number from 1/16 to 16, such as 0.5")));
    }
    let of = spec.images([3, 224, 224], 1000);
    let scaled = |filters: usize| (filters as f64 * multiplier).round_ties_even() as usize;
    let mut width = scaled(32);
    let mut x = relu6(unit(&sym::var("data").build(), NEAR.stride(2), width, 1, "first-3x3-conv"), "first-3x3-conv");
    for (i, (expansion, filters, units, stride)) in SEQUENCES.into_iter().enumerate() {
        for block in 0..units {
            let name = format!("seq-{i}-block{block}");
            let y = inverted(&x, width * expansion, scaled(filters), if block == 0 { stride } else { 1 }, &name);
            x = if block == 0 {
                y
            } else {
                sym::op("elemwise_add").input(x).input(y).name(format!("{name}-shortcut")).build()
            };
            width = scaled(filters);
        }
    }
    // Fewer filters than 1280 would leave the classes too little to go by, says the paper.
    let x = relu6(unit(&x, POINT, (1280.0 * multiplier.max(1.0)) as usize, 1, "last-1x1-conv"), "last-1x1-conv");
    Ok(of.built(classify(global_average(x, "global_pool"), "fc", of.num_classes)))
}

fn inverted(x: &Symbol, inner: usize, filters: usize, stride: usize, name: &str) -> Symbol {
    let (expand, depthwise) = (format!("{name}-exp"), format!("{name}-depthwise"));
    let x = relu6(unit(x, POINT, inner, 1, &expand), &expand);
    let x = relu6(unit(&x, NEAR.stride(stride), inner, inner, &depthwise), &depthwise);
    unit(&x, POINT, filters, 1, &format!("{name}-linear"))
}

fn unit(x: &Symbol, window: Window, filters: usize, groups: usize, name: &str) -> Symbol {
    let x = window.convolution(x, filters).num_group(groups).no_bias(true).name(format!("{name}-conv2d"));
    let norm = sym::op("BatchNorm").input(x).set("fix_gamma", false).set("eps", 1e-5);
    norm.name(format!("{name}-batchnorm")).build()
}

fn relu6(x: Symbol, name: &str) -> Symbol {
    sym::op("clip").input(x).set("a_min", 0.0).set("a_max", 6.0).name(format!("{name}-relu6")).build()
}
