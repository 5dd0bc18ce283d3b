//! `argmax`, `argmin` and `argmax_channel`: where the largest or smallest element is.

use super::dims::axis_of;
use super::elementwise::NO_PARAMS;
use super::layout::bare;
use crate::{Entry, Error, Gradient, Kind, Operator, Params, PartialShape, Result, Schema, Shapes, Value};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new()
        .param(
            "axis",
            Kind::Int(i64::from(i32::MIN), i64::from(i32::MAX)),
            Some(Value::None),
            "The axis; negative ones count from the end. None is data as one axis.",
        )
        .bool("keepdims", Some(false), "Leave the axis in, with length 1; all axes without one.")
});

/// The axis that an `argmax`, `argmin` or `argmax_channel` goes along, if not all of data as one.
///
/// # Errors
/// [`Error::Param`] when data of this rank has no such axis.
pub fn arg_axis(params: &Params, rank: usize) -> Result<Option<usize>> {
    match params.iter().find(|(name, _)| *name == "axis") {
        Some((_, Value::Int(axis))) => axis_of(*axis, rank).map(Some),
        Some(_) => Ok(None),
        None => axis_of(1, rank).map(Some),
    }
}

/// Which of them.
#[derive(Clone, Copy)]
pub(super) enum Arg {
    Max,
    Min,
    MaxChannel,
}

impl Operator for Arg {
    fn name(&self) -> &str {
        match self {
            Arg::Max => "argmax",
            Arg::Min => "argmin",
            Arg::MaxChannel => "argmax_channel",
        }
    }

    fn doc(&self) -> &str {
        match self {
            Arg::Max => {
                "The place along axis of the first largest element, or the first NaN, as a number of data's dtype."
            }
            Arg::Min => {
                "The place along axis of the first smallest element, or the first NaN, as a number of data's dtype."
            }
            Arg::MaxChannel => {
                "The place along axis 1 of the first largest element, or the first NaN, as a number of data's dtype."
            }
        }
    }

    fn schema(&self) -> &Schema {
        match self {
            Arg::Max | Arg::Min => &SCHEMA,
            Arg::MaxChannel => &NO_PARAMS,
        }
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        let Some(dims) = s.input(0).dims() else { return Ok(()) };
        let refuse = |what: &str| Error::Shape(format!("data has shape {}: {what}", s.input(0)));
        let axis = arg_axis(params, dims.len()).map_err(|e| refuse(&bare(&e)))?;
        let is_searched = |a: usize| axis.is_none_or(|axis| axis == a);
        if dims.iter().enumerate().any(|(a, d)| is_searched(a) && *d == Some(0)) {
            return Err(refuse("wanted elements to choose from"));
        }
        let keep = !matches!(self, Arg::MaxChannel) && params.bool("keepdims");
        let out = dims.iter().enumerate().filter(|(a, _)| keep || !is_searched(*a));
        let mut out: Vec<_> = out.map(|(a, d)| if is_searched(a) { Some(1) } else { *d }).collect();
        if out.is_empty() {
            out.push(Some(1));
        }
        s.set_output(0, PartialShape::new(out), &format!("from data {}", s.input(0)))
    }

    fn gradient(&self, _: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        Ok(vec![None])
    }
}
