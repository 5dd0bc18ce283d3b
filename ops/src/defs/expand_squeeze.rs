//! `expand_dims` and `squeeze`: axes of length 1 added and dropped.

use super::dims::axis_of;
use super::layout::{Dims, Layout, Order, follow, unchecked};
use super::reshape::gradient;
use crate::{Entry, Error, Gradient, Kind, Operator, Params, Result, Schema, Shapes, TensorDesc, Value};
use std::sync::LazyLock;

static EXPAND: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new().int(
        "axis",
        i64::from(i32::MIN)..=i64::from(i32::MAX),
        None,
        "Where the new axis is in the output; negative ones count from the end.",
    )
});

static SQUEEZE: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new().param("axis", Kind::Tuple, Some(Value::None), "The axes that are dropped; None is all of length 1.")
});

/// An axis of length 1 more.
pub(super) const EXPAND_DIMS: Layout = Layout {
    name: "expand_dims",
    aliases: &[],
    doc: "Data with one more axis, of length 1.",
    schema: &EXPAND,
    check: unchecked,
    shape: |params, dims| {
        let axis = axis_of(params.int("axis"), dims.len() + 1)?;
        let mut out = dims.to_vec();
        out.insert(axis, Some(1));
        Ok(out)
    },
    back: |params, rank, out| {
        let axis = axis_of(params.int("axis"), rank + 1)?;
        Ok(out.iter().enumerate().filter(|(a, _)| *a != axis).map(|(_, d)| *d).collect())
    },
    order: Order::Kept,
    gradient,
};

fn squeezed(params: &Params, dims: &[Option<usize>]) -> Result<Dims> {
    let named = params.tuple("axis");
    let mut dropped = vec![false; dims.len()];
    for axis in named {
        let axis = axis_of(*axis, dims.len())?;
        if dims[axis].is_some_and(|d| d != 1) {
            return Err(Error::Shape(format!("wanted axis {axis} of length 1")));
        }
        if std::mem::replace(&mut dropped[axis], true) {
            return Err(Error::Param(format!(
                "parameter \"axis\" is {}, which names axis {axis} twice",
                params.value("axis")
            )));
        }
    }
    if named.is_empty() {
        dropped = dims.iter().map(|d| *d == Some(1)).collect();
    }
    let mut out: Dims = dims.iter().zip(dropped).filter(|(_, dropped)| !dropped).map(|(d, _)| *d).collect();
    if out.is_empty() && !dims.is_empty() {
        out.push(Some(1));
    }
    Ok(out)
}

/// Axes of length 1 less. Without `axis` even the number of axes waits for all lengths to be known.
pub(super) struct Squeeze;

impl Operator for Squeeze {
    fn name(&self) -> &str {
        "squeeze"
    }

    fn doc(&self) -> &str {
        "Data without axes of length 1; one is left if there are no others."
    }

    fn schema(&self) -> &Schema {
        &SQUEEZE
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        if params.tuple("axis").is_empty() && s.known(0).is_none() {
            return Ok(());
        }
        let out = follow("data", squeezed, params, s.input(0))?;
        s.set_output(0, out, &format!("from data {}", s.input(0)))
    }

    fn inplace(&self, _: &Params) -> Vec<(usize, usize)> {
        vec![(0, 0)]
    }

    fn view(&self, _: &Params, _: &TensorDesc, _: &TensorDesc) -> Option<usize> {
        Some(0)
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        gradient(grad)
    }
}
