//! Tensors filled with zeroes or ones.

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

const fn like(name: &'static str, doc: &'static str) -> Elementwise {
    Elementwise {
        name,
        aliases: &[],
        doc,
        schema: &NO_PARAMS,
        inputs: &["data"],
        output: "output",
        inplace: &[],
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
}

/// Zeroes and ones of a given shape.
pub(super) const FILLS: [Fill; 2] =
    [Fill { name: "_zeros", doc: "Zeroes of this shape." }, Fill { name: "_ones", doc: "Ones of this shape." }];

impl Operator for Fill {
    fn name(&self) -> &str {
        self.name
    }

    fn doc(&self) -> &str {
        self.doc
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        Vec::new()
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        s.set_output(0, given_shape(params), "from parameter shape")
    }

    fn infer_dtype(&self, params: &Params, d: &mut DTypes) -> Result<()> {
        d.set_output(0, params.dtype("dtype").unwrap_or(DType::F32))
    }

    fn gradient(&self, _: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        Ok(Vec::new())
    }
}
