//! `Dropout`: forgets some elements during training.

use super::dims::axis_of;
use crate::{
    DType, DTypes, Entry, Error, Gradient, Kind, Operator, Params, PartialShape, Recompute, Result, Schema, Shapes,
    TensorDesc, Value,
};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new()
        .float("p", 0.0..=1.0, Some(0.5), "Fraction of the elements that is dropped.")
        .choice("mode", &["training", "always"], Some("training"), "When: only in training passes, or always.")
        .tuple("axes", Some(&[]), "Axes along which elements are dropped or kept together.")
        .param("cudnn_off", Kind::Bool, Some(Value::Bool(false)), "Without effect.")
});

/// Zeroes a random part and scales up the rest.
pub(super) struct Dropout;

impl Operator for Dropout {
    fn name(&self) -> &str {
        "Dropout"
    }

    fn doc(&self) -> &str {
        "output = data · mask / (1 - p), where each element of mask is 0 with probability p, else 1. Along axes the mask is of \
         length 1 and repeated. Outside of training output = data, unless mode is always. The hidden output mask is uint8, \
         of data's shape but for axes. Srivastava and others, JMLR 2014."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn check(&self, params: &Params) -> Result<()> {
        let p = params.float("p");
        if p >= 1.0 {
            return Err(Error::Param(format!("parameter \"p\" is {p}, wanted a number from 0 to below 1")));
        }
        Ok(())
    }

    fn outputs(&self, _: &Params) -> Vec<String> {
        ["output", "mask"].map(String::from).to_vec()
    }

    fn num_visible_outputs(&self, _: &Params) -> usize {
        1
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        s.same(&[0], &[0])?;
        let mask = mask_shape(params, s.input(0))?;
        s.set_output(1, mask, &format!("from data {}", s.input(0)))
    }

    fn infer_dtype(&self, _: &Params, d: &mut DTypes) -> Result<()> {
        d.same(&[0], &[0])?;
        d.set_output(1, DType::U8)
    }

    fn inplace(&self, _: &Params) -> Vec<(usize, usize)> {
        vec![(0, 0)]
    }

    fn is_deterministic(&self) -> bool {
        false
    }

    fn is_cheap(&self, _: &Params) -> bool {
        true
    }

    /// By its gradient: that is the same function, of the mask that was drawn.
    fn recompute(&self, again: &mut Recompute<'_>) -> Result<Option<Vec<Entry>>> {
        let (data, mask) = (again.inputs[0], again.outputs[1]);
        Ok(Some(vec![again.add("_backward_Dropout", &[data, mask])?, mask]))
    }

    fn per_sample(&self, params: &Params, _: &[TensorDesc]) -> Option<Vec<usize>> {
        (params.text("mode") != "always").then(|| vec![0])
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let inputs = [grad.out_grad(0)?, grad.outputs[1]];
        grad.backward("_backward_Dropout", &inputs, 1)
    }
}

fn mask_shape(params: &Params, data: &PartialShape) -> Result<PartialShape> {
    let Some(dims) = data.dims() else { return Ok(PartialShape::unknown()) };
    let mut mask = dims.to_vec();
    for axis in params.tuple("axes") {
        mask[axis_of(*axis, dims.len())?] = Some(1);
    }
    Ok(PartialShape::new(mask))
}

/// Gradient of [`Dropout`].
pub(super) struct Backward;

impl Operator for Backward {
    fn name(&self) -> &str {
        "_backward_Dropout"
    }

    fn doc(&self) -> &str {
        "d_data = out_grad · mask / (1 - p)."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn check(&self, params: &Params) -> Result<()> {
        Dropout.check(params)
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        ["out_grad", "mask"].map(String::from).to_vec()
    }

    fn outputs(&self, _: &Params) -> Vec<String> {
        vec!["d_data".to_string()]
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        s.same(&[0], &[0])?;
        let mask = mask_shape(params, s.input(0))?;
        s.set_input(1, mask, &format!("from out_grad {}", s.input(0)))
    }

    fn infer_dtype(&self, _: &Params, d: &mut DTypes) -> Result<()> {
        d.same(&[0], &[0])?;
        d.set_input(1, DType::U8)
    }

    fn inplace(&self, _: &Params) -> Vec<(usize, usize)> {
        vec![(0, 0)]
    }
}
