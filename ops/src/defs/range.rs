//! `_arange`, `_linspace`, `_eye`: tensors whose elements follow from their places.

use crate::{
    DType, DTypes, Entry, Error, Gradient, Kind, Operator, Params, PartialShape, Result, Schema, Shapes, Value,
};
use std::sync::LazyLock;

static ARANGE_SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let any = || f64::MIN..=f64::MAX;
    Schema::new()
        .float("start", any(), None, "The first number.")
        .param(
            "stop",
            Kind::Float(f64::MIN, f64::MAX),
            Some(Value::None),
            "The end, not included. None: start is the end, and the first number is 0.",
        )
        .float("step", any(), Some(1.0), "From a number to the next.")
        .int("repeat", 1..=i64::MAX, Some(1), "How often each number stands.")
        .bool("infer_range", Some(false), "Let the length, and so the end, follow from who uses it.")
        .param("ctx", Kind::Text, Some(Value::Text(String::new())), "The device. Without effect.")
        .dtype("dtype", Some(Value::DType(DType::F32)), "The dtype.")
});

static LINSPACE_SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let any = || f64::MIN..=f64::MAX;
    Schema::new()
        .float("start", any(), None, "The first number.")
        .float("stop", any(), None, "The end.")
        .int("num", 1..=i64::MAX, None, "How many numbers.")
        .bool("endpoint", Some(true), "Whether the end is the last number; else it would follow it.")
        .param("ctx", Kind::Text, Some(Value::Text(String::new())), "The device. Without effect.")
        .dtype("dtype", Some(Value::DType(DType::F32)), "The dtype.")
});

static EYE_SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new()
        .int("N", 1..=i64::MAX, None, "Rows.")
        .int("M", 0..=i64::MAX, Some(0), "Columns; 0: as many as rows.")
        .int("k", i64::MIN..=i64::MAX, Some(0), "The diagonal: above zero above the main one, below zero below it.")
        .param("ctx", Kind::Text, Some(Value::Text(String::new())), "The device. Without effect.")
        .dtype("dtype", Some(Value::DType(DType::F32)), "The dtype.")
});

/// First number and end of `_arange`; no end if it is inferred.
fn ends(params: &Params) -> (f64, Option<f64>) {
    let start = params.float("start");
    match params.value("stop") {
        Value::Float(stop) => (start, Some(*stop)),
        _ if params.bool("infer_range") => (start, None),
        _ => (0.0, Some(start)),
    }
}

/// The first number of `_linspace`, and from one to the next.
#[must_use]
pub fn linspace_numbers(params: &Params) -> (f64, f64) {
    let (start, stop, num) = (params.float("start"), params.float("stop"), params.int("num"));
    let steps = if params.bool("endpoint") { num - 1 } else { num };
    (start, (stop - start) / steps.max(1) as f64)
}

/// The first number of `_arange`, and from one to the next.
#[must_use]
pub fn arange_numbers(params: &Params) -> (f64, f64) {
    (ends(params).0, params.float("step"))
}

/// Which tensor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Range {
    /// Numbers at even distance.
    Arange,
    /// So many numbers at even distance.
    Linspace,
    /// Ones on a diagonal.
    Eye,
}

/// All of them.
pub(super) const ALL: [Range; 3] = [Range::Arange, Range::Linspace, Range::Eye];

impl Operator for Range {
    fn name(&self) -> &str {
        match self {
            Range::Arange => "_arange",
            Range::Linspace => "_linspace",
            Range::Eye => "_eye",
        }
    }

    fn doc(&self) -> &str {
        match self {
            Range::Arange => "start, start + step, … up to stop, which is not included; each as often as repeat says.",
            Range::Linspace => "num numbers at even distance from start to stop.",
            Range::Eye => "A matrix of ones on a diagonal and zeroes elsewhere.",
        }
    }

    fn schema(&self) -> &Schema {
        match self {
            Range::Arange => &ARANGE_SCHEMA,
            Range::Linspace => &LINSPACE_SCHEMA,
            Range::Eye => &EYE_SCHEMA,
        }
    }

    fn check(&self, params: &Params) -> Result<()> {
        if *self != Range::Arange {
            return Ok(());
        }
        let step = params.float("step");
        let (start, Some(stop)) = ends(params) else { return Ok(()) };
        if step > 0.0 && start < stop || step < 0.0 && start > stop {
            return Ok(());
        }
        Err(Error::Param(format!("parameter \"step\" is {step}, which does not lead from {start} to {stop}")))
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        Vec::new()
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        if *self == Range::Eye {
            let rows = params.usize("N");
            let columns = Some(params.usize("M")).filter(|m| *m > 0).unwrap_or(rows);
            return s.set_output(0, PartialShape::new([Some(rows), Some(columns)]), "from parameters N and M");
        }
        if *self == Range::Linspace {
            return s.set_output(0, PartialShape::new([Some(params.usize("num"))]), "from parameter num");
        }
        let (start, Some(stop)) = ends(params) else {
            return s.set_output(0, PartialShape::new([None]), "from parameter infer_range");
        };
        let numbers = ((stop - start) / params.float("step")).ceil();
        // Above 2^53 the number is not exact, and no memory holds so many.
        let len = Some(numbers).filter(|n| *n < 9e15).and_then(|n| (n as usize).checked_mul(params.usize("repeat")));
        let len = len.ok_or_else(|| Error::Shape(format!("{numbers} numbers from {start} to {stop} are too many")))?;
        s.set_output(0, PartialShape::new([Some(len)]), "from parameters start, stop, step and repeat")
    }

    fn infer_dtype(&self, params: &Params, d: &mut DTypes) -> Result<()> {
        d.set_output(0, params.dtype("dtype").unwrap_or(DType::F32))
    }

    fn gradient(&self, _: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        Ok(Vec::new())
    }
}
