//! `add_n`: the sum of any number of tensors.

use crate::{Attrs, Entry, Gradient, Operator, Params, Permutation, Result, Schema, Shapes, TensorDesc};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> =
    LazyLock::new(|| Schema::new().int("num_args", 1..=i64::from(u16::MAX), None, "Number of inputs."));

/// `output = arg0 + arg1 + …`.
pub(super) struct AddN;

impl Operator for AddN {
    fn name(&self) -> &str {
        "add_n"
    }

    fn aliases(&self) -> &[&str] {
        &["ElementWiseSum"]
    }

    fn doc(&self) -> &str {
        "output = arg0 + arg1 + …, added in this order; all of one shape."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn inputs(&self, params: &Params) -> Vec<String> {
        (0..params.usize("num_args")).map(|i| format!("arg{i}")).collect()
    }

    fn is_variadic(&self) -> bool {
        true
    }

    fn infer_shape(&self, _: &Params, s: &mut Shapes) -> Result<()> {
        let inputs: Vec<_> = (0..s.num_inputs()).collect();
        s.same(&inputs, &[0])
    }

    fn inplace(&self, _: &Params) -> Vec<(usize, usize)> {
        vec![(0, 0)]
    }

    fn is_cheap(&self, _: &Params) -> bool {
        true
    }

    fn permuted(&self, _: &Params, _: &[TensorDesc], _: &Permutation) -> Option<Attrs> {
        Some(Attrs::new())
    }

    fn per_sample(&self, _: &Params, inputs: &[TensorDesc]) -> Option<Vec<usize>> {
        Some((0..inputs.len()).collect())
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        Ok(vec![Some(grad.out_grad(0)?); grad.inputs.len()])
    }
}
