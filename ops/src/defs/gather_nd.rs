//! `gather_nd` and `scatter_nd`: places named by an index for each of the first axes.

use super::elementwise::NO_PARAMS;
use crate::{Attrs, DTypes, Entry, Error, Gradient, Operator, Params, PartialShape, Result, Schema, Shapes};
use std::sync::LazyLock;

static SCATTER: LazyLock<Schema> = LazyLock::new(|| Schema::new().tuple("shape", None, "The shape of the output."));

/// The shape of what lies at the places of a tensor: the indices' axes but the first, then the tensor's that they do not
/// name.
fn gathered(tensor: &PartialShape, indices: &PartialShape) -> Result<PartialShape> {
    let (Some(dims), Some([named, places @ ..])) = (tensor.dims(), indices.dims()) else {
        return if indices.rank() == Some(0) {
            Err(Error::Shape("indices has shape (), wanted an axis of indices".to_string()))
        } else {
            Ok(PartialShape::unknown())
        };
    };
    let Some(named) = *named else { return Ok(PartialShape::unknown()) };
    if named > dims.len() {
        return Err(Error::Shape(format!(
            "indices has shape {indices}, wanted no more than {} along axis 0",
            dims.len()
        )));
    }
    let mut out = [places, &dims[named..]].concat();
    if out.is_empty() {
        out.push(Some(1));
    }
    Ok(PartialShape::new(out))
}

/// The dtype of indices that nothing is known of is that of data.
fn infer_dtype(d: &mut DTypes) -> Result<()> {
    d.same(&[0], &[0])?;
    match (d.input(0), d.input(1)) {
        (Some(dtype), None) => d.set_input(1, dtype),
        _ => Ok(()),
    }
}

/// Elements at places.
pub(super) struct GatherNd;

impl Operator for GatherNd {
    fn name(&self) -> &str {
        "gather_nd"
    }

    fn doc(&self) -> &str {
        "output[j…, k…] = data[indices[0, j…], …, indices[M - 1, j…], k…]: indices (M, …) name a place along each of the first M \
         axes of data. Fractions are dropped; an index below 0 counts from the end; one out of range is an error."
    }

    fn schema(&self) -> &Schema {
        &NO_PARAMS
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        ["data", "indices"].map(String::from).to_vec()
    }

    fn infer_shape(&self, _: &Params, s: &mut Shapes) -> Result<()> {
        let out = gathered(s.input(0), s.input(1))?;
        s.set_output(0, out, &format!("from data {} and indices {}", s.input(0), s.input(1)))
    }

    fn infer_dtype(&self, _: &Params, d: &mut DTypes) -> Result<()> {
        infer_dtype(d)
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let inputs = [grad.out_grad(0)?, grad.inputs[1]];
        Ok(vec![grad.backward("_backward_gather_nd", &inputs, 1)?[0], None])
    }
}

/// Gradient of [`GatherNd`].
pub(super) struct Backward;

impl Operator for Backward {
    fn name(&self) -> &str {
        "_backward_gather_nd"
    }

    fn doc(&self) -> &str {
        "d_data = the sum of out_grad over the places j… that indices name, 0 elsewhere, added in order."
    }

    fn schema(&self) -> &Schema {
        &NO_PARAMS
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        ["out_grad", "indices"].map(String::from).to_vec()
    }

    fn outputs(&self, _: &Params) -> Vec<String> {
        vec!["d_data".to_string()]
    }

    fn infer_shape(&self, _: &Params, s: &mut Shapes) -> Result<()> {
        let out = gathered(s.output(0), s.input(1))?;
        s.set_input(0, out, &format!("from d_data {} and indices {}", s.output(0), s.input(1)))
    }

    fn infer_dtype(&self, _: &Params, d: &mut DTypes) -> Result<()> {
        d.same(&[0], &[0])
    }
}

/// Elements put at places.
pub(super) struct ScatterNd;

impl Operator for ScatterNd {
    fn name(&self) -> &str {
        "scatter_nd"
    }

    fn doc(&self) -> &str {
        "output[indices[0, j…], …, indices[M - 1, j…], k…] = data[j…, k…], 0 elsewhere. Of several elements for one place the last \
         stays. Fractions are dropped; an index below 0 counts from the end; one out of range is an error."
    }

    fn schema(&self) -> &Schema {
        &SCATTER
    }

    fn check(&self, params: &Params) -> Result<()> {
        if params.tuple("shape").is_empty() || params.tuple("shape").iter().any(|d| *d <= 0) {
            let shape = params.value("shape");
            return Err(Error::Param(format!("parameter \"shape\" is {shape}, wanted lengths of at least 1")));
        }
        Ok(())
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        ["data", "indices"].map(String::from).to_vec()
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        s.set_output(0, super::dims::given_shape(params), "from parameter shape")?;
        let data = gathered(s.output(0), s.input(1))?;
        s.set_input(0, data, &format!("from shape {} and indices {}", s.output(0), s.input(1)))
    }

    fn infer_dtype(&self, _: &Params, d: &mut DTypes) -> Result<()> {
        infer_dtype(d)
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let inputs = [grad.out_grad(0)?, grad.inputs[1]];
        let name = format!("{}_backward", grad.node);
        Ok(vec![Some(grad.graph.add("gather_nd", &name, Attrs::new(), &inputs)?), None])
    }
}
