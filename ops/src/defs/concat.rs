//! `Concat` and `stack`: tensors one after the other along an axis.

use super::dims::{axis_of, moved_axis};
use super::layout::bare;
use crate::{
    Attrs, DTypes, Entry, Error, Gradient, Operator, Params, PartialShape, Permutation, Result, Schema, Shapes,
    TensorDesc,
};
use std::sync::LazyLock;

const AXIS: std::ops::RangeInclusive<i64> = i32::MIN as i64..=i32::MAX as i64;

static CONCAT: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new().int("num_args", 1..=i64::from(u16::MAX), None, "Number of inputs.").int(
        "dim",
        AXIS,
        Some(1),
        "The axis along which they follow each other; negative ones count from the end.",
    )
});

static STACK: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new()
        .int("axis", AXIS, Some(0), "The new axis, as the output counts; negative ones count from the end.")
        .int("num_args", 1..=i64::from(u16::MAX), None, "Number of inputs.")
});

/// The axis of the output along which the inputs of `Concat` or `stack` follow each other.
///
/// # Errors
/// [`Error::Param`] when an output of this rank has no such axis.
pub fn join_axis(params: &Params, rank: usize) -> Result<usize> {
    let is_concat = params.iter().any(|(name, _)| name == "dim");
    axis_of(params.int(if is_concat { "dim" } else { "axis" }), rank)
}

/// Which of the two.
#[derive(Clone, Copy)]
pub(super) enum Join {
    /// Along an axis that the inputs have.
    Concat,
    /// Along a new axis.
    Stack,
}

impl Join {
    fn new_axes(self) -> usize {
        usize::from(matches!(self, Join::Stack))
    }
}

impl Operator for Join {
    fn name(&self) -> &str {
        match self {
            Join::Concat => "Concat",
            Join::Stack => "stack",
        }
    }

    fn aliases(&self) -> &[&str] {
        match self {
            Join::Concat => &["concat"],
            Join::Stack => &[],
        }
    }

    fn doc(&self) -> &str {
        match self {
            Join::Concat => "The inputs one after the other along axis dim; their other axes are alike.",
            Join::Stack => "The inputs, all of one shape, one after the other along a new axis.",
        }
    }

    fn schema(&self) -> &Schema {
        match self {
            Join::Concat => &CONCAT,
            Join::Stack => &STACK,
        }
    }

    fn inputs(&self, params: &Params) -> Vec<String> {
        (0..params.usize("num_args")).map(|i| format!("arg{i}")).collect()
    }

    fn is_variadic(&self) -> bool {
        true
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        let parts: Vec<_> = (0..s.num_inputs()).map(|i| s.input(i).clone()).collect();
        let (parts, whole) = infer(*self, params, parts, s.output(0).clone())?;
        s.set_output(0, whole, "from the inputs")?;
        let why = format!("from the other inputs and output {}", s.output(0));
        parts.into_iter().enumerate().try_for_each(|(i, part)| s.set_input(i, part, &why))
    }

    fn is_cheap(&self, _: &Params) -> bool {
        true
    }

    fn permuted(&self, params: &Params, inputs: &[TensorDesc], order: &Permutation) -> Option<Attrs> {
        match self {
            Join::Concat => moved_axis(params, "dim", inputs, order),
            Join::Stack => None,
        }
    }

    fn per_sample(&self, params: &Params, inputs: &[TensorDesc]) -> Option<Vec<usize>> {
        let axis = params.int(if let Join::Concat = self { "dim" } else { "axis" });
        (axis > 0).then(|| (0..inputs.len()).collect())
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let inputs = [grad.out_grad(0)?];
        let op = match self {
            Join::Concat => "_backward_Concat",
            Join::Stack => "_backward_stack",
        };
        grad.backward(op, &inputs, grad.inputs.len())
    }
}

/// What the parts and the whole tell of each other.
fn infer(
    join: Join,
    params: &Params,
    mut parts: Vec<PartialShape>,
    whole: PartialShape,
) -> Result<(Vec<PartialShape>, PartialShape)> {
    let of_part = parts.iter().find_map(PartialShape::rank).and_then(|rank| rank.checked_add(join.new_axes()));
    let Some(rank) = of_part.or(whole.rank()) else { return Ok((parts, whole)) };
    let axis =
        join_axis(params, rank).map_err(|e| Error::Shape(format!("the output has {rank} axes: {}", bare(&e))))?;
    // The axes that all have in common, with a hole at `axis`.
    let mut common = PartialShape::new(vec![None; rank]);
    for (i, part) in parts.iter().enumerate() {
        let Some(dims) = part.dims() else { continue };
        let mut dims = dims.to_vec();
        match join {
            Join::Stack => dims.insert(axis.min(dims.len()), None),
            Join::Concat => {
                if let Some(d) = dims.get_mut(axis) {
                    *d = None;
                }
            }
        }
        common.merge(&PartialShape::new(dims)).map_err(|_| {
            Error::Shape(format!(
                "arg{i} has shape {part}, wanted it but for axis {axis} as the inputs before it, {common}"
            ))
        })?;
    }
    let hole = |shape: &PartialShape| {
        shape.dims().map(|d| PartialShape::new(d.iter().enumerate().map(|(a, d)| d.filter(|_| a != axis))))
    };
    if let Some(whole) = hole(&whole) {
        common.merge(&whole).map_err(|e| Error::Shape(format!("output {}", bare(&e))))?;
    }
    let with = |d: Option<usize>| (0..rank).map(move |a| (a, d));
    let fill = |d: Option<usize>| PartialShape::new(with(d).map(|(a, d)| if a == axis { d } else { common.dim(a) }));
    if let Join::Stack = join {
        let part = PartialShape::new((0..rank).filter(|a| *a != axis).map(|a| common.dim(a)));
        let n = parts.len();
        return Ok((vec![part; n], fill(Some(n))));
    }
    let lens: Vec<_> = parts.iter().map(|p| p.dim(axis)).collect();
    let too_long = || Error::Shape(format!("the inputs are too long for one along axis {axis}"));
    let known = lens.iter().flatten().try_fold(0_usize, |n, d| n.checked_add(*d)).ok_or_else(too_long)?;
    let missing: Vec<_> = (0..lens.len()).filter(|i| lens[*i].is_none()).collect();
    for (part, len) in parts.iter_mut().zip(lens) {
        part.merge(&fill(len))?;
    }
    if let (Some(all), &[one]) = (whole.dim(axis), missing.as_slice()) {
        let rest = all.checked_sub(known);
        let rest =
            rest.ok_or_else(|| Error::Shape(format!("the inputs are {known} long along axis {axis}, wanted {all}")))?;
        parts[one].merge(&fill(Some(rest)))?;
    }
    let whole = fill(missing.is_empty().then_some(known));
    Ok((parts, whole))
}

/// Gradients of [`Join`] by each input.
pub(super) struct Backward(pub(super) Join);

impl Operator for Backward {
    fn name(&self) -> &str {
        match self.0 {
            Join::Concat => "_backward_Concat",
            Join::Stack => "_backward_stack",
        }
    }

    fn doc(&self) -> &str {
        "d_arg<i> = the part of out_grad where input i is in the output."
    }

    fn schema(&self) -> &Schema {
        self.0.schema()
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        vec!["out_grad".to_string()]
    }

    fn outputs(&self, params: &Params) -> Vec<String> {
        (0..params.usize("num_args")).map(|i| format!("d_arg{i}")).collect()
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        let parts: Vec<_> = (0..s.num_outputs()).map(|o| s.output(o).clone()).collect();
        let (parts, whole) = infer(self.0, params, parts, s.input(0).clone())?;
        s.set_input(0, whole, "from its parts")?;
        let why = format!("from out_grad {}", s.input(0));
        parts.into_iter().enumerate().try_for_each(|(o, part)| s.set_output(o, part, &why))
    }

    fn infer_dtype(&self, _: &Params, d: &mut DTypes) -> Result<()> {
        d.all_same()
    }
}
