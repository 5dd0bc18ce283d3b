//! `SliceChannel`: a tensor cut into equal parts along an axis.

use super::dims::axis_of;
use super::layout::bare;
use crate::{Attrs, Entry, Error, Gradient, Operator, Params, PartialShape, Result, Schema, Shapes, TensorDesc};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new()
        .int("num_outputs", 1..=i64::from(u16::MAX), None, "Number of parts; it divides the length of the axis.")
        .int(
            "axis",
            i64::from(i32::MIN)..=i64::from(i32::MAX),
            Some(1),
            "The axis that is cut; negative ones count from the end.",
        )
        .bool("squeeze_axis", Some(false), "Drop the axis, whose length is then num_outputs.")
});

/// The axis along which a `SliceChannel` cuts data of this rank.
///
/// # Errors
/// [`Error::Param`] when there is no such axis.
pub fn slice_channel_axis(params: &Params, rank: usize) -> Result<usize> {
    axis_of(params.int("axis"), rank)
}

/// The parts of data along an axis.
pub(super) struct SliceChannel;

impl Operator for SliceChannel {
    fn name(&self) -> &str {
        "SliceChannel"
    }

    fn aliases(&self) -> &[&str] {
        &["split"]
    }

    fn doc(&self) -> &str {
        "output<i> = part i of num_outputs equal parts of data along axis."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn outputs(&self, params: &Params) -> Vec<String> {
        (0..params.usize("num_outputs")).map(|i| format!("output{i}")).collect()
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        let parts: Vec<_> = (0..s.num_outputs()).map(|o| s.output(o).clone()).collect();
        let (whole, part) = infer(params, s.input(0).clone(), &parts)?;
        let why = format!("from data {} and num_outputs {}", s.input(0), parts.len());
        (0..parts.len()).try_for_each(|o| s.set_output(o, part.clone(), &why))?;
        s.set_input(0, whole, "from the outputs")
    }

    fn is_cheap(&self, _: &Params) -> bool {
        true
    }

    fn per_sample(&self, params: &Params, _: &[TensorDesc]) -> Option<Vec<usize>> {
        (params.int("axis") > 0).then(|| vec![0])
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let mut inputs = Vec::with_capacity(grad.out_grads.len());
        for (o, given) in grad.out_grads.iter().enumerate() {
            inputs.push(match given {
                Some(given) => *given,
                None => {
                    let name = format!("{}_backward_zeros{o}", grad.node);
                    grad.graph.add("zeros_like", &name, Attrs::new(), &[grad.outputs[o]])?
                }
            });
        }
        grad.backward("_backward_SliceChannel", &inputs, 1)
    }
}

/// What the whole and its parts tell of each other: the whole, and one part.
fn infer(params: &Params, mut whole: PartialShape, parts: &[PartialShape]) -> Result<(PartialShape, PartialShape)> {
    let (n, squeeze) = (parts.len(), params.bool("squeeze_axis"));
    let mut part = PartialShape::unknown();
    for (o, other) in parts.iter().enumerate() {
        part.merge(other).map_err(|e| Error::Shape(format!("output{o} {}", bare(&e))))?;
    }
    let of_part = part.rank().and_then(|rank| rank.checked_add(usize::from(squeeze)));
    let Some(rank) = whole.rank().or(of_part) else { return Ok((whole, part)) };
    let axis =
        axis_of(params.int("axis"), rank).map_err(|e| Error::Shape(format!("data has shape {whole}: {}", bare(&e))))?;
    if let Some(dims) = part.dims() {
        let mut dims = dims.to_vec();
        if squeeze {
            dims.insert(axis.min(dims.len()), Some(n));
        } else if let Some(d) = dims.get_mut(axis) {
            *d = d.and_then(|d| d.checked_mul(n));
        }
        whole.merge(&PartialShape::new(dims)).map_err(|e| Error::Shape(format!("data {}", bare(&e))))?;
    }
    let mut dims: Vec<_> = (0..rank).map(|a| whole.dim(a)).collect();
    match dims[axis] {
        Some(len) if !len.is_multiple_of(n) || (squeeze && len != n) => {
            let wanted = if squeeze { "to be" } else { "to be a multiple of" };
            return Err(Error::Shape(format!("data has shape {whole}, wanted axis {axis} {wanted} num_outputs {n}")));
        }
        len => dims[axis] = len.map(|len| len / n),
    }
    if squeeze {
        dims.remove(axis);
    }
    Ok((whole, PartialShape::new(dims)))
}

/// Gradient of [`SliceChannel`].
pub(super) struct Backward;

impl Operator for Backward {
    fn name(&self) -> &str {
        "_backward_SliceChannel"
    }

    fn doc(&self) -> &str {
        "d_data = the gradients of the parts, one after the other along axis."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn inputs(&self, params: &Params) -> Vec<String> {
        (0..params.usize("num_outputs")).map(|i| format!("out_grad{i}")).collect()
    }

    fn outputs(&self, _: &Params) -> Vec<String> {
        vec!["d_data".to_string()]
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        let parts: Vec<_> = (0..s.num_inputs()).map(|i| s.input(i).clone()).collect();
        let (whole, part) = infer(params, s.output(0).clone(), &parts)?;
        (0..parts.len()).try_for_each(|i| s.set_input(i, part.clone(), "from the other gradients and d_data"))?;
        s.set_output(0, whole, "from the gradients of the parts")
    }
}
