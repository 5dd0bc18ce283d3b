//! `shape_array` and `size_array`: a tensor's shape as a tensor.

use super::elementwise::NO_PARAMS;
use crate::{DType, DTypes, Entry, Gradient, Operator, Params, PartialShape, Result, Schema, Shapes};

/// Which of the two.
pub(super) enum ShapeOf {
    /// The lengths of all axes.
    Shape,
    /// The number of elements.
    Size,
}

impl Operator for ShapeOf {
    fn name(&self) -> &str {
        match self {
            ShapeOf::Shape => "shape_array",
            ShapeOf::Size => "size_array",
        }
    }

    fn doc(&self) -> &str {
        match self {
            ShapeOf::Shape => "The lengths of the axes of data, as int64.",
            ShapeOf::Size => "The number of elements of data, as int64 of shape (1,).",
        }
    }

    fn schema(&self) -> &Schema {
        &NO_PARAMS
    }

    fn infer_shape(&self, _: &Params, s: &mut Shapes) -> Result<()> {
        let len = match self {
            ShapeOf::Shape => s.input(0).rank(),
            ShapeOf::Size => Some(1),
        };
        s.set_output(0, PartialShape::new([len]), &format!("from data {}", s.input(0)))
    }

    fn infer_dtype(&self, _: &Params, d: &mut DTypes) -> Result<()> {
        d.set_output(0, DType::I64)
    }

    fn gradient(&self, _: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        Ok(vec![None])
    }
}
