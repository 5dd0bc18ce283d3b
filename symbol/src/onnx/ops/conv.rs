//! Convolutions and matrix products.

use super::{Translate, one};
use crate::onnx::import::Op;
use crate::onnx::node::Use;
use crate::onnx::value::{Tensor, Value};
use crate::onnx::window::{Window, sizes};
use varflow_ops::{Error, Result, Shape};

pub(super) const ALL: &[(&str, Translate)] =
    &[("Conv", conv), ("ConvTranspose", conv_transpose), ("Gemm", gemm), ("MatMul", mat_mul)];

/// The weight's shape: known, of three axes or more.
fn weight_shape(weight: &Tensor) -> Result<Shape> {
    weight.shape.known().filter(|s| s.rank() > 2 && !s.is_empty()).ok_or_else(|| {
        Error::Data(format!("input W has shape {}, wanted a known one of three axes or more", weight.shape))
    })
}

fn conv(node: &mut Use<'_, '_>) -> Result<Vec<Value>> {
    let (data, weight) = (node.tensor(0, "X")?, node.tensor(1, "W")?);
    let shape = weight_shape(&weight)?;
    let mut window = Window::read(node, shape.dims()[2..].to_vec(), &data.shape)?;
    let data = window.pad_outside(node, data, 0.0)?;
    let bias = node.optional(2)?.is_some();
    let op = Op::new("Convolution")
        .set("kernel", &window.kernel)
        .set("stride", &window.stride)
        .set("dilate", &window.dilate)
        .set("pad", &window.begin)
        .set("num_filter", shape[0])
        .set("num_group", node.int("group", 1)?)
        .set("no_bias", !bias);
    let mut inputs = vec![data, weight];
    if bias {
        inputs.push(node.tensor(2, "B")?);
    }
    one(node.emit(op, &inputs)?)
}

fn conv_transpose(node: &mut Use<'_, '_>) -> Result<Vec<Value>> {
    if node.has("output_shape") || !matches!(node.text("auto_pad", "NOTSET")?, "NOTSET" | "VALID" | "") {
        return Err(Error::Data("has output_shape or auto_pad SAME, wanted pads".to_string()));
    }
    let (data, weight) = (node.tensor(0, "X")?, node.tensor(1, "W")?);
    let shape = weight_shape(&weight)?;
    let window = Window::read(node, shape.dims()[2..].to_vec(), &data.shape)?;
    let axes = window.kernel.len();
    let groups = node.int("group", 1)?;
    let filters = i64::try_from(shape[1]).ok().and_then(|n| n.checked_mul(groups));
    let filters = filters.ok_or_else(|| node.refuse("group", groups, "a number of groups"))?;
    let bias = node.optional(2)?.is_some();
    // Padding that is not symmetric is cut off afterwards.
    let pad = if window.is_symmetric() { window.begin.clone() } else { vec![0; axes] };
    let op = Op::new("Deconvolution")
        .set("kernel", &window.kernel)
        .set("stride", &window.stride)
        .set("dilate", &window.dilate)
        .set("pad", pad)
        .set("adj", sizes(node, "output_padding", axes, 0)?)
        .set("num_filter", filters)
        .set("num_group", groups)
        .set("no_bias", !bias);
    let mut inputs = vec![data, weight];
    if bias {
        inputs.push(node.tensor(2, "B")?);
    }
    if window.is_symmetric() {
        return one(node.emit(op, &inputs)?);
    }
    let mut output = node.emit_part("whole", op, &inputs)?;
    for (i, (begin, end)) in window.begin.iter().zip(&window.end).enumerate().filter(|(_, p)| *p != (&0, &0)) {
        let end = if *end == 0 { "None".to_string() } else { format!("-{end}") };
        let op = Op::new("slice_axis").set("axis", i + 2).set("begin", begin).set("end", end);
        output = node.emit_part("cut", op, &[output])?;
    }
    one(output)
}

fn gemm(node: &mut Use<'_, '_>) -> Result<Vec<Value>> {
    let (trans_a, trans_b) = (node.flag("transA", false)?, node.flag("transB", false)?);
    let (alpha, beta) = (node.float("alpha", 1.0)?, node.float("beta", 1.0)?);
    let plain = !trans_a && (alpha, beta) == (1.0, 1.0);
    if let (true, Some(Value::Weight(id))) = (plain, node.optional(1)?)
        && let Some(outputs) = fully_connected(node, id, trans_b)?
    {
        return Ok(outputs);
    }
    let op = Op::new("dot").set("transpose_a", trans_a).set("transpose_b", trans_b);
    let inputs = [node.tensor(0, "A")?, node.tensor(1, "B")?];
    let mut output = node.emit_part("dot", op, &inputs)?;
    if alpha != 1.0 {
        output = node.emit_part("alpha", Op::new("_mul_scalar").set("scalar", alpha), &[output])?;
    }
    if node.optional(2)?.is_some() {
        let mut c = node.tensor(2, "C")?;
        if beta != 1.0 {
            c = node.emit_part("beta", Op::new("_mul_scalar").set("scalar", beta), &[c])?;
        }
        output = node.emit(Op::new("broadcast_add"), &[output, c])?;
    }
    one(output)
}

/// A product with a weight, if there is no bias or one for each output.
fn fully_connected(node: &mut Use<'_, '_>, weight: usize, is_turned: bool) -> Result<Option<Vec<Value>>> {
    let shape = &node.importer.array(weight).desc.shape;
    let &[first, last] = shape.dims() else { return Ok(None) };
    let (inputs, outputs) = if is_turned { (last, first) } else { (first, last) };
    if inputs == 0 || outputs == 0 {
        return Ok(None);
    }
    let bias = match node.optional(2)? {
        None => None,
        Some(Value::Weight(id)) => {
            let shape = &node.importer.array(id).desc.shape;
            if shape.len() != outputs || shape.dims().last() != Some(&outputs) {
                return Ok(None);
            }
            Some(node.importer.flat(id))
        }
        Some(_) => return Ok(None),
    };
    let data = node.tensor(0, "A")?;
    let weight = if is_turned { weight } else { node.importer.transposed(weight)? };
    let mut tensors = vec![data, node.importer.tensor(Value::Weight(weight))?];
    let op = Op::new("FullyConnected").set("num_hidden", outputs).set("flatten", false).set("no_bias", bias.is_none());
    if let Some(bias) = bias {
        tensors.push(node.importer.tensor(Value::Weight(bias))?);
    }
    one(node.emit(op, &tensors)?).map(Some)
}

fn mat_mul(node: &mut Use<'_, '_>) -> Result<Vec<Value>> {
    let (a, b) = (node.tensor(0, "A")?, node.tensor(1, "B")?);
    let (a_rank, b_rank) = (node.rank(&a)?, node.rank(&b)?);
    if b_rank <= 2 {
        return one(node.emit(Op::new("dot"), &[a, b])?);
    }
    if a_rank != b_rank {
        let what = format!("has inputs of shapes {} and {}", a.shape, b.shape);
        return Err(Error::Data(format!("{what}, wanted as many axes of both, or two axes of the second")));
    }
    if a_rank == 3 {
        return one(node.emit(Op::new("batch_dot"), &[a, b])?);
    }
    // The leading axes become one, and are parted again.
    let leading = &a.shape.dims().unwrap_or_default()[..a_rank - 2];
    let open = leading.iter().filter(|d| d.is_none()).count();
    let same = leading == &b.shape.dims().unwrap_or_default()[..a_rank - 2];
    let (Some(rows), Some(columns), true) = (a.shape.dim(a_rank - 2), b.shape.dim(b_rank - 1), same && open <= 1)
    else {
        let what = format!("has inputs of shapes {} and {}", a.shape, b.shape);
        return Err(Error::Data(format!("{what}, wanted known ones with the same leading axes")));
    };
    let extent = |d: &Option<usize>| d.map_or_else(|| "-1".to_string(), |n| n.to_string());
    let mut shape: Vec<String> = leading.iter().map(extent).collect();
    shape.extend([rows.to_string(), columns.to_string()]);
    let merge = |node: &mut Use<'_, '_>, x: Tensor| {
        let x_rank = node.rank(&x)?;
        let mut codes = vec![-3_i64];
        codes.push(-2);
        let mut x = x;
        for _ in 0..x_rank - 3 {
            x = node.emit_part("merged", Op::new("Reshape").set("shape", &codes), &[x])?;
        }
        Ok::<_, Error>(x)
    };
    let inputs = [merge(node, a)?, merge(node, b)?];
    let output = node.emit_part("batch", Op::new("batch_dot"), &inputs)?;
    let op = Op::new("Reshape").set("shape", format!("({})", shape.join(", ")));
    one(node.emit(op, &[output])?)
}
