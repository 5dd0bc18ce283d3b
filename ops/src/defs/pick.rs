//! `pick`, `batch_take` and `one_hot`: one place along an axis, by its number.

use super::dims::axis_of;
use super::elementwise::NO_PARAMS;
use super::layout::bare;
use crate::{DType, DTypes, Entry, Error, Gradient, Operator, Params, PartialShape, Result, Schema, Shapes, Value};
use std::sync::LazyLock;

static PICK: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new()
        .int("axis", i64::from(i32::MIN)..=i64::from(i32::MAX), Some(-1), "The axis; negative ones count from the end.")
        .bool("keepdims", Some(false), "Leave the axis in, with length 1.")
        .choice(
            "mode",
            &["clip", "wrap"],
            Some("clip"),
            "An index out of range is: the nearest in range; counted on from the other end.",
        )
});

static ONE_HOT: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new()
        .int("depth", 0..=i64::MAX, None, "Length of the new axis.")
        .float("on_value", f64::MIN..=f64::MAX, Some(1.0), "The value at the index.")
        .float("off_value", f64::MIN..=f64::MAX, Some(0.0), "The value elsewhere.")
        .dtype("dtype", Some(Value::DType(DType::F32)), "The dtype of the output.")
});

/// The axis of data along which a `pick` or `batch_take` goes.
///
/// # Errors
/// [`Error::Param`] when data of this rank has no such axis.
pub fn pick_axis(params: &Params, rank: usize) -> Result<usize> {
    match params.iter().find(|(name, _)| *name == "axis") {
        Some((_, Value::Int(axis))) => axis_of(*axis, rank),
        _ => axis_of(1, rank),
    }
}

/// One element of each row.
#[derive(Clone, Copy)]
pub(super) enum Pick {
    /// Along any axis.
    Pick,
    /// Of a matrix, in older symbols.
    BatchTake,
}

impl Pick {
    fn names(self) -> [&'static str; 2] {
        match self {
            Pick::Pick => ["data", "index"],
            Pick::BatchTake => ["a", "indices"],
        }
    }

    /// The shape of data without the axis, and with the axis of length 1.
    fn picked(self, params: &Params, data: &PartialShape) -> Result<Option<[PartialShape; 2]>> {
        let Some(dims) = data.dims() else { return Ok(None) };
        let axis = pick_axis(params, dims.len())
            .map_err(|e| Error::Shape(format!("{} has shape {data}: {}", self.names()[0], bare(&e))))?;
        if dims[axis] == Some(0) {
            return Err(Error::Shape(format!(
                "{} has shape {data}, wanted elements along axis {axis}",
                self.names()[0]
            )));
        }
        let without = PartialShape::new(dims.iter().enumerate().filter(|(a, _)| *a != axis).map(|(_, d)| *d));
        let kept = PartialShape::new(dims.iter().enumerate().map(|(a, d)| if a == axis { Some(1) } else { *d }));
        // A scalar is a tensor of one element here, as everywhere.
        let without = if dims.len() == 1 { kept.clone() } else { without };
        Ok(Some([without, kept]))
    }

    /// Tells the index and the picked of the shape of data.
    fn infer(self, params: &Params, data: &PartialShape, index: &PartialShape) -> Result<Option<[PartialShape; 2]>> {
        let Some([without, kept]) = self.picked(params, data)? else { return Ok(None) };
        let keep = matches!(self, Pick::Pick) && params.bool("keepdims");
        let fits_kept = index.rank() == kept.rank() && index.clone().merge(&kept).is_ok();
        let index = if fits_kept { kept.clone() } else { without.clone() };
        Ok(Some([index, if keep { kept } else { without }]))
    }
}

impl Operator for Pick {
    fn name(&self) -> &str {
        match self {
            Pick::Pick => "pick",
            Pick::BatchTake => "batch_take",
        }
    }

    fn doc(&self) -> &str {
        match self {
            Pick::Pick => {
                "output[i…, j…] = data[i…, index[i…, j…], j…], with the index along axis. Fractions are dropped. index has data's \
                 axes but for this one, or with it of length 1."
            }
            Pick::BatchTake => "output[i] = a[i, indices[i]]; an index out of range is the nearest in range.",
        }
    }

    fn schema(&self) -> &Schema {
        match self {
            Pick::Pick => &PICK,
            Pick::BatchTake => &NO_PARAMS,
        }
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        self.names().map(String::from).to_vec()
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        let Some([index, out]) = self.infer(params, s.input(0), s.input(1))? else { return Ok(()) };
        let why = format!("from {} {}", self.names()[0], s.input(0));
        s.set_input(1, index, &why)?;
        s.set_output(0, out, &why)
    }

    fn infer_dtype(&self, _: &Params, d: &mut DTypes) -> Result<()> {
        d.same(&[0], &[0])?;
        match (self, d.input(0), d.input(1)) {
            (Pick::BatchTake, _, None) => d.set_input(1, DType::I32),
            (Pick::Pick, Some(dtype), None) => d.set_input(1, dtype),
            _ => Ok(()),
        }
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let inputs = [grad.out_grad(0)?, grad.inputs[1]];
        let op = match self {
            Pick::Pick => "_backward_pick",
            Pick::BatchTake => "_backward_batch_take",
        };
        Ok(vec![grad.backward(op, &inputs, 1)?[0], None])
    }
}

/// Gradients of [`Pick`] by data.
pub(super) struct Backward(pub(super) Pick);

impl Operator for Backward {
    fn name(&self) -> &str {
        match self.0 {
            Pick::Pick => "_backward_pick",
            Pick::BatchTake => "_backward_batch_take",
        }
    }

    fn doc(&self) -> &str {
        "d_data = out_grad at the index, 0 elsewhere."
    }

    fn schema(&self) -> &Schema {
        self.0.schema()
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        ["out_grad", "index"].map(String::from).to_vec()
    }

    fn outputs(&self, _: &Params) -> Vec<String> {
        vec!["d_data".to_string()]
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        let Some([index, out]) = self.0.infer(params, s.output(0), s.input(1))? else { return Ok(()) };
        let why = format!("from d_data {}", s.output(0));
        s.set_input(1, index, &why)?;
        s.set_input(0, out, &why)
    }

    fn infer_dtype(&self, _: &Params, d: &mut DTypes) -> Result<()> {
        d.same(&[0], &[0])
    }
}

/// Numbers as rows with one place set.
pub(super) struct OneHot;

impl Operator for OneHot {
    fn name(&self) -> &str {
        "one_hot"
    }

    fn doc(&self) -> &str {
        "output[i…, k] = on_value where k = indices[i…], off_value elsewhere. Fractions are dropped; an index out of range sets \
         no place."
    }

    fn schema(&self) -> &Schema {
        &ONE_HOT
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        vec!["indices".to_string()]
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        if let Some(dims) = s.input(0).dims() {
            let mut out = dims.to_vec();
            out.push(Some(params.usize("depth")));
            s.set_output(0, PartialShape::new(out), &format!("from indices {} and depth", s.input(0)))?;
        }
        if let Some([first @ .., _]) = s.output(0).dims() {
            let indices = PartialShape::new(first.to_vec());
            s.set_input(0, indices, &format!("from output {}", s.output(0)))?;
        }
        Ok(())
    }

    fn infer_dtype(&self, params: &Params, d: &mut DTypes) -> Result<()> {
        d.set_output(0, params.dtype("dtype").unwrap_or(DType::F32))
    }

    fn gradient(&self, _: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        Ok(vec![None])
    }
}
