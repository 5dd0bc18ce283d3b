//! What operators have in common that move the elements of one tensor: the output's shape follows from data's, and the
//! gradient moves them back.

use super::elementwise::GradientFn;
use crate::{Entry, Error, Gradient, Operator, Params, PartialShape, Result, Schema, Shapes, TensorDesc};
use std::sync::LazyLock;

/// The lengths of a tensor's axes, as far as they are known.
pub(super) type Dims = Vec<Option<usize>>;

/// The output's axes from data's.
///
/// # Errors
/// [`Error::Shape`] for data that the parameters do not fit; the text goes on after "data has shape (2, 3): ".
pub(super) type ShapeFn = fn(&Params, &[Option<usize>]) -> Result<Dims>;

/// An operator that moves the elements of `data`.
pub(super) struct Layout {
    /// The name.
    pub(super) name: &'static str,
    /// Other names.
    pub(super) aliases: &'static [&'static str],
    /// What goes where.
    pub(super) doc: &'static str,
    /// The parameters.
    pub(super) schema: &'static LazyLock<Schema>,
    /// Checks the parameters alone.
    pub(super) check: fn(&Params) -> Result<()>,
    /// The output's shape.
    pub(super) shape: ShapeFn,
    /// Data's axes from the output's, where these tell; the first argument after the parameters is data's rank.
    pub(super) back: fn(&Params, usize, &[Option<usize>]) -> Result<Dims>,
    /// What becomes of the elements' order.
    pub(super) order: Order,
    /// The gradient.
    pub(super) gradient: GradientFn,
}

/// Whether the elements of data stay in order.
pub(super) enum Order {
    /// No, or some come more than once.
    Changed,
    /// All of them, one after the other.
    Kept,
    /// They may be a run of data's elements: the function gives the first of these, from the parameters and data's axes.
    Part(fn(&Params, &[usize]) -> Option<usize>),
}

/// Parameters that need no check beyond their schema.
pub(super) fn unchecked(_: &Params) -> Result<()> {
    Ok(())
}

/// The output tells nothing of data but its rank.
pub(super) fn tells_nothing(_: &Params, rank: usize, _: &[Option<usize>]) -> Result<Dims> {
    Ok(vec![None; rank])
}

/// The output's shape, as `shape` says, from that of the tensor named `name`.
pub(super) fn follow(name: &str, shape: ShapeFn, params: &Params, data: &PartialShape) -> Result<PartialShape> {
    let Some(dims) = data.dims() else { return Ok(PartialShape::unknown()) };
    let out = shape(params, dims).map_err(|e| Error::Shape(format!("{name} has shape {data}: {}", bare(&e))))?;
    Ok(PartialShape::new(out))
}

/// The text of an error without its kind, to be put into another.
pub(super) fn bare(error: &Error) -> String {
    match error {
        Error::Param(text) | Error::Shape(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Operator for Layout {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[&str] {
        self.aliases
    }

    fn doc(&self) -> &str {
        self.doc
    }

    fn schema(&self) -> &Schema {
        self.schema
    }

    fn check(&self, params: &Params) -> Result<()> {
        (self.check)(params)
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        let out = follow("data", self.shape, params, s.input(0))?;
        s.set_output(0, out, &format!("from data {}", s.input(0)))?;
        let (Some(rank), Some(out)) = (s.input(0).rank(), s.output(0).dims()) else { return Ok(()) };
        let data = (self.back)(params, rank, out)?;
        s.set_input(0, PartialShape::new(data), &format!("from output {}", s.output(0)))
    }

    fn inplace(&self, _: &Params) -> Vec<(usize, usize)> {
        if matches!(self.order, Order::Kept) { vec![(0, 0)] } else { Vec::new() }
    }

    fn view(&self, params: &Params, input: &TensorDesc, _: &TensorDesc) -> Option<usize> {
        match self.order {
            Order::Changed => None,
            Order::Kept => Some(0),
            Order::Part(first) => first(params, input.shape.dims())?.checked_mul(input.dtype.size_bytes()),
        }
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        (self.gradient)(grad)
    }
}

/// The backward operator of a [`Layout`]: `d_data` from `out_grad`.
pub(super) struct Backward {
    /// The name.
    pub(super) name: &'static str,
    /// What goes where.
    pub(super) doc: &'static str,
    /// The forward operator.
    pub(super) of: &'static Layout,
}

impl Operator for Backward {
    fn name(&self) -> &str {
        self.name
    }

    fn doc(&self) -> &str {
        self.doc
    }

    fn schema(&self) -> &Schema {
        self.of.schema
    }

    fn check(&self, params: &Params) -> Result<()> {
        (self.of.check)(params)
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        vec!["out_grad".to_string()]
    }

    fn outputs(&self, _: &Params) -> Vec<String> {
        vec!["d_data".to_string()]
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        let out = follow("d_data", self.of.shape, params, s.output(0))?;
        s.set_input(0, out, &format!("from d_data {}", s.output(0)))
    }
}

/// A gradient that is one backward operator's, from the output's gradient alone.
pub(super) fn by(op: &str, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
    let inputs = [grad.out_grad(0)?];
    grad.backward(op, &inputs, 1)
}
