//! The first residual networks: normalisation after each convolution, relu after the sum.

use super::Network;
use super::layers::{NEAR, POINT, classify, global_average};
use super::residual::{FORMS, NORM, Plan, Unit, conv};
use super::spec::{Built, Spec};
use varflow_ops::Result;
use varflow_symbol::{Symbol, sym};

pub(super) const RESNET_V1: Network = Network {
    name: "resnet-v1",
    about: "Residual network, v1 (He et al. 2015)",
    forms: FORMS,
    takes: &["num_layers", "image_shape"],
    build,
};

fn build(spec: &Spec) -> Result<Built> {
    let plan = Plan::of(spec)?;
    let mut x = plan.stem(sym::op("identity").input(sym::var("data")).name("id").build());
    if !plan.is_large() {
        x = NORM.of(x, "bn0");
    }
    let x = plan.units().fold(x, |x, unit| residual(&x, &unit));
    Ok(plan.images.built(classify(global_average(x, "pool1"), "fc1", plan.images.num_classes)))
}

fn residual(x: &Symbol, unit: &Unit) -> Symbol {
    let Unit { filters, stride, bottleneck, ref name, .. } = *unit;
    let steps = if bottleneck {
        vec![(POINT.stride(stride), filters / 4), (NEAR, filters / 4), (POINT, filters)]
    } else {
        vec![(NEAR.stride(stride), filters), (NEAR, filters)]
    };
    let last = steps.len();
    let body = (1..).zip(steps).fold(x.clone(), |y, (i, (window, filters))| {
        let y = NORM.of(conv(&y, window, filters, format!("{name}_conv{i}")), &format!("{name}_bn{i}"));
        if i == last { y } else { sym::relu(y).name(format!("{name}_relu{i}")).build() }
    });
    let shortcut = if unit.projects {
        let projected = conv(x, POINT.stride(stride), filters, format!("{name}_conv1sc"));
        NORM.of(projected, &format!("{name}_sc"))
    } else {
        x.clone()
    };
    sym::relu(body + shortcut).name(format!("{name}_relu3")).build()
}
