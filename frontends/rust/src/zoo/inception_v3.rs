//! Inception v3.

use super::Network;
use super::layers::{classify, concat, max_pool_3};
use super::spec::{Built, Spec};
use varflow_ops::Result;
use varflow_symbol::{Symbol, sym};

pub(super) const INCEPTION_V3: Network = Network {
    name: "inception-v3",
    about: "Inception v3, without its side output (Szegedy et al. 2015)",
    forms: &[""],
    takes: &["image_shape"],
    build,
};

/// Height and width of a window.
type Kernel = [usize; 2];

/// A convolution that keeps the size, and what stands after its module's name in its own name.
type Step = (&'static str, usize, Kernel);

const POINT: Kernel = [1, 1];
const NEAR: Kernel = [3, 3];
const WIDE: Kernel = [5, 5];
const ROW: Kernel = [1, 7];
const COLUMN: Kernel = [7, 1];

fn build(spec: &Spec) -> Result<Built> {
    let of = spec.images([3, 299, 299], 1000);
    let x = sym::op("identity").input(sym::var("data")).name("id").build();
    let x = conv(&x, 32, NEAR, 2, [0, 0], "conv");
    let x = conv(&x, 32, NEAR, 1, [0, 0], "conv_1");
    let x = conv(&x, 64, NEAR, 1, [1, 1], "conv_2");
    let x = max_pool_3(x).name("pool").build();
    let x = conv(&x, 80, POINT, 1, [0, 0], "conv_3");
    let x = conv(&x, 192, NEAR, 1, [0, 0], "conv_4");
    let mut x = max_pool_3(x).name("pool1").build();
    for (name, proj) in [("mixed", 32), ("mixed_1", 64), ("mixed_2", 64)] {
        x = near_module(&x, proj, name);
    }
    x = halved(
        &x,
        conv(&x, 384, NEAR, 2, [0, 0], "mixed_3_conv"),
        conv(
            &tower(&x, "mixed_3_tower", &[("conv", 64, POINT), ("conv_1", 96, NEAR)]),
            96,
            NEAR,
            2,
            [0, 0],
            "mixed_3_tower_conv_2",
        ),
        "mixed_3",
    );
    for (name, filters) in [("mixed_4", 128), ("mixed_5", 160), ("mixed_6", 160), ("mixed_7", 192)] {
        x = far_module(&x, filters, name);
    }
    x = halved(
        &x,
        conv(&tower(&x, "mixed_8_tower", &[("conv", 192, POINT)]), 320, NEAR, 2, [0, 0], "mixed_8_tower_conv_1"),
        conv(
            &tower(&x, "mixed_8_tower_1", &[("conv", 192, POINT), ("conv_1", 192, ROW), ("conv_2", 192, COLUMN)]),
            192,
            NEAR,
            2,
            [0, 0],
            "mixed_8_tower_1_conv_3",
        ),
        "mixed_8",
    );
    for (name, pool) in [("mixed_9", "avg"), ("mixed_10", "max")] {
        x = top_module(&x, pool, name);
    }
    let x = sym::pooling(x).kernel([8, 8]).stride([1, 1]).pool_type("avg").name("global_pool");
    Ok(of.built(classify(x, "fc1", of.num_classes)))
}

/// A module of 35×35: windows of up to 5×5.
fn near_module(x: &Symbol, proj: usize, name: &str) -> Symbol {
    let parts = [
        conv(x, 64, POINT, 1, [0, 0], &format!("{name}_conv")),
        tower(x, &format!("{name}_tower"), &[("conv", 48, POINT), ("conv_1", 64, WIDE)]),
        tower(x, &format!("{name}_tower_1"), &[("conv", 64, POINT), ("conv_1", 96, NEAR), ("conv_2", 96, NEAR)]),
        pooled(x, "avg", proj, name),
    ];
    concat(parts, &format!("ch_concat_{name}_chconcat"))
}

/// A module of 17×17: windows of 7×7, as rows and columns.
fn far_module(x: &Symbol, f: usize, name: &str) -> Symbol {
    let double =
        [("conv", f, POINT), ("conv_1", f, COLUMN), ("conv_2", f, ROW), ("conv_3", f, COLUMN), ("conv_4", 192, ROW)];
    let parts = [
        conv(x, 192, POINT, 1, [0, 0], &format!("{name}_conv")),
        tower(x, &format!("{name}_tower"), &[("conv", f, POINT), ("conv_1", f, ROW), ("conv_2", 192, COLUMN)]),
        tower(x, &format!("{name}_tower_1"), &double),
        pooled(x, "avg", 192, name),
    ];
    concat(parts, &format!("ch_concat_{name}_chconcat"))
}

/// A module of 8×8: rows and columns of 3 beside each other.
fn top_module(x: &Symbol, pool: &str, name: &str) -> Symbol {
    let fork = |x: &Symbol, tower_name: &str| {
        [tower(x, tower_name, &[("mixed_conv", 384, [1, 3])]), tower(x, tower_name, &[("mixed_conv_1", 384, [3, 1])])]
    };
    let (single, double) = (format!("{name}_tower"), format!("{name}_tower_1"));
    let [a, b] = fork(&tower(x, &single, &[("conv", 384, POINT)]), &single);
    let [c, d] = fork(&tower(x, &double, &[("conv", 448, POINT), ("conv_1", 384, NEAR)]), &double);
    let parts = [conv(x, 320, POINT, 1, [0, 0], &format!("{name}_conv")), a, b, c, d, pooled(x, pool, 192, name)];
    concat(parts, &format!("ch_concat_{name}_chconcat"))
}

/// A module that halves the size, of two towers and max pooling.
fn halved(x: &Symbol, a: Symbol, b: Symbol, name: &str) -> Symbol {
    let pool = max_pool_3(x).name(format!("max_pool_{name}_pool")).build();
    concat([a, b, pool], &format!("ch_concat_{name}_chconcat"))
}

/// Convolutions one after the other, which keep the size.
fn tower(x: &Symbol, name: &str, steps: &[Step]) -> Symbol {
    steps.iter().fold(x.clone(), |x, (part, filters, kernel)| {
        conv(&x, *filters, *kernel, 1, kernel.map(|extent| extent / 2), &format!("{name}_{part}"))
    })
}

fn pooled(x: &Symbol, pool: &str, filters: usize, name: &str) -> Symbol {
    let x = sym::pooling(x).kernel([3, 3]).stride([1, 1]).pad([1, 1]).pool_type(pool);
    tower(&x.name(format!("{pool}_pool_{name}_pool")).build(), &format!("{name}_tower_2"), &[("conv", filters, POINT)])
}

fn conv(x: &Symbol, filters: usize, kernel: Kernel, stride: usize, pad: [usize; 2], name: &str) -> Symbol {
    let x = sym::convolution(x).kernel(kernel).num_filter(filters).stride([stride; 2]).pad(pad).no_bias(true);
    let x = sym::op("BatchNorm").input(x.name(format!("{name}_conv2d"))).set("fix_gamma", true);
    sym::relu(x.name(format!("{name}_batchnorm"))).name(format!("{name}_relu")).build()
}
