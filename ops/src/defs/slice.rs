//! `slice` and `slice_axis`: a box of a tensor, with steps.

use super::dims::axis_of;
use super::layout::{Backward, Dims, Layout, Order, by, tells_nothing, unchecked};
use crate::{Error, Kind, Params, Result, Schema, Value};
use std::sync::LazyLock;

static SLICE: LazyLock<Schema> = LazyLock::new(|| {
    let tuple = |schema: Schema, name, default, doc| schema.param(name, Kind::Text, default, doc);
    let schema =
        tuple(Schema::new(), "begin", None, "First place along each axis; None is the end that step comes from.");
    let schema =
        tuple(schema, "end", None, "The place after the last along each axis; None is the end that step goes to.");
    tuple(
        schema,
        "step",
        Some(Value::Text("()".to_string())),
        "Distance from one place to the next along each axis; None is 1, negative ones go back.",
    )
});

static SLICE_AXIS: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new()
        .int("axis", i64::from(i32::MIN)..=i64::from(i32::MAX), None, "The axis; negative ones count from the end.")
        .int("begin", i64::MIN..=i64::MAX, None, "The first place; negative ones count from the end.")
        .param(
            "end",
            Kind::Int(i64::MIN, i64::MAX),
            Some(Value::None),
            "The place after the last; negative ones count from the end, None is the end.",
        )
});

/// Places along an axis, one `step` after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first place.
    pub start: usize,
    /// How far the next place is.
    pub step: i64,
    /// How many there are.
    pub len: usize,
}

/// The places that a `slice` or `slice_axis` takes along each axis of data of these lengths.
///
/// # Errors
/// [`Error::Param`] for axes or places that data does not have.
pub fn slice_spans(params: &Params, dims: &[usize]) -> Result<Vec<Span>> {
    let known: Dims = dims.iter().copied().map(Some).collect();
    let spans = spans(params, &known)?;
    Ok(spans.into_iter().zip(dims).map(|(s, len)| s.unwrap_or(Span { start: 0, step: 1, len: *len })).collect())
}

/// The same; `None` where an axis is not known, or is taken whole.
fn spans(params: &Params, dims: &[Option<usize>]) -> Result<Vec<Option<Span>>> {
    let mut spans = vec![None; dims.len()];
    if params.iter().any(|(name, _)| name == "axis") {
        let axis = axis_of(params.int("axis"), dims.len())?;
        spans[axis] = dims[axis].map(|len| along_axis(params, len)).transpose()?;
        return Ok(spans);
    }
    let [begin, end, step] = bounds(params)?;
    if begin.len() > dims.len() {
        return Err(Error::Param(format!(
            "parameter \"begin\" is {}, wanted no more than {} numbers",
            params.text("begin"),
            dims.len()
        )));
    }
    for (axis, begin) in begin.into_iter().enumerate() {
        let step = step.get(axis).copied().flatten().unwrap_or(1);
        spans[axis] = dims[axis].map(|len| span(len, begin, end[axis], step));
    }
    Ok(spans)
}

/// `begin`, `end` and `step` of a `slice`: the first two of one length, the last of that or none.
fn bounds(params: &Params) -> Result<[Vec<Option<i64>>; 3]> {
    let refuse = |name: &str, wanted: &str| {
        Error::Param(format!("parameter \"{name}\" is \"{}\", wanted {wanted}", params.text(name)))
    };
    let read = |name: &str| {
        let text = params.text(name).trim();
        let inner = text.strip_prefix(['(', '[']).and_then(|t| t.strip_suffix([')', ']'])).unwrap_or(text);
        let items = inner.split(',').map(str::trim).filter(|t| !t.is_empty());
        let item = |t: &str| match t {
            "None" => Some(None),
            _ => t.strip_suffix('L').unwrap_or(t).parse().ok().map(Some),
        };
        items.map(item).collect::<Option<Vec<_>>>().ok_or_else(|| refuse(name, "integers or None in parentheses"))
    };
    let [begin, end, step] = [read("begin")?, read("end")?, read("step")?];
    if end.len() != begin.len() {
        return Err(refuse("end", &format!("{} numbers as in begin", begin.len())));
    }
    if !step.is_empty() && step.len() != begin.len() {
        return Err(refuse("step", &format!("{} numbers as in begin", begin.len())));
    }
    if step.contains(&Some(0)) {
        return Err(refuse("step", "no 0"));
    }
    Ok([begin, end, step])
}

/// Python's slice of an axis of `len` places.
fn span(len: usize, begin: Option<i64>, end: Option<i64>, step: i64) -> Span {
    let n = i64::try_from(len).unwrap_or(i64::MAX);
    let (low, high) = if step > 0 { (0, n) } else { (-1, n - 1) };
    let place = |p: i64| if p < 0 { p.saturating_add(n).clamp(low, high) } else { p.clamp(low, high) };
    let begin = begin.map_or(if step > 0 { 0 } else { n - 1 }, place);
    let end = end.map_or(if step > 0 { n } else { -1 }, place);
    let distance = if step > 0 { end - begin } else { begin - end };
    let count = if distance > 0 { distance.unsigned_abs().div_ceil(step.unsigned_abs()) } else { 0 };
    Span { start: usize::try_from(begin).unwrap_or(0), step, len: usize::try_from(count).unwrap_or(0) }
}

/// A part of an axis with at least one place, which must lie within.
fn along_axis(params: &Params, len: usize) -> Result<Span> {
    let n = i64::try_from(len).unwrap_or(i64::MAX);
    let place = |p: i64| if p < 0 { p.saturating_add(n) } else { p };
    let begin = place(params.int("begin"));
    let end = match params.value("end") {
        Value::Int(end) => place(*end),
        _ => n,
    };
    if begin < 0 || begin >= end || end > n {
        let (begin, end) = (params.value("begin"), params.value("end"));
        return Err(Error::Param(format!(
            "parameters \"begin\" and \"end\" are {begin} and {end}, wanted a part of {len} places"
        )));
    }
    Ok(Span { start: begin.unsigned_abs() as usize, step: 1, len: (end - begin).unsigned_abs() as usize })
}

fn shape(params: &Params, dims: &[Option<usize>]) -> Result<Dims> {
    if params.iter().any(|(name, _)| name == "axis") {
        let axis = axis_of(params.int("axis"), dims.len())?;
        let sliced = spans(params, dims)?[axis].map(|s| s.len);
        return Ok(dims.iter().enumerate().map(|(a, d)| if a == axis { sliced } else { *d }).collect());
    }
    Ok(spans(params, dims)?.into_iter().zip(dims).map(|(s, d)| s.map_or(*d, |s| Some(s.len))).collect())
}

/// A box of data.
pub(super) const SLICE_OP: Layout = Layout {
    name: "slice",
    aliases: &["crop"],
    doc: "output[i, …] = data[begin[0] + i · step[0], …] up to end, along the first axes; the others are taken whole. Places are \
          counted as Python counts them: negative ones from the end, and those beyond an end are the end.",
    schema: &SLICE,
    check: |params| bounds(params).map(|_| ()),
    shape,
    back: tells_nothing,
    order: Order::Part(part),
    gradient: |grad| by("_backward_slice", grad),
};

/// A part of data along one axis.
pub(super) const SLICE_AXIS_OP: Layout = Layout {
    name: "slice_axis",
    aliases: &[],
    doc: "The places of data from begin to before end along an axis; the other axes are taken whole.",
    schema: &SLICE_AXIS,
    check: unchecked,
    shape,
    back: |params, rank, out| {
        let axis = axis_of(params.int("axis"), rank)?;
        Ok(out.iter().enumerate().map(|(a, d)| d.filter(|_| a != axis)).collect())
    },
    order: Order::Part(part),
    gradient: |grad| by("_backward_slice_axis", grad),
};

/// The first element of data in the output, where the output is a run of data's elements.
fn part(params: &Params, dims: &[usize]) -> Option<usize> {
    let spans = slice_spans(params, dims).ok()?;
    let mut inner: usize = 1; // elements of a place along the axis at hand
    let mut first = 0;
    let mut is_cut = false;
    for (span, len) in spans.iter().zip(dims).rev() {
        // Within an axis that is cut, all outer axes have one place in the output.
        if span.step != 1 && span.len > 1 || is_cut && span.len != 1 || span.len == 0 {
            return None;
        }
        first += span.start * inner;
        is_cut |= span.len < *len;
        inner = inner.checked_mul(*len)?;
    }
    Some(first)
}

/// The gradients of both.
pub(super) const BACKWARD: [Backward; 2] = [
    Backward {
        name: "_backward_slice",
        doc: "d_data = out_grad where data is in the output, 0 elsewhere.",
        of: &SLICE_OP,
    },
    Backward {
        name: "_backward_slice_axis",
        doc: "d_data = out_grad where data is in the output, 0 elsewhere.",
        of: &SLICE_AXIS_OP,
    },
];
