//! Residual networks whose middle convolutions fall into 32 groups.

use super::Network;
use super::layers::{NEAR, POINT, classify, global_average};
use super::residual::{FORMS, NORM, Plan, Unit, conv, normalised_data};
use super::spec::{Built, Spec};
use varflow_ops::Result;
use varflow_symbol::{Symbol, sym};

pub(super) const RESNEXT: Network = Network {
    name: "resnext",
    about: "Residual network with grouped convolutions, 32×4d (Xie et al. 2016)",
    forms: FORMS,
    takes: &["num_layers", "image_shape"],
    build,
};

fn build(spec: &Spec) -> Result<Built> {
    let plan = Plan::of(spec)?;
    let x = plan.stem(normalised_data(sym::var("data")));
    let x = plan.units().fold(x, |x, unit| residual(&x, &unit));
    Ok(plan.images.built(classify(global_average(x, "pool1"), "fc1", plan.images.num_classes)))
}

fn residual(x: &Symbol, unit: &Unit) -> Symbol {
    let Unit { filters, stride, bottleneck, ref name, .. } = *unit;
    let norm = |x: Symbol, i: usize| NORM.of(x, &format!("{name}_bn{i}"));
    let active = |x: Symbol, i: usize| sym::relu(norm(x, i)).name(format!("{name}_relu{i}")).build();
    let body = if bottleneck {
        let y = active(conv(x, POINT, filters / 2, format!("{name}_conv1")), 1);
        let y = NEAR.stride(stride).convolution(y, filters / 2).num_group(32).no_bias(true);
        let y = active(y.name(format!("{name}_conv2")).build(), 2);
        norm(conv(&y, POINT, filters, format!("{name}_conv3")), 3)
    } else {
        let y = active(conv(x, NEAR.stride(stride), filters, format!("{name}_conv1")), 1);
        norm(conv(&y, NEAR, filters, format!("{name}_conv2")), 2)
    };
    let shortcut = if unit.projects {
        NORM.of(conv(x, POINT.stride(stride), filters, format!("{name}_sc")), &format!("{name}_sc_bn"))
    } else {
        x.clone()
    };
    sym::relu(body + shortcut).name(format!("{name}_relu")).build()
}
