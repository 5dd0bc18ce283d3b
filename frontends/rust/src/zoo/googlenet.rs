//! GoogLeNet.

use super::Network;
use super::layers::{NEAR, POINT, Window, classify, concat, max_pool_3};
use super::spec::{Built, Spec};
use varflow_ops::Result;
use varflow_symbol::{Symbol, sym};

pub(super) const GOOGLENET: Network = Network {
    name: "googlenet",
    about: "GoogLeNet, the first Inception, without its side outputs (Szegedy et al. 2014)",
    forms: &[""],
    takes: &["image_shape"],
    build,
};

/// The filters of a module: 1×1; 3×3 after a reduction; 5×5 after a reduction; after pooling.
type Filters = (usize, [usize; 2], [usize; 2], usize);

/// The modules that stand before each pooling but the last, and the last.
const STAGES: [&[(&str, Filters)]; 3] = [
    &[("in3a", (64, [96, 128], [16, 32], 32)), ("in3b", (128, [128, 192], [32, 96], 64))],
    &[
        ("in4a", (192, [96, 208], [16, 48], 64)),
        ("in4b", (160, [112, 224], [24, 64], 64)),
        ("in4c", (128, [128, 256], [24, 64], 64)),
        ("in4d", (112, [144, 288], [32, 64], 64)),
        ("in4e", (256, [160, 320], [32, 128], 128)),
    ],
    &[("in5a", (256, [160, 320], [32, 128], 128)), ("in5b", (384, [192, 384], [48, 128], 128))],
];

fn build(spec: &Spec) -> Result<Built> {
    let of = spec.images([3, 224, 224], 1000);
    let x = conv(sym::var("data"), Window { kernel: 7, stride: 2, pad: 3 }, 64, "conv1");
    let x = max_pool_3(x).name("pool1");
    let x = conv(conv(x, POINT, 64, "conv2"), NEAR, 192, "conv3");
    let mut x = max_pool_3(x).name("pool3").build();
    for (i, modules) in STAGES.into_iter().enumerate() {
        if i > 0 {
            x = max_pool_3(x).name(format!("pool{}", i + 3)).build();
        }
        x = modules.iter().fold(x, |x, (name, filters)| inception(&x, *filters, name));
    }
    let x = super::layers::global_average(x, "pool6");
    Ok(of.built(classify(x, "fullyconnected0", of.num_classes)))
}

fn inception(x: &Symbol, (point, near, wide, pooled): Filters, name: &str) -> Symbol {
    let a = conv(x, POINT, point, &format!("{name}_1x1"));
    let b = conv(x, POINT, near[0], &format!("{name}_3x3_reduce"));
    let b = conv(b, NEAR, near[1], &format!("{name}_3x3"));
    let c = conv(x, POINT, wide[0], &format!("{name}_5x5_reduce"));
    let c = conv(c, Window { kernel: 5, stride: 1, pad: 2 }, wide[1], &format!("{name}_5x5"));
    let d = NEAR.pooling(x, "max").name(format!("max_pool_{name}_pool"));
    let d = conv(d, POINT, pooled, &format!("{name}_proj"));
    concat([a, b, c, d], &format!("ch_concat_{name}_chconcat"))
}

fn conv(x: impl Into<Symbol>, window: Window, filters: usize, name: &str) -> Symbol {
    sym::relu(window.convolution(x, filters).name(format!("conv_{name}"))).name(format!("relu_{name}")).build()
}
