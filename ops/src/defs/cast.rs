//! `Cast`: another dtype.

use crate::{Attrs, DTypes, Entry, Gradient, Operator, Params, Permutation, Result, Schema, Shapes, TensorDesc};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::new().dtype("dtype", None, "The dtype of the output."));

/// `output = data`, in another dtype.
pub(super) struct Cast {
    /// The operator's name: `amp_cast` is what conversions to mixed precision insert.
    pub(super) name: &'static str,
    /// Other names.
    pub(super) aliases: &'static [&'static str],
}

/// The operators of this file that have a name in symbols.
pub(super) const ALL: [Cast; 2] = [Cast { name: "Cast", aliases: &["cast"] }, Cast { name: "amp_cast", aliases: &[] }];

impl Operator for Cast {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[&str] {
        self.aliases
    }

    fn doc(&self) -> &str {
        "output = data in this dtype. Floating-point numbers become integers by dropping the fraction; what is out of \
         range becomes the nearest value in range, NaN becomes 0."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn infer_shape(&self, _: &Params, s: &mut Shapes) -> Result<()> {
        s.same(&[0], &[0])
    }

    fn infer_dtype(&self, params: &Params, d: &mut DTypes) -> Result<()> {
        params.dtype("dtype").map_or(Ok(()), |dtype| d.set_output(0, dtype))
    }

    fn is_cheap(&self, _: &Params) -> bool {
        true
    }

    fn permuted(&self, _: &Params, _: &[TensorDesc], _: &Permutation) -> Option<Attrs> {
        Some(Attrs::new())
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let inputs = [grad.out_grad(0)?];
        grad.backward("_backward_cast", &inputs, 1)
    }
}

/// Gradient of [`Cast`].
pub(super) struct Backward;

impl Operator for Backward {
    fn name(&self) -> &str {
        "_backward_cast"
    }

    fn doc(&self) -> &str {
        "d_data = out_grad, of dtype dtype, in the dtype that data had."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        vec!["out_grad".to_string()]
    }

    fn outputs(&self, _: &Params) -> Vec<String> {
        vec!["d_data".to_string()]
    }

    fn infer_shape(&self, _: &Params, s: &mut Shapes) -> Result<()> {
        s.same(&[0], &[0])
    }

    fn infer_dtype(&self, params: &Params, d: &mut DTypes) -> Result<()> {
        params.dtype("dtype").map_or(Ok(()), |dtype| d.set_input(0, dtype))
    }
}
