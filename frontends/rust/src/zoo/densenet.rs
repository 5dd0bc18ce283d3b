//! DenseNet.

use super::Network;
use super::layers::{NEAR, POINT, Window, classify, concat, global_average};
use super::residual::{NORM, conv, normalised_data};
use super::spec::{Built, Spec};
use varflow_ops::Result;
use varflow_symbol::{Symbol, sym};

pub(super) const DENSENET: Network = Network {
    name: "densenet",
    about: "DenseNet with bottlenecks and compression (Huang et al. 2016)",
    forms: &["121", "161", "169", "201"],
    takes: &["num_layers", "image_shape"],
    build,
};

fn build(spec: &Spec) -> Result<Built> {
    // Units of each stage, and the channels that each unit adds.
    let (units, growth) = match spec.num_layers {
        Some(121) => ([6, 12, 24, 16], 32),
        Some(161) => ([6, 12, 36, 24], 48),
        Some(169) => ([6, 12, 32, 32], 32),
        Some(201) => ([6, 12, 48, 32], 32),
        _ => return Err(spec.refuse_layers("121, 161, 169 or 201")),
    };
    let of = spec.images([3, 224, 224], 1000);
    let mut channels = 2 * growth;
    let x = normalised_data(sym::var("data"));
    let x = conv(&x, Window { kernel: 7, stride: 2, pad: 3 }, channels, "conv0".to_string());
    let x = sym::relu(NORM.of(x, "bn0")).name("relu0");
    let mut x = Window { kernel: 3, stride: 2, pad: 1 }.pooling(x, "max").name("pooling0").build();
    for (stage, units) in (1..).zip(units) {
        for unit in 1..=units {
            let added = dense(&x, growth, &format!("DBstage{stage}_unit{unit}"));
            x = concat([x, added], &format!("DBstage{stage}_concat{unit}"));
        }
        channels += units * growth;
        if stage < 4 {
            channels /= 2;
            x = transition(&x, channels, &format!("TBstage{stage}"), stage);
        }
    }
    let x = global_average(sym::relu(NORM.of(x, "bn1")).name("relu1"), "pool1");
    Ok(of.built(classify(x, "fc1", of.num_classes)))
}

fn dense(x: &Symbol, growth: usize, name: &str) -> Symbol {
    let x = layer(x, POINT, 4 * growth, name, 1);
    layer(&x, NEAR, growth, name, 2)
}

fn transition(x: &Symbol, filters: usize, name: &str, stage: usize) -> Symbol {
    let x = layer(x, POINT, filters, name, 1);
    Window { kernel: 2, stride: 2, pad: 0 }.pooling(x, "avg").name(format!("{name}_pool{stage}")).build()
}

/// Normalisation, relu, convolution and dropout.
fn layer(x: &Symbol, window: Window, filters: usize, name: &str, i: usize) -> Symbol {
    let x = sym::relu(NORM.of(x, &format!("{name}_bn{i}"))).name(format!("{name}_relu{i}")).build();
    let x = conv(&x, window, filters, format!("{name}_conv{i}"));
    sym::dropout(x).p(0.2).name(format!("{name}_dp{i}")).build()
}
