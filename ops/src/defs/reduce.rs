//! Sums, means, products, extremes and norms over axes.

use super::dims::axis_of;
use crate::{DTypes, Entry, Error, Gradient, Kind, Operator, Params, PartialShape, Result, Schema, Shapes, Value};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new()
        .param(
            "axis",
            Kind::Tuple,
            Some(Value::None),
            "The axes; None or () is all of them. Negative ones count from the end.",
        )
        .bool("keepdims", Some(false), "Leave the axes in, with length 1.")
        .bool("exclude", Some(false), "Reduce the axes that are not named instead.")
});

static NORM_SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new()
        .int("ord", 1..=2, Some(2), "1: the sum of sizes. 2: the root of the sum of squares.")
        .param(
            "axis",
            Kind::Tuple,
            Some(Value::None),
            "The axes; None or () is all of them. Negative ones count from the end.",
        )
        .dtype("out_dtype", Some(Value::None), "The dtype of the output; only that of data is wanted here.")
        .bool("keepdims", Some(false), "Leave the axes in, with length 1.")
});

/// Which axes of a tensor of this rank a reduction reduces.
///
/// # Errors
/// [`Error::Param`] for an axis out of range or named twice.
pub fn reduced_axes(params: &Params, rank: usize) -> Result<Vec<bool>> {
    let axes = params.tuple("axis");
    if axes.is_empty() {
        return Ok(vec![true; rank]);
    }
    let mut named = vec![false; rank];
    for axis in axes {
        if std::mem::replace(&mut named[axis_of(*axis, rank)?], true) {
            return Err(Error::Param(format!(
                "parameter \"axis\" is {}, which names axis {axis} twice",
                params.value("axis")
            )));
        }
    }
    let exclude = params.iter().any(|(name, value)| name == "exclude" && *value == Value::Bool(true));
    Ok(named.into_iter().map(|n| n != exclude).collect())
}

/// Tells the whole tensor and the reduced one of each other.
fn reduced_shape(params: &Params, whole: &PartialShape) -> Result<PartialShape> {
    let Some(dims) = whole.dims() else { return Ok(PartialShape::unknown()) };
    let reduced = reduced_axes(params, dims.len()).map_err(|e| Error::Shape(format!("data has shape {whole}: {e}")))?;
    let keep = params.bool("keepdims");
    let mut out: Vec<_> =
        dims.iter().zip(&reduced).filter(|(_, r)| keep || !**r).map(|(d, r)| if *r { Some(1) } else { *d }).collect();
    if out.is_empty() {
        out.push(Some(1));
    }
    Ok(PartialShape::new(out))
}

/// What the reduced tensor tells of the axes that are left of a tensor of this rank.
fn whole_shape(params: &Params, rank: usize, out: &PartialShape) -> Result<PartialShape> {
    let reduced = reduced_axes(params, rank)?;
    let keep = params.bool("keepdims");
    let mut next = 0;
    let mut dims = Vec::with_capacity(rank);
    for (axis, reduced) in reduced.into_iter().enumerate() {
        dims.push(if reduced { None } else { out.dim(if keep { axis } else { next }) });
        next += usize::from(!reduced);
    }
    Ok(PartialShape::new(dims))
}

/// A reduction over axes.
pub(super) struct Reduce {
    name: &'static str,
    aliases: &'static [&'static str],
    doc: &'static str,
    schema: &'static LazyLock<Schema>,
    backward: &'static Backward,
}

/// Gradient of a [`Reduce`].
#[derive(Clone, Copy)]
pub(super) struct Backward {
    name: &'static str,
    doc: &'static str,
    schema: &'static LazyLock<Schema>,
    /// Whether it is a function of data and output too.
    needs_data: bool,
}

macro_rules! reduce {
    ($name:literal, $aliases:expr, $what:literal, $schema:ident, $backward:literal) => {
        Reduce {
            name: $name,
            aliases: $aliases,
            doc: concat!(
                $what,
                " of data over axes, which are dropped, or of length 1 with keepdims. Over all axes: shape (1,)."
            ),
            schema: &$schema,
            backward: &BACKWARD[$backward],
        }
    };
}

/// The reductions.
pub(super) const ALL: [Reduce; 8] = [
    reduce!("sum", &["sum_axis"], "The sum", SCHEMA, 0),
    reduce!("mean", &[], "The mean", SCHEMA, 1),
    reduce!("prod", &[], "The product", SCHEMA, 2),
    reduce!("max", &["max_axis"], "The greatest element, or NaN if there is one,", SCHEMA, 3),
    reduce!("min", &["min_axis"], "The least element, or NaN if there is one,", SCHEMA, 4),
    reduce!("nansum", &[], "The sum without NaNs", SCHEMA, 5),
    reduce!("nanprod", &[], "The product without NaNs", SCHEMA, 6),
    reduce!("norm", &[], "The norm of order ord", NORM_SCHEMA, 7),
];

const fn backward(name: &'static str, doc: &'static str, needs_data: bool) -> Backward {
    Backward { name, doc, schema: &SCHEMA, needs_data }
}

/// Their gradients; what is reduced is repeated along the reduced axes.
pub(super) static BACKWARD: [Backward; 8] = [
    backward("_backward_sum", "d_data = out_grad, repeated along the reduced axes.", false),
    backward(
        "_backward_mean",
        "d_data = out_grad / n, repeated along the reduced axes, where n is the number of elements in a mean.",
        false,
    ),
    backward("_backward_prod", "d_data = out_grad · output / data, with NaN where both are 0.", true),
    backward("_backward_max", "d_data = out_grad where data = output, else 0.", true),
    backward("_backward_min", "d_data = out_grad where data = output, else 0.", true),
    backward("_backward_nansum", "d_data = out_grad, but 0 where data is NaN.", true),
    backward("_backward_nanprod", "d_data = out_grad · output / data, but 0 where data is NaN.", true),
    Backward {
        schema: &NORM_SCHEMA,
        ..backward("_backward_norm", "d_data = out_grad · data / output for ord 2, out_grad · sign(data) for 1.", true)
    },
];

impl Operator for Reduce {
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

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        s.set_output(0, reduced_shape(params, s.input(0))?, &format!("from data {}", s.input(0)))?;
        let Some(rank) = s.input(0).rank() else { return Ok(()) };
        s.set_input(0, whole_shape(params, rank, s.output(0))?, &format!("from output {}", s.output(0)))
    }

    fn infer_dtype(&self, params: &Params, d: &mut DTypes) -> Result<()> {
        if let Some(dtype) =
            params.iter().any(|(name, _)| name == "out_dtype").then(|| params.dtype("out_dtype")).flatten()
        {
            d.set_output(0, dtype)?;
        }
        d.all_same()
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let mut inputs = vec![grad.out_grad(0)?];
        if self.backward.needs_data {
            inputs.extend([grad.inputs[0], grad.outputs[0]]);
        }
        grad.backward(self.backward.name, &inputs, 1)
    }
}

impl Operator for Backward {
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
        let names: &[&str] = if self.needs_data { &["out_grad", "data", "output"] } else { &["out_grad"] };
        names.iter().map(ToString::to_string).collect()
    }

    fn outputs(&self, _: &Params) -> Vec<String> {
        vec!["d_data".to_string()]
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        if self.needs_data {
            s.same(&[1], &[0])?;
            s.same(&[0, 2], &[])?;
        }
        s.set_input(0, reduced_shape(params, s.output(0))?, &format!("from d_data {}", s.output(0)))
    }
}
