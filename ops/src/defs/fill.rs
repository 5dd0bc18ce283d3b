//! Tensors filled with one number.

use super::dims::given_shape;
use super::elementwise::{Elementwise, NO_PARAMS};
use crate::{DType, DTypes, Entry, Gradient, Operator, Params, Result, Schema, Shapes, Value};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new()
        .tuple("shape", Some(&[]), "The shape; what is left out or 0 follows from who uses it.")
        .param("ctx", crate::Kind::Text, Some(Value::Text(String::new())), "The device. Without effect.")
        .dtype("dtype", Some(Value::DType(DType::F32)), "The dtype.")
});

static FULL_SCHEMA: LazyLock<Schema> =
    LazyLock::new(|| SCHEMA.clone().float("value", f64::MIN..=f64::MAX, None, "The number."));

/// Here the dtype is a number, as the model was saved: -1 for one that follows from who uses it.
static UNTYPED_SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new()
        .tuple("shape", Some(&[]), "The shape; what is left out or 0 follows from who uses it.")
        .param("ctx", crate::Kind::Text, Some(Value::Text(String::new())), "The device. Without effect.")
        .int(
            "dtype",
            -1..=12,
            Some(-1),
            "The number of the dtype, as in .params files; -1: it follows from who uses it.",
        )
});

const fn like(name: &'static str, doc: &'static str) -> Elementwise {
    Elementwise {
        name,
        aliases: &[],
        doc,
        schema: &NO_PARAMS,
        inputs: &["data"],
        output: "output",
        inplace: &[],
        is_identity: false,
        gradient: Some(|_| Ok(vec![None])),
    }
}

/// Zeroes and ones of another tensor's shape.
pub(super) const LIKE: [Elementwise; 2] = [
    like("zeros_like", "Zeroes of the shape and dtype of data."),
    like("ones_like", "Ones of the shape and dtype of data."),
];

/// A tensor of one number.
pub(super) struct Fill {
    /// The operator's name.
    pub(super) name: &'static str,
    /// What it does.
    pub(super) doc: &'static str,
    /// Its parameters.
    pub(super) schema: &'static LazyLock<Schema>,
}

/// Tensors of a given shape.
pub(super) const FILLS: [Fill; 4] = [
    Fill { name: "_zeros", doc: "Zeroes of this shape.", schema: &SCHEMA },
    Fill { name: "_ones", doc: "Ones of this shape.", schema: &SCHEMA },
    Fill { name: "_full", doc: "A tensor of this shape, all of whose elements are value.", schema: &FULL_SCHEMA },
    Fill { name: "_zeros_without_dtype", doc: "Zeroes of this shape.", schema: &UNTYPED_SCHEMA },
];

impl Operator for Fill {
    fn name(&self) -> &str {
        self.name
    }

    fn doc(&self) -> &str {
        self.doc
    }

    fn schema(&self) -> &Schema {
        self.schema
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        Vec::new()
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        s.set_output(0, given_shape(params), "from parameter shape")
    }

    fn infer_dtype(&self, params: &Params, d: &mut DTypes) -> Result<()> {
        match params.value("dtype") {
            // No dtype has the number -1: it follows from who uses the output.
            Value::Int(code) => match i32::try_from(*code).ok().and_then(DType::from_code) {
                Some(dtype) => d.set_output(0, dtype),
                None => Ok(()),
            },
            _ => d.set_output(0, params.dtype("dtype").unwrap_or(DType::F32)),
        }
    }

    fn gradient(&self, _: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        Ok(Vec::new())
    }
}
