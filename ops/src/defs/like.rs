//! Operators that give a tensor the shape of another, whose values they do not read: `slice_like`, `broadcast_like`,
//! `reshape_like`, `_identity_with_attr_like_rhs`.

use super::dims::axis_of;
use super::elementwise::NO_PARAMS;
use super::layout::{Dims, bare};
use super::reshape;
use crate::{Entry, Error, Gradient, Kind, Operator, Params, PartialShape, Result, Schema, Shapes, TensorDesc, Value};
use std::sync::LazyLock;

static SLICE: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new().tuple("axes", Some(&[]), "The axes that are cut; negative ones count from the end, () is all.")
});

static BROADCAST: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new()
        .param("lhs_axes", Kind::Tuple, Some(Value::None), "The axes of lhs that are repeated; None is all.")
        .param("rhs_axes", Kind::Tuple, Some(Value::None), "The axes of rhs that give their lengths; None is all.")
});

static RESHAPE: LazyLock<Schema> = LazyLock::new(|| {
    let axis = || Kind::Int(i64::from(i32::MIN), i64::from(i32::MAX));
    Schema::new()
        .param("lhs_begin", axis(), Some(Value::None), "The first axis of lhs that is replaced; None is 0.")
        .param(
            "lhs_end",
            axis(),
            Some(Value::None),
            "The axis of lhs after the last that is replaced; None is the end.",
        )
        .param("rhs_begin", axis(), Some(Value::None), "The first axis of rhs that takes their place; None is 0.")
        .param("rhs_end", axis(), Some(Value::None), "The axis of rhs after the last that does; None is the end.")
});

type Known<'a> = &'a [Option<usize>];

/// An operator on a tensor and one like which the output is.
pub(super) struct Like {
    name: &'static str,
    doc: &'static str,
    schema: &'static LazyLock<Schema>,
    inputs: [&'static str; 2],
    /// The output's axes from those of both.
    shape: fn(&Params, Known<'_>, Known<'_>) -> Result<Dims>,
    inplace: bool,
    /// The gradient by the first input.
    backward: &'static str,
}

/// All of them.
pub(super) const ALL: [Like; 4] = [
    Like {
        name: "slice_like",
        doc: "The first places of data along its axes, as many as shape_like has.",
        schema: &SLICE,
        inputs: ["data", "shape_like"],
        shape: sliced,
        inplace: false,
        backward: "_backward_slice_like",
    },
    Like {
        name: "broadcast_like",
        doc: "lhs repeated along its axes of length 1 to the lengths that the axes of rhs have.",
        schema: &BROADCAST,
        inputs: ["lhs", "rhs"],
        shape: broadcast,
        inplace: false,
        backward: "_backward_broadcast_like",
    },
    Like {
        name: "reshape_like",
        doc: "The elements of lhs in the same order, under the shape of rhs, or with some axes replaced by some of rhs.",
        schema: &RESHAPE,
        inputs: ["lhs", "rhs"],
        shape: reshaped,
        inplace: true,
        backward: "_backward_reshape",
    },
    Like {
        name: "_identity_with_attr_like_rhs",
        doc: "output = lhs, which has the shape of rhs.",
        schema: &NO_PARAMS,
        inputs: ["lhs", "rhs"],
        shape: identical,
        inplace: true,
        backward: "_copy",
    },
];

fn sliced(params: &Params, data: Known<'_>, like: Known<'_>) -> Result<Dims> {
    let axes = params.tuple("axes");
    if axes.is_empty() && data.len() != like.len() {
        return Err(Error::Shape(format!("wanted as many axes as the {} of shape_like", like.len())));
    }
    let all: Vec<i64> = (0..data.len() as i64).collect();
    let mut out = data.to_vec();
    for axis in if axes.is_empty() { &all } else { axes } {
        let (axis, other) = (axis_of(*axis, data.len())?, axis_of(*axis, like.len())?);
        if let (Some(len), Some(wanted)) = (data[axis], like[other])
            && len < wanted
        {
            return Err(Error::Shape(format!("wanted axis {axis} of at least {wanted} as shape_like has")));
        }
        out[axis] = like[other];
    }
    Ok(out)
}

fn broadcast(params: &Params, lhs: Known<'_>, rhs: Known<'_>) -> Result<Dims> {
    let all = |n: usize| (0..n as i64).collect::<Vec<_>>();
    let given = |name, n| if *params.value(name) == Value::None { all(n) } else { params.tuple(name).to_vec() };
    let (to, from) = (given("lhs_axes", lhs.len()), given("rhs_axes", rhs.len()));
    if to.len() != from.len() {
        return Err(Error::Shape(format!(
            "wanted as many axes to repeat as rhs gives, {}, not {}",
            from.len(),
            to.len()
        )));
    }
    let mut out = lhs.to_vec();
    for (to, from) in to.into_iter().zip(from) {
        let (to, from) = (axis_of(to, lhs.len())?, axis_of(from, rhs.len())?);
        if let (Some(len), Some(wanted)) = (lhs[to], rhs[from])
            && len != 1
            && len != wanted
        {
            return Err(Error::Shape(format!("wanted axis {to} of length 1 or {wanted} as rhs has")));
        }
        out[to] = rhs[from];
    }
    Ok(out)
}

fn reshaped(params: &Params, lhs: Known<'_>, rhs: Known<'_>) -> Result<Dims> {
    let place = |name: &str, rank: usize, default: usize| match params.value(name) {
        Value::Int(v) => {
            let place = if *v < 0 { rank.checked_add_signed(*v as isize) } else { usize::try_from(*v).ok() };
            place
                .filter(|p| *p <= rank)
                .ok_or_else(|| Error::Param(format!("parameter \"{name}\" is {v}, wanted a place among {rank} axes")))
        }
        _ => Ok(default),
    };
    let (l, r) = (lhs.len(), rhs.len());
    let [a, b] = [place("lhs_begin", l, 0)?, place("lhs_end", l, l)?];
    let [c, d] = [place("rhs_begin", r, 0)?, place("rhs_end", r, r)?];
    if a > b || c > d {
        return Err(Error::Param(format!(
            "axes {a} to {b} of lhs and {c} to {d} of rhs are named, wanted begin before end"
        )));
    }
    let out = [&lhs[..a], &rhs[c..d], &lhs[b..]].concat();
    let len = |dims: Known<'_>| super::dims::product(dims.iter().copied());
    match (len(lhs), len(&out)) {
        (Some(from), Some(to)) if from != to => {
            Err(Error::Shape(format!("wanted as many elements as in the output {}", PartialShape::new(out))))
        }
        _ => Ok(out),
    }
}

fn identical(_: &Params, lhs: Known<'_>, rhs: Known<'_>) -> Result<Dims> {
    let mut shape = PartialShape::new(lhs.iter().copied());
    shape.merge(&PartialShape::new(rhs.iter().copied()))?;
    Ok(shape.dims().unwrap_or_default().to_vec())
}

impl Operator for Like {
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
        self.inputs.map(String::from).to_vec()
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        let (Some(data), Some(like)) = (s.input(0).dims(), s.input(1).dims()) else { return Ok(()) };
        let [name, other] = self.inputs;
        let out = (self.shape)(params, data, like)
            .map_err(|e| Error::Shape(format!("{name} has shape {}: {}", s.input(0), bare(&e))))?;
        let why = format!("from {name} {} and {other} {}", s.input(0), s.input(1));
        s.set_output(0, PartialShape::new(out), &why)
    }

    /// What the other tensor holds does not matter.
    fn infer_dtype(&self, _: &Params, d: &mut crate::DTypes) -> Result<()> {
        d.same(&[0], &[0])?;
        match (d.input(0), d.input(1)) {
            (Some(dtype), None) => d.set_input(1, dtype),
            _ => Ok(()),
        }
    }

    fn inplace(&self, _: &Params) -> Vec<(usize, usize)> {
        if self.inplace { vec![(0, 0)] } else { Vec::new() }
    }

    fn view(&self, _: &Params, _: &TensorDesc, _: &TensorDesc) -> Option<usize> {
        self.inplace.then_some(0)
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let inputs = [grad.out_grad(0)?];
        let data = match self.backward {
            "_copy" => vec![Some(inputs[0])],
            "_backward_reshape" => reshape::gradient(grad)?,
            op => grad.backward(op, &inputs, 1)?,
        };
        Ok(vec![data.first().copied().flatten(), None])
    }
}

/// Gradients of operators of this kind, from the output's alone: both shapes follow from elsewhere.
pub(super) struct Backward {
    pub(super) name: &'static str,
    pub(super) doc: &'static str,
    pub(super) schema: &'static LazyLock<Schema>,
}

/// Those of this file.
pub(super) const BACKWARD: [Backward; 2] = [
    Backward {
        name: "_backward_slice_like",
        doc: "d_data = out_grad where data is in the output, 0 elsewhere.",
        schema: &SLICE,
    },
    Backward {
        name: "_backward_broadcast_like",
        doc: "d_data = out_grad, summed over the repeated axes.",
        schema: &BROADCAST,
    },
];

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
        vec!["out_grad".to_string()]
    }

    fn outputs(&self, _: &Params) -> Vec<String> {
        vec!["d_data".to_string()]
    }

    fn infer_shape(&self, _: &Params, s: &mut Shapes) -> Result<()> {
        if let (Some(data), Some(out)) = (s.output(0).rank(), s.input(0).rank())
            && data != out
        {
            return Err(Error::Shape(format!("out_grad has shape {}, wanted {data} axes as d_data has", s.input(0))));
        }
        Ok(())
    }
}
