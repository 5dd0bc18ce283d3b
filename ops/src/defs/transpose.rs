//! `transpose`: the axes in another order.

use super::dims::axis_of;
use crate::{Attrs, Entry, Error, Gradient, Operator, Params, PartialShape, Result, Schema, Shapes, TensorDesc, Value};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new().tuple("axes", Some(&[]), "Output axis i is axis axes[i] of data; () turns the order round.")
});

/// Which axis of a tensor of this rank becomes which of the output: output axis `i` is axis `order[i]` of data.
///
/// # Errors
/// [`Error::Param`] when `axes` does not name each axis once.
pub fn transpose_order(params: &Params, rank: usize) -> Result<Vec<usize>> {
    let axes = params.tuple("axes");
    if axes.is_empty() {
        return Ok((0..rank).rev().collect());
    }
    let order = axes.iter().map(|a| axis_of(*a, rank)).collect::<Result<Vec<_>>>()?;
    let mut seen = order.clone();
    seen.sort_unstable();
    if seen.into_iter().eq(0..rank) {
        return Ok(order);
    }
    Err(Error::Param(format!("parameter \"axes\" is {}, wanted each of {rank} axes once", params.value("axes"))))
}

/// The elements of data with axes in another order.
pub(super) struct Transpose;

impl Operator for Transpose {
    fn name(&self) -> &str {
        "transpose"
    }

    fn doc(&self) -> &str {
        "Output axis i is axis axes[i] of data; without axes their order is turned round."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn check(&self, params: &Params) -> Result<()> {
        transpose_order(params, params.tuple("axes").len()).map(|_| ())
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        let Some(rank) = s.input(0).rank().or(s.output(0).rank()) else { return Ok(()) };
        let order = transpose_order(params, rank).map_err(|e| Error::Shape(format!("data has {rank} axes: {e}")))?;
        let why = format!("from data {}", s.input(0));
        s.set_output(0, PartialShape::new(order.iter().map(|a| s.input(0).dim(*a))), &why)?;
        let mut back = vec![None; rank];
        order.iter().enumerate().for_each(|(i, a)| back[*a] = s.output(0).dim(i));
        s.set_input(0, PartialShape::new(back), &format!("from output {}", s.output(0)))
    }

    fn is_cheap(&self, _: &Params) -> bool {
        true
    }

    /// Where samples stay along the first axis.
    fn per_sample(&self, params: &Params, inputs: &[TensorDesc]) -> Option<Vec<usize>> {
        let order = transpose_order(params, inputs.first()?.shape.rank()).ok()?;
        (order.first() == Some(&0)).then(|| vec![0])
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let order = transpose_order(grad.params, grad.params.tuple("axes").len())?;
        let mut inverse = vec![0; order.len()];
        order.iter().enumerate().for_each(|(i, a)| inverse[*a] = i as i64);
        let attrs = Attrs::from([("axes".to_string(), Value::Tuple(inverse).to_string())]);
        let inputs = [grad.out_grad(0)?];
        let name = format!("{}_backward", grad.node);
        Ok(vec![Some(grad.graph.add("transpose", &name, attrs, &inputs)?)])
    }
}
