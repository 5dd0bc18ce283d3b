//! `L2Normalization`: vectors of Euclidean length 1.

use crate::{Entry, Error, Gradient, Operator, Params, PartialShape, Result, Schema, Shape, Shapes, TensorDesc};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new().float("eps", 0.0..=f64::MAX, Some(1e-10), "Added to the square of the length.").choice(
        "mode",
        &["channel", "instance", "spatial"],
        Some("instance"),
        "What is a vector: instance all of a sample; channel the channels at one place; spatial the places of one channel.",
    )
});

/// Division by the length.
pub(super) struct L2Normalization;

/// The elements of data before, along and after a vector, which may lie over several axes.
#[must_use]
pub fn l2_normalization_vectors(params: &Params, data: &Shape) -> [usize; 3] {
    let dims = data.dims();
    let product = |dims: &[usize]| dims.iter().product::<usize>();
    match (params.text("mode"), dims) {
        ("channel", [samples, channels, places @ ..]) => [*samples, *channels, product(places)],
        ("spatial", [samples, channels, places @ ..]) => [product(&[*samples, *channels]), product(places), 1],
        (_, [samples, rest @ ..]) => [*samples, product(rest), 1],
        (_, []) => [1, 1, 1],
    }
}

/// The shape of norm, from that of data.
fn infer_norm(params: &Params, s: &Shapes, data: usize) -> Result<PartialShape> {
    let shape = s.input(data);
    let Some(dims) = shape.dims() else { return Ok(PartialShape::unknown()) };
    let mode = params.text("mode");
    if dims.len() < if mode == "instance" { 1 } else { 3 } {
        return Err(Error::Shape(format!("data has shape {shape}, wanted axes for samples, channels and places")));
    }
    Ok(match mode {
        "channel" => PartialShape::new([dims[0]].into_iter().chain(dims[2..].iter().copied())),
        "spatial" => PartialShape::new([dims[0], dims[1]]),
        _ => PartialShape::new([dims[0]]),
    })
}

impl Operator for L2Normalization {
    fn name(&self) -> &str {
        "L2Normalization"
    }

    fn doc(&self) -> &str {
        "output = data / norm with norm = √(Σ data² + eps) over the vector that an element belongs to. data (N, …), or (N, C, …) \
         unless mode is instance. norm is a hidden output."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn outputs(&self, _: &Params) -> Vec<String> {
        ["output", "norm"].map(String::from).to_vec()
    }

    fn num_visible_outputs(&self, _: &Params) -> usize {
        1
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        s.same(&[0], &[0])?;
        let norm = infer_norm(params, s, 0)?;
        s.set_output(1, norm, &format!("from data {}", s.input(0)))
    }

    fn per_sample(&self, _: &Params, _: &[TensorDesc]) -> Option<Vec<usize>> {
        Some(vec![0])
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let inputs = [grad.out_grad(0)?, grad.outputs[0], grad.outputs[1]];
        grad.backward("_backward_L2Normalization", &inputs, 1)
    }
}

/// Gradient of [`L2Normalization`].
pub(super) struct Backward;

impl Operator for Backward {
    fn name(&self) -> &str {
        "_backward_L2Normalization"
    }

    fn doc(&self) -> &str {
        "d_data = (out_grad - output · Σ out_grad · output) / norm, the sum over the vector that an element belongs to."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        ["out_grad", "output", "norm"].map(String::from).to_vec()
    }

    fn outputs(&self, _: &Params) -> Vec<String> {
        vec!["d_data".to_string()]
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        s.same(&[0, 1], &[0])?;
        let norm = infer_norm(params, s, 0)?;
        s.set_input(2, norm, &format!("from out_grad {}", s.input(0)))
    }
}
