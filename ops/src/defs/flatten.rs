//! `Flatten`: all axes but the first as one.

use super::dims::product;
use super::elementwise::NO_PARAMS;
use crate::{Entry, Gradient, Operator, Params, PartialShape, Result, Schema, Shapes, TensorDesc};

/// The elements of data, as a matrix.
pub(super) struct Flatten;

impl Operator for Flatten {
    fn name(&self) -> &str {
        "Flatten"
    }

    fn aliases(&self) -> &[&str] {
        &["flatten"]
    }

    fn doc(&self) -> &str {
        "The elements of data (N, …) as a matrix (N, K), where K is the product of the other axes."
    }

    fn schema(&self) -> &Schema {
        &NO_PARAMS
    }

    fn infer_shape(&self, _: &Params, s: &mut Shapes) -> Result<()> {
        s.set_output(0, PartialShape::new([None; 2]), "as a matrix")?;
        if let Some(dims) = s.input(0).dims() {
            let rest = product(dims.iter().skip(1).copied());
            let (shape, why) = (PartialShape::new([s.input(0).dim(0), rest]), format!("from data {}", s.input(0)));
            s.set_output(0, shape, &why)?;
        }
        if let Some(rank) = s.input(0).rank().filter(|r| *r > 0) {
            let first = s.output(0).dim(0);
            let why = format!("from output {}", s.output(0));
            s.set_input(0, PartialShape::new((0..rank).map(|a| first.filter(|_| a == 0))), &why)?;
        }
        Ok(())
    }

    fn inplace(&self, _: &Params) -> Vec<(usize, usize)> {
        vec![(0, 0)]
    }

    fn view(&self, _: &Params, _: &TensorDesc, _: &TensorDesc) -> Option<usize> {
        Some(0)
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        super::reshape::gradient(grad)
    }
}
