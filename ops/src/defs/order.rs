//! `topk`, `sort` and `argsort`: elements in order of size.

use super::dims::axis_of;
use super::layout::bare;
use crate::{DType, DTypes, Entry, Error, Gradient, Operator, Params, PartialShape, Result, Schema, Shapes, Value};
use std::sync::LazyLock;

fn with_axis(schema: Schema) -> Schema {
    let doc = "The axis; negative ones count from the end. None is data as one axis.";
    schema.int("axis", i64::from(i32::MIN)..=i64::from(i32::MAX), Some(-1), doc).or_none()
}

fn with_dtype(schema: Schema) -> Schema {
    schema.dtype("dtype", Some(Value::DType(DType::F32)), "The dtype of the places.")
}

static TOP_K: LazyLock<Schema> = LazyLock::new(|| {
    let schema = with_axis(Schema::new())
        .int("k", 0..=i64::MAX, Some(1), "How many; 0 is all.")
        .choice(
            "ret_typ",
            &["both", "indices", "mask", "value"],
            Some("indices"),
            "What comes out: the elements and their places, the places, 1 at the places and 0 elsewhere, the elements.",
        )
        .bool("is_ascend", Some(false), "Whether the smallest come first.");
    with_dtype(schema)
});

static SORT: LazyLock<Schema> =
    LazyLock::new(|| with_axis(Schema::new()).bool("is_ascend", Some(true), "Whether the smallest come first."));

static ARG_SORT: LazyLock<Schema> = LazyLock::new(|| {
    with_dtype(with_axis(Schema::new()).bool("is_ascend", Some(true), "Whether the smallest come first."))
});

/// The axis that a `topk`, `sort` or `argsort` goes along, if not all of data as one.
///
/// # Errors
/// [`Error::Param`] when data of this rank has no such axis.
pub fn order_axis(params: &Params, rank: usize) -> Result<Option<usize>> {
    match params.value("axis") {
        Value::Int(axis) => axis_of(*axis, rank).map(Some),
        _ => Ok(None),
    }
}

/// What comes out of an operator of this family.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ordered {
    /// The elements, and their places.
    Elements,
    /// Their places.
    Places,
    /// 1 at their places, 0 elsewhere.
    Mask,
}

/// Which of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    TopK,
    Sort,
    ArgSort,
}

impl Order {
    fn backward(self) -> &'static str {
        match self {
            Order::TopK => "_backward_topk",
            Order::Sort | Order::ArgSort => "_backward_sort",
        }
    }

    fn ordered(self, params: &Params) -> Ordered {
        match self {
            Order::Sort => Ordered::Elements,
            Order::ArgSort => Ordered::Places,
            Order::TopK => match params.text("ret_typ") {
                "indices" => Ordered::Places,
                "mask" => Ordered::Mask,
                _ => Ordered::Elements,
            },
        }
    }

    /// The shape of the ordered elements.
    fn shape(self, params: &Params, data: &PartialShape) -> Result<PartialShape> {
        let Some(dims) = data.dims() else { return Ok(PartialShape::unknown()) };
        let refuse = |what: &str| Error::Shape(format!("data has shape {data}: {what}"));
        let axis = order_axis(params, dims.len()).map_err(|e| refuse(&bare(&e)))?;
        let (mut out, axis) = match axis {
            Some(axis) => (dims.to_vec(), axis),
            None => (vec![super::dims::product(dims.iter().copied())], 0),
        };
        if self == Order::TopK && params.usize("k") > 0 {
            let k = params.usize("k");
            if out[axis].is_some_and(|len| k > len) {
                return Err(refuse(&format!("wanted at least k = {k} elements along axis {axis}")));
            }
            out[axis] = Some(k);
        }
        Ok(PartialShape::new(out))
    }
}

impl Operator for Order {
    fn name(&self) -> &str {
        match self {
            Order::TopK => "topk",
            Order::Sort => "sort",
            Order::ArgSort => "argsort",
        }
    }

    fn doc(&self) -> &str {
        match self {
            Order::TopK => {
                "The k largest elements along axis, the largest first, or their places. Of equal ones the first comes first; a NaN is above all."
            }
            Order::Sort => {
                "The elements of data in order along axis. Of equal ones the first comes first; a NaN is above all."
            }
            Order::ArgSort => {
                "The places of the elements of data in order along axis. Of equal ones the first comes first; a NaN is above all."
            }
        }
    }

    fn schema(&self) -> &Schema {
        match self {
            Order::TopK => &TOP_K,
            Order::Sort => &SORT,
            Order::ArgSort => &ARG_SORT,
        }
    }

    fn outputs(&self, params: &Params) -> Vec<String> {
        match self.ordered(params) {
            Ordered::Elements => vec!["output0".to_string(), "output1".to_string()],
            Ordered::Places | Ordered::Mask => vec!["output".to_string()],
        }
    }

    fn num_visible_outputs(&self, params: &Params) -> usize {
        if *self == Order::TopK && params.text("ret_typ") == "both" { 2 } else { 1 }
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        let ordered = self.shape(params, s.input(0))?;
        if self.ordered(params) == Ordered::Mask {
            return s.same(&[0], &[0]);
        }
        let why = format!("from data {}", s.input(0));
        (0..s.num_outputs()).try_for_each(|o| s.set_output(o, ordered.clone(), &why))
    }

    fn infer_dtype(&self, params: &Params, d: &mut DTypes) -> Result<()> {
        // Hidden places are exact.
        let visible =
            *self == Order::ArgSort || self.num_visible_outputs(params) == 2 || self.ordered(params) == Ordered::Places;
        let places = if visible { params.dtype("dtype").unwrap_or(DType::F32) } else { DType::I64 };
        match self.ordered(params) {
            Ordered::Places => d.set_output(0, places),
            Ordered::Mask => d.same(&[0], &[0]),
            Ordered::Elements => {
                d.same(&[0], &[0])?;
                d.set_output(1, places)
            }
        }
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        if self.ordered(grad.params) != Ordered::Elements || grad.out_grads[0].is_none() {
            return Ok(vec![None]);
        }
        let inputs = [grad.out_grad(0)?, grad.outputs[1]];
        grad.backward(self.backward(), &inputs, 1)
    }
}

/// Gradients of [`Order`] where elements come out.
pub(super) struct Backward(pub(super) Order);

impl Operator for Backward {
    fn name(&self) -> &str {
        self.0.backward()
    }

    fn doc(&self) -> &str {
        "d_data = out_grad at the places where the elements come from, 0 elsewhere."
    }

    fn schema(&self) -> &Schema {
        self.0.schema()
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        ["out_grad", "places"].map(String::from).to_vec()
    }

    fn outputs(&self, _: &Params) -> Vec<String> {
        vec!["d_data".to_string()]
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        let ordered = self.0.shape(params, s.output(0))?;
        let why = format!("from d_data {}", s.output(0));
        s.set_input(0, ordered.clone(), &why)?;
        s.set_input(1, ordered, &why)
    }

    fn infer_dtype(&self, _: &Params, d: &mut DTypes) -> Result<()> {
        d.same(&[0], &[0])
    }
}
