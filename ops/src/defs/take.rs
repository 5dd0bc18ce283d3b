//! `take` and `Embedding`: rows of a table by their numbers.

use super::dims::axis_of;
use super::layout::bare;
use crate::{DType, DTypes, Entry, Error, Gradient, Operator, Params, PartialShape, Result, Schema, Shapes, Value};
use std::sync::LazyLock;

static TAKE: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new()
        .int(
            "axis",
            i64::from(i32::MIN)..=i64::from(i32::MAX),
            Some(0),
            "The axis of a that indices count along; negative ones count from the end.",
        )
        .choice(
            "mode",
            &["clip", "raise", "wrap"],
            Some("clip"),
            "An index out of range is: the nearest in range; an error; counted on from the other end.",
        )
});

static EMBEDDING: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new()
        .int("input_dim", 1..=i64::MAX, None, "Number of rows of weight.")
        .int("output_dim", 1..=i64::MAX, None, "Length of a row of weight.")
        .dtype("dtype", Some(Value::DType(DType::F32)), "The dtype of weight, where it does not follow from elsewhere.")
        .bool("sparse_grad", Some(false), "Storage of the gradient, which is always dense. Without effect.")
});

/// Which of the two.
#[derive(Clone, Copy)]
pub(super) enum Take {
    /// Along any axis.
    Take,
    /// Rows of a weight.
    Embedding,
}

impl Take {
    /// The positions of the table and of the indices among the inputs.
    fn positions(self) -> (usize, usize) {
        match self {
            Take::Take => (0, 1),
            Take::Embedding => (1, 0),
        }
    }
}

/// The axis of a table of this rank along which a `take` or `Embedding` counts.
///
/// # Errors
/// [`Error::Param`] when there is no such axis.
pub fn take_axis(params: &Params, rank: usize) -> Result<usize> {
    let is_take = params.iter().any(|(name, _)| name == "axis");
    axis_of(if is_take { params.int("axis") } else { 0 }, rank)
}

/// The output's shape: the table's, with the axis replaced by those of the indices.
fn taken(params: &Params, table: &PartialShape, index: &PartialShape) -> Result<PartialShape> {
    let (Some(dims), Some(index)) = (table.dims(), index.dims()) else { return Ok(PartialShape::unknown()) };
    let axis = take_axis(params, dims.len())
        .map_err(|e| Error::Shape(format!("the table has shape {table}: {}", bare(&e))))?;
    Ok(PartialShape::new([&dims[..axis], index, &dims[axis + 1..]].concat()))
}

impl Operator for Take {
    fn name(&self) -> &str {
        match self {
            Take::Take => "take",
            Take::Embedding => "Embedding",
        }
    }

    fn doc(&self) -> &str {
        match self {
            Take::Take => {
                "output[i…, j…, k…] = a[i…, indices[j…], k…], where indices count along axis of a. Fractions are dropped."
            }
            Take::Embedding => {
                "output[j…, k] = weight[data[j…], k]: weight (input_dim, output_dim). Fractions are dropped; an index out of range \
                 is the nearest in range."
            }
        }
    }

    fn schema(&self) -> &Schema {
        match self {
            Take::Take => &TAKE,
            Take::Embedding => &EMBEDDING,
        }
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        match self {
            Take::Take => ["a", "indices"],
            Take::Embedding => ["data", "weight"],
        }
        .map(String::from)
        .to_vec()
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        if let Take::Embedding = self {
            let weight = PartialShape::new(["input_dim", "output_dim"].map(|d| Some(params.usize(d))));
            s.set_input(1, weight, "from input_dim and output_dim")?;
        }
        let (table, index) = self.positions();
        let out = taken(params, s.input(table), s.input(index))?;
        s.set_output(0, out, &format!("from a table {} and indices {}", s.input(table), s.input(index)))?;
        match (self, s.output(0).dims()) {
            (Take::Embedding, Some([first @ .., _])) => {
                let data = PartialShape::new(first.to_vec());
                s.set_input(0, data, &format!("from output {}", s.output(0)))
            }
            _ => Ok(()),
        }
    }

    fn infer_dtype(&self, params: &Params, d: &mut DTypes) -> Result<()> {
        let (table, index) = self.positions();
        if let Take::Embedding = self
            && let (None, None, Some(dtype)) = (d.input(1), d.output(0), params.dtype("dtype"))
        {
            d.set_input(1, dtype)?;
        }
        d.same(&[table], &[0])?;
        match (d.input(table), d.input(index)) {
            (Some(dtype), None) => d.set_input(index, dtype),
            _ => Ok(()),
        }
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let (table, index) = self.positions();
        let inputs = [grad.out_grad(0)?, grad.inputs[index]];
        let op = match self {
            Take::Take => "_backward_take",
            Take::Embedding => "_backward_Embedding",
        };
        let mut grads = vec![None; 2];
        grads[table] = grad.backward(op, &inputs, 1)?[0];
        Ok(grads)
    }
}

/// Gradients of [`Take`] by the table.
pub(super) struct Backward(pub(super) Take);

impl Operator for Backward {
    fn name(&self) -> &str {
        match self.0 {
            Take::Take => "_backward_take",
            Take::Embedding => "_backward_Embedding",
        }
    }

    fn doc(&self) -> &str {
        "d_table[i…, r, k…] = Σ out_grad[i…, j…, k…] over the j… whose index is r, added in order."
    }

    fn schema(&self) -> &Schema {
        self.0.schema()
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        ["out_grad", "indices"].map(String::from).to_vec()
    }

    fn outputs(&self, _: &Params) -> Vec<String> {
        vec!["d_table".to_string()]
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        let out = taken(params, s.output(0), s.input(1))?;
        s.set_input(0, out, &format!("from d_table {} and indices {}", s.output(0), s.input(1)))
    }

    fn infer_dtype(&self, _: &Params, d: &mut DTypes) -> Result<()> {
        d.same(&[0], &[0])
    }
}
