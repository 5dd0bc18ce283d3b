//! `LeakyReLU`: rectifiers that let something of negative numbers through.

use crate::{
    Attrs, Entry, Error, Gradient, Operator, Params, PartialShape, Permutation, Recompute, Result, Schema, Shapes,
    TensorDesc,
};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let types = &["rrelu", "leaky", "prelu", "elu", "selu", "gelu"];
    Schema::new()
        .choice("act_type", types, Some("leaky"), "Which function.")
        .float("slope", f64::MIN..=f64::MAX, Some(0.25), "Factor of negative numbers in leaky and elu.")
        .float("lower_bound", f64::MIN..=f64::MAX, Some(0.125), "Least slope of rrelu.")
        .float("upper_bound", f64::MIN..=f64::MAX, Some(0.334), "Bound above the slopes of rrelu.")
});

/// A rectifier.
pub(super) struct LeakyRelu;

fn is(params: &Params, act_type: &str) -> bool {
    params.text("act_type") == act_type
}

/// Whether the derivative of a `LeakyReLU` follows from its output alone: where signs are kept.
#[must_use]
pub fn leaky_relu_saves_output(params: &Params) -> bool {
    match params.text("act_type") {
        "leaky" | "elu" => params.float("slope") >= 0.0,
        "selu" => true,
        _ => false,
    }
}

/// gamma has one number a channel, or one in all.
fn infer_gamma(s: &mut Shapes, data: usize, gamma: usize) -> Result<()> {
    let (channels, why) = (s.input(data).dim(1), format!("from data {}", s.input(data)));
    match s.input(gamma).dim(0) {
        Some(1) => s.set_input(gamma, PartialShape::new([Some(1)]), &why),
        _ => s.set_input(gamma, PartialShape::new([channels]), &why),
    }
}

impl Operator for LeakyRelu {
    fn name(&self) -> &str {
        "LeakyReLU"
    }

    fn doc(&self) -> &str {
        "output = data where data > 0, else by act_type: leaky slope · data; elu slope · (e^data - 1); prelu gamma · data, with \
         gamma learnt, one a channel (axis 1) or one in all; rrelu r · data with r drawn from lower_bound..upper_bound in \
         training, else their mean, which the hidden output mask holds (1 where data > 0). selu is 1.0507… · elu of slope \
         1.6733…; gelu data · Φ(data), Φ the normal distribution's."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn check(&self, params: &Params) -> Result<()> {
        let (lower, upper) = (params.float("lower_bound"), params.float("upper_bound"));
        if is(params, "rrelu") && lower > upper {
            return Err(Error::Param(format!(
                "parameter \"lower_bound\" is {lower}, wanted at most upper_bound {upper}"
            )));
        }
        Ok(())
    }

    fn inputs(&self, params: &Params) -> Vec<String> {
        let names: &[&str] = if is(params, "prelu") { &["data", "gamma"] } else { &["data"] };
        names.iter().map(ToString::to_string).collect()
    }

    fn outputs(&self, params: &Params) -> Vec<String> {
        let names: &[&str] = if is(params, "rrelu") { &["output", "mask"] } else { &["output"] };
        names.iter().map(ToString::to_string).collect()
    }

    fn num_visible_outputs(&self, _: &Params) -> usize {
        1
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        let outputs: Vec<_> = (0..s.num_outputs()).collect();
        s.same(&[0], &outputs)?;
        if is(params, "prelu") { infer_gamma(s, 0, 1) } else { Ok(()) }
    }

    fn inplace(&self, _: &Params) -> Vec<(usize, usize)> {
        vec![(0, 0)]
    }

    fn is_deterministic(&self) -> bool {
        false
    }

    fn is_cheap(&self, params: &Params) -> bool {
        !is(params, "gelu")
    }

    /// What mask holds is 1 where data > 0, so that the output of rrelu is their product.
    fn recompute(&self, again: &mut Recompute<'_>) -> Result<Option<Vec<Entry>>> {
        if !is(again.params, "rrelu") {
            return again.add_all(self.name()).map(Some);
        }
        let (data, mask) = (again.inputs[0], again.outputs[1]);
        let name = format!("{}_recomputed", again.node);
        let output = again.graph.add("elemwise_mul", &name, Attrs::new(), &[data, mask])?;
        Ok(Some(vec![output, mask]))
    }

    /// gamma of prelu is of axis 1, and rrelu draws a number for each place.
    fn permuted(&self, params: &Params, _: &[TensorDesc], _: &Permutation) -> Option<Attrs> {
        (!is(params, "prelu") && !is(params, "rrelu")).then(Attrs::new)
    }

    fn per_sample(&self, _: &Params, _: &[TensorDesc]) -> Option<Vec<usize>> {
        Some(vec![0])
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let mut inputs = vec![grad.out_grad(0)?];
        match grad.params.text("act_type") {
            "prelu" => inputs.extend(grad.inputs),
            "rrelu" => inputs.push(grad.outputs[1]),
            _ if leaky_relu_saves_output(grad.params) => inputs.push(grad.outputs[0]),
            _ => inputs.push(grad.inputs[0]),
        }
        grad.backward("_backward_LeakyReLU", &inputs, grad.inputs.len())
    }
}

/// Gradients of [`LeakyRelu`].
pub(super) struct Backward;

impl Operator for Backward {
    fn name(&self) -> &str {
        "_backward_LeakyReLU"
    }

    fn doc(&self) -> &str {
        "d_data = out_grad · f'(data), which of the output is, where that is negative: leaky slope, elu output + slope; rrelu \
         out_grad · mask; prelu gamma where data is negative, and d_gamma = Σ out_grad · data over what is negative."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn inputs(&self, params: &Params) -> Vec<String> {
        let names: &[&str] = match params.text("act_type") {
            "prelu" => &["out_grad", "data", "gamma"],
            "rrelu" => &["out_grad", "mask"],
            _ if leaky_relu_saves_output(params) => &["out_grad", "output"],
            _ => &["out_grad", "data"],
        };
        names.iter().map(ToString::to_string).collect()
    }

    fn outputs(&self, params: &Params) -> Vec<String> {
        LeakyRelu.inputs(params).into_iter().map(|n| format!("d_{n}")).collect()
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        s.same(&[0, 1], &[0])?;
        if is(params, "prelu") {
            infer_gamma(s, 1, 2)?;
            s.same(&[2], &[1])?;
        }
        Ok(())
    }

    fn inplace(&self, _: &Params) -> Vec<(usize, usize)> {
        vec![(0, 0)]
    }
}
