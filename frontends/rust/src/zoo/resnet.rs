//! Residual networks with normalisation and relu before each convolution.

use super::Network;
use super::layers::{NEAR, POINT, classify, global_average};
use super::residual::{FORMS, NORM, Plan, Unit, conv, normalised_data};
use super::spec::{Built, Spec};
use varflow_ops::Result;
use varflow_symbol::{Symbol, sym};

pub(super) const RESNET: Network = Network {
    name: "resnet",
    about: "Residual network with pre-activation, v2 (He et al. 2016, \"Identity mappings\")",
    forms: FORMS,
    takes: &["num_layers", "image_shape"],
    build,
};

fn build(spec: &Spec) -> Result<Built> {
    let plan = Plan::of(spec)?;
    let x = sym::op("identity").input(sym::var("data")).name("id");
    let x = plan.stem(normalised_data(x));
    let x = plan.units().fold(x, |x, unit| residual(&x, &unit));
    let x = global_average(sym::relu(NORM.of(x, "bn1")).name("relu1"), "pool1");
    Ok(plan.images.built(classify(x, "fc1", plan.images.num_classes)))
}

fn residual(x: &Symbol, unit: &Unit) -> Symbol {
    let Unit { filters, stride, bottleneck, ref name, .. } = *unit;
    let active =
        |x: &Symbol, i: usize| sym::relu(NORM.of(x, &format!("{name}_bn{i}"))).name(format!("{name}_relu{i}")).build();
    let first = active(x, 1);
    let steps = if bottleneck {
        vec![(POINT, filters / 4), (NEAR.stride(stride), filters / 4), (POINT, filters)]
    } else {
        vec![(NEAR.stride(stride), filters), (NEAR, filters)]
    };
    let body = (1..).zip(steps).fold(first.clone(), |y, (i, (window, filters))| {
        let y = if i == 1 { y } else { active(&y, i) };
        conv(&y, window, filters, format!("{name}_conv{i}"))
    });
    let shortcut =
        if unit.projects { conv(&first, POINT.stride(stride), filters, format!("{name}_sc")) } else { x.clone() };
    (body + shortcut).build()
}
