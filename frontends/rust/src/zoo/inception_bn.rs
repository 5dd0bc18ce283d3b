//! Inception with batch normalisation, for 1000 classes and for all of ImageNet.

use super::Network;
use super::inception_bn_small;
use super::layers::{NEAR, Norm, POINT, Window, classify, concat, max_pool_3};
use super::spec::{Built, Spec};
use varflow_ops::Result;
use varflow_symbol::{Symbol, sym};

pub(super) const INCEPTION_BN: Network = Network {
    name: "inception-bn",
    about: "Inception with batch normalisation; up to 28 pixels high, inception-bn-28-small (Ioffe and Szegedy 2015)",
    forms: &[""],
    takes: &["image_shape"],
    build: |spec| {
        let of = spec.images([3, 224, 224], 1000);
        if of.height() <= 28 { inception_bn_small::build(spec) } else { Ok(of.built(standard(of.num_classes))) }
    },
};

/// The sizes are those of MXNet's `symbol_inception-bn-full.py`, which made the checkpoint `Inception-0009` of 21,841
/// classes: up to module 3c, 1.5 times the filters of Inception-BN, but for 128 in `conv2red`; after it the same, but for
/// 96 in the double 3×3 of 4d. Its pooling rounds up, as all of MXNet's did then.
pub(super) const INCEPTION_BN_FULL: Network = Network {
    name: "inception-bn-full",
    about: "Inception with batch normalisation, wider below, for all of ImageNet (Ioffe and Szegedy 2015)",
    forms: &[""],
    takes: &["image_shape"],
    build: full,
};

/// A module.
#[derive(Clone, Copy)]
enum Module {
    /// Of the same size: 1×1; 3×3 after a reduction; two of 3×3 after a reduction; the pooling and its filters.
    Same(usize, [usize; 2], [usize; 2], &'static str, usize),
    /// Of half the size: 3×3 after a reduction; two of 3×3 after a reduction.
    Half([usize; 2], [usize; 2]),
}
use Module::{Half, Same};

/// Modules 3a to 3c.
const BELOW: [(&str, Module); 3] = [
    ("3a", Same(64, [64, 64], [64, 96], "avg", 32)),
    ("3b", Same(64, [64, 96], [64, 96], "avg", 64)),
    ("3c", Half([128, 160], [64, 96])),
];

/// Modules 4a to 5b.
const ABOVE: [(&str, Module); 7] = [
    ("4a", Same(224, [64, 96], [96, 128], "avg", 128)),
    ("4b", Same(192, [96, 128], [96, 128], "avg", 128)),
    ("4c", Same(160, [128, 160], [128, 160], "avg", 128)),
    ("4d", Same(96, [128, 192], [160, 192], "avg", 128)),
    ("4e", Half([128, 192], [192, 256])),
    ("5a", Same(352, [192, 320], [160, 224], "avg", 128)),
    ("5b", Same(352, [192, 320], [192, 224], "max", 128)),
];

const FULL_BELOW: [(&str, Module); 3] = [
    ("3a", Same(96, [96, 96], [96, 144], "avg", 48)),
    ("3b", Same(96, [96, 144], [96, 144], "avg", 96)),
    ("3c", Half([192, 240], [96, 144])),
];

const FULL_4D: Module = Same(96, [128, 192], [160, 96], "avg", 128);

const STEM: Window = Window { kernel: 7, stride: 2, pad: 3 };

/// How a variant normalises, and how its pooling to half the size goes.
struct Variant {
    norm: Option<Norm>,
    half_pool: fn(Symbol) -> varflow_symbol::OpBuilder,
}

fn standard(num_classes: usize) -> Symbol {
    let norm = Norm { eps: 1e-5 + 1e-10, fix_gamma: false };
    let of = Variant { norm: Some(norm), half_pool: |x| NEAR.stride(2).pooling(x, "max") };
    let x = of.conv(sym::var("data"), STEM, 64, "1");
    let x = of.conv(max_pool_3(x).name("pool_1"), POINT, 64, "2_red");
    let x = max_pool_3(of.conv(x, NEAR, 192, "2")).name("pool_2").build();
    let x = BELOW.iter().chain(&ABOVE).fold(x, |x, (name, module)| of.module(&x, *module, name));
    let x = Window { kernel: 7, stride: 1, pad: 0 }.pooling(x, "avg").name("global_pool");
    classify(x, "fullyconnected0", num_classes)
}

fn full(spec: &Spec) -> Result<Built> {
    let images = spec.images([3, 224, 224], 21_841);
    let pool = |x: Symbol| max_pool_3(x).set("pooling_convention", "full");
    let of = Variant { norm: None, half_pool: pool };
    let x = of.conv(sym::var("data"), STEM, 96, "conv1");
    let x = of.conv(pool(x).name("pool1"), POINT, 128, "conv2red");
    let x = pool(of.conv(x, NEAR, 288, "conv2")).name("pool2").build();
    let above = ABOVE.map(|(name, module)| (name, if name == "4d" { FULL_4D } else { module }));
    let x = FULL_BELOW.iter().chain(&above).fold(x, |x, (name, module)| of.module(&x, *module, name));
    let x = Window { kernel: 7, stride: 1, pad: 0 }.pooling(x, "avg").name("global_pool");
    Ok(images.built(classify(x, "fc1", images.num_classes)))
}

impl Variant {
    fn conv(&self, x: impl Into<Symbol>, window: Window, filters: usize, name: &str) -> Symbol {
        let x = window.convolution(x, filters).name(format!("conv_{name}"));
        let bn = format!("bn_{name}");
        let x = match self.norm {
            Some(norm) => norm.of(x, &bn),
            None => sym::op("BatchNorm").input(x).name(bn).build(),
        };
        sym::relu(x).name(format!("relu_{name}")).build()
    }

    fn module(&self, x: &Symbol, module: Module, name: &str) -> Symbol {
        let (once, twice, stride) = match module {
            Same(_, once, twice, ..) => (once, twice, 1),
            Half(once, twice) => (once, twice, 2),
        };
        let near =
            |x, filters, stride, part: &str| self.conv(x, NEAR.stride(stride), filters, &format!("{name}_{part}"));
        let point = |x: Symbol, filters, part: &str| self.conv(x, POINT, filters, &format!("{name}_{part}"));
        let mut parts = Vec::new();
        if let Same(filters, ..) = module {
            parts.push(point(x.clone(), filters, "1x1"));
        }
        parts.push(near(point(x.clone(), once[0], "3x3_reduce"), once[1], stride, "3x3"));
        let double = near(point(x.clone(), twice[0], "double_3x3_reduce"), twice[1], 1, "double_3x3_0");
        parts.push(near(double, twice[1], stride, "double_3x3_1"));
        parts.push(match module {
            Same(.., pool, filters) => {
                let pooled = NEAR.pooling(x, pool).name(format!("{pool}_pool_{name}_pool")).build();
                point(pooled, filters, "proj")
            }
            Half(..) => (self.half_pool)(x.clone()).name(format!("max_pool_{name}_pool")).build(),
        });
        concat(parts, &format!("ch_concat_{name}_chconcat"))
    }
}
