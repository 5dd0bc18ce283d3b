//! Poolings.

use super::{Translate, one};
use crate::onnx::import::Op;
use crate::onnx::node::Use;
use crate::onnx::value::{Tensor, Value};
use crate::onnx::window::{Window, sizes};
use varflow_ops::{Error, Result};

pub(super) const ALL: &[(&str, Translate)] = &[
    ("AveragePool", |node| pool(node, "avg")),
    ("GlobalAveragePool", |node| global(node, "avg")),
    ("GlobalMaxPool", |node| global(node, "max")),
    ("MaxPool", |node| pool(node, "max")),
];

fn global(node: &mut Use<'_, '_>, kind: &str) -> Result<Vec<Value>> {
    let data = node.tensor(0, "X")?;
    let axes = node.rank(&data)?.saturating_sub(2);
    let op = Op::new("Pooling").set("global_pool", true).set("pool_type", kind).set("kernel", vec![1_usize; axes]);
    one(node.emit(op, &[data])?)
}

fn pool(node: &mut Use<'_, '_>, kind: &str) -> Result<Vec<Value>> {
    if node.counts().1 > 1 {
        return Err(Error::Data("has a second output, the places of the maxima, wanted one".to_string()));
    }
    if node.int("storage_order", 0)? != 0 {
        return Err(node.refuse("storage_order", 1, "0"));
    }
    let data = node.tensor(0, "X")?;
    let axes = node.rank(&data)?.saturating_sub(2);
    if node.ints("kernel_shape")?.is_none() {
        return Err(Error::Data("has no attribute kernel_shape, wanted one".to_string()));
    }
    let mut window = Window::read(node, sizes(node, "kernel_shape", axes, 1)?, &data.shape)?;
    if window.dilate.iter().any(|d| *d != 1) {
        return Err(node.refuse("dilations", format!("{:?}", window.dilate), "ones"));
    }
    let ceil = node.flag("ceil_mode", false)?;
    let counts_padding = node.flag("count_include_pad", false)?;
    let excess = if ceil { excess(&window, &data)? } else { vec![None; axes] };
    let extents: Vec<_> = (0..axes).map(|a| data.shape.dim(a + 2)).collect();
    let op = |window: &Window, kind: &str, counts_padding: bool| {
        Op::new("Pooling")
            .set("pool_type", kind)
            .set("kernel", &window.kernel)
            .set("stride", &window.stride)
            .set("pad", &window.begin)
            .set("pooling_convention", if ceil { "full" } else { "valid" })
            .set("count_include_pad", counts_padding)
    };
    let mut output = if window.is_symmetric() {
        node.emit(op(&window, kind, counts_padding), &[data])?
    } else if kind == "max" {
        let padded = window.pad_outside(node, data, f64::from(f32::MIN))?;
        node.emit(op(&window, kind, true), &[padded])?
    } else if counts_padding {
        let padded = window.pad_outside(node, data, 0.0)?;
        node.emit(op(&window, kind, true), &[padded])?
    } else {
        uneven_mean(node, window, data, |window| op(window, "sum", true))?
    };
    for (axis, keep) in excess.into_iter().enumerate() {
        if let (Some(keep), Some(_)) = (keep, extents[axis]) {
            let op = Op::new("slice_axis").set("axis", axis + 2).set("begin", 0).set("end", keep);
            output = node.emit_part("cut", op, &[output])?;
        }
    }
    one(output)
}

/// The mean of what is not padding: the sum, divided by the sum of as many ones.
fn uneven_mean(
    node: &mut Use<'_, '_>,
    mut window: Window,
    data: Tensor,
    sum: impl Fn(&Window) -> Op,
) -> Result<Tensor> {
    let ones = node.emit_part("ones", Op::new("ones_like"), std::slice::from_ref(&data))?;
    let (begin, end) = (window.begin.clone(), window.end.clone());
    let data = window.pad_outside(node, data, 0.0)?;
    let total = node.emit_part("sum", sum(&window), &[data])?;
    (window.begin, window.end) = (begin, end);
    let ones = window.pad_outside(node, ones, 0.0)?;
    let count = node.emit_part("count", sum(&window), &[ones])?;
    node.emit(Op::new("elemwise_div"), &[total, count])
}

/// Rounding up, `Pooling` has windows that begin in the padding behind the data; ONNX has none. For each axis where that
/// makes a difference: how many windows there are.
fn excess(window: &Window, data: &Tensor) -> Result<Vec<Option<usize>>> {
    let axis = |axis: usize| {
        let (kernel, stride) = (window.kernel[axis], window.stride[axis]);
        let (begin, end) = (window.begin[axis], window.end[axis]);
        if kernel >= stride.saturating_add(end) {
            return Ok(None);
        }
        let n = data.shape.dim(axis + 2).ok_or_else(|| {
            let what = "depends on an extent that the file leaves open: give the inputs' shapes";
            Error::Data(format!("attribute ceil_mode {what}"))
        })?;
        let room = n.saturating_add(begin).saturating_add(end).saturating_sub(kernel);
        let windows = room.div_ceil(stride).saturating_add(1);
        let starts_outside = (windows - 1).saturating_mul(stride) >= n.saturating_add(begin);
        Ok(starts_outside.then(|| windows - 1))
    };
    (0..window.kernel.len()).map(axis).collect()
}
