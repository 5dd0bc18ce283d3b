//! `UpSampling`: larger images.

use crate::{Entry, Error, Gradient, Operator, Params, PartialShape, Result, Schema, Shapes, TensorDesc};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new()
        .int("scale", 1..=1000, None, "How many times as high and wide the output is as the first input.")
        .int("num_filter", 0..=i64::from(i32::MAX), Some(0), "With bilinear: the number of channels.")
        .choice(
            "sample_type",
            &["nearest", "bilinear"],
            None,
            "nearest repeats pixels; bilinear is a transposed convolution of each channel with a weight of its own.",
        )
        .choice(
            "multi_input_mode",
            &["concat", "sum"],
            Some("concat"),
            "With nearest and several inputs: their channels one after the other, or their sum.",
        )
        .int("num_args", 1..=i64::from(u16::MAX), None, "Number of inputs; with bilinear 1 or 2, the weight being one.")
        .int("workspace", 0..=i64::MAX, Some(512), "Bound of scratch memory in MiB. Without effect.")
});

/// Whether an `UpSampling` convolves.
#[must_use]
pub fn upsampling_is_bilinear(params: &Params) -> bool {
    params.text("sample_type") == "bilinear"
}

/// Kernel size and padding of a bilinear `UpSampling` by this scale, whose stride is the scale.
#[must_use]
pub fn bilinear_window(scale: usize) -> [usize; 2] {
    [2 * scale - scale % 2, scale / 2]
}

/// Images scaled by a whole number.
pub(super) struct UpSampling;

impl Operator for UpSampling {
    fn name(&self) -> &str {
        "UpSampling"
    }

    fn doc(&self) -> &str {
        "nearest: output[n, c, i, j] = data[n, c, ⌊i / scale⌋, ⌊j / scale⌋]; each further input is scaled to the size of the \
         first one's result. bilinear: the transposed convolution of each channel of data with its weight (num_filter, 1, k, k), \
         k = 2 scale - scale % 2, stride scale. data (N, C, H, W), output (N, C, H · scale, W · scale)."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn check(&self, params: &Params) -> Result<()> {
        if upsampling_is_bilinear(params) {
            if params.usize("num_filter") == 0 {
                return Err(Error::Param("parameter \"num_filter\" is 0, wanted the number of channels".to_string()));
            }
            if params.usize("num_args") > 2 {
                return Err(Error::Param(format!(
                    "parameter \"num_args\" is {}, wanted 1 or 2 with sample_type bilinear",
                    params.value("num_args")
                )));
            }
        }
        Ok(())
    }

    fn inputs(&self, params: &Params) -> Vec<String> {
        if upsampling_is_bilinear(params) {
            return ["data", "weight"].map(String::from).to_vec();
        }
        (0..params.usize("num_args")).map(|i| format!("arg{i}")).collect()
    }

    fn is_variadic(&self) -> bool {
        true
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        let inputs: Vec<_> = (0..s.num_inputs()).map(|i| s.input(i).clone()).collect();
        let (inputs, out) = infer(params, inputs)?;
        inputs.into_iter().enumerate().try_for_each(|(i, shape)| s.set_input(i, shape, "from the other inputs"))?;
        s.set_output(0, out, &format!("from data {}", s.input(0)))
    }

    fn per_sample(&self, params: &Params, _: &[TensorDesc]) -> Option<Vec<usize>> {
        let n = if upsampling_is_bilinear(params) { 1 } else { params.usize("num_args") };
        Some((0..n).collect())
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let mut inputs = vec![grad.out_grad(0)?];
        if upsampling_is_bilinear(grad.params) {
            inputs.extend(grad.inputs);
        }
        grad.backward("_backward_UpSampling", &inputs, grad.inputs.len())
    }
}

/// What the inputs tell of each other and of the output.
fn infer(params: &Params, mut inputs: Vec<PartialShape>) -> Result<(Vec<PartialShape>, PartialShape)> {
    let scale = params.usize("scale");
    let four = PartialShape::new([None; 4]);
    let named = |i: usize, e: &Error| Error::Shape(format!("input {i} {}", super::layout::bare(e)));
    for (i, input) in inputs.iter_mut().enumerate() {
        input.merge(&four).map_err(|e| named(i, &e))?;
    }
    let scaled = |len: Option<usize>| {
        let too_long =
            || Error::Shape(format!("data has shape {}, wanted it small enough to scale by {scale}", inputs[0]));
        len.map(|len| len.checked_mul(scale).ok_or_else(too_long)).transpose()
    };
    let (h, w) = (scaled(inputs[0].dim(2))?, scaled(inputs[0].dim(3))?);
    let n = inputs.iter().take(if upsampling_is_bilinear(params) { 1 } else { usize::MAX }).find_map(|i| i.dim(0));
    if upsampling_is_bilinear(params) {
        let (channels, [kernel, _]) = (Some(params.usize("num_filter")), bilinear_window(scale));
        inputs[0].merge(&PartialShape::new([None, channels, None, None])).map_err(|e| named(0, &e))?;
        let weight = PartialShape::new([channels, Some(1), Some(kernel), Some(kernel)]);
        if let Some(slot) = inputs.get_mut(1) {
            slot.merge(&weight).map_err(|e| named(1, &e))?;
        }
        return Ok((inputs, PartialShape::new([n, channels, h, w])));
    }
    let sum = params.text("multi_input_mode") == "sum";
    let common = if sum { inputs.iter().find_map(|i| i.dim(1)) } else { None };
    for (i, input) in inputs.iter_mut().enumerate() {
        input.merge(&PartialShape::new([n, common, None, None])).map_err(|e| named(i, &e))?;
        for (axis, out) in [(2, h), (3, w)] {
            let (Some(len), Some(out)) = (input.dim(axis), out) else { continue };
            // Of nothing only nothing can be made.
            if if len == 0 { out != 0 } else { !out.is_multiple_of(len) || out == 0 } {
                return Err(Error::Shape(format!(
                    "input {i} has shape {input}, wanted a part of {out} along axis {axis}"
                )));
            }
        }
        if let (Some(a), Some(b), Some(h), Some(w)) = (input.dim(2), input.dim(3), h, w)
            && h.checked_div(a) != w.checked_div(b)
        {
            return Err(Error::Shape(format!(
                "input {i} has shape {input}, wanted one scale to {h} rows and {w} columns"
            )));
        }
    }
    let total = inputs.iter().try_fold(0_usize, |n, i| n.checked_add(i.dim(1)?));
    let channels = if sum { common } else { total };
    Ok((inputs, PartialShape::new([n, channels, h, w])))
}

/// Gradients of [`UpSampling`] by its inputs.
pub(super) struct Backward;

impl Operator for Backward {
    fn name(&self) -> &str {
        "_backward_UpSampling"
    }

    fn doc(&self) -> &str {
        "nearest: the sum of out_grad over the pixels that are one of the input's. bilinear: d_data is the convolution of out_grad \
         with weight, d_weight the correlation of out_grad with data."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn inputs(&self, params: &Params) -> Vec<String> {
        let names: &[&str] =
            if upsampling_is_bilinear(params) { &["out_grad", "data", "weight"] } else { &["out_grad"] };
        names.iter().map(ToString::to_string).collect()
    }

    fn outputs(&self, params: &Params) -> Vec<String> {
        UpSampling.inputs(params).into_iter().map(|n| format!("d_{n}")).collect()
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        if upsampling_is_bilinear(params) {
            s.same(&[1], &[0])?;
            s.same(&[2], &[1])?;
        }
        let inputs = (0..s.num_outputs()).map(|o| s.output(o).clone()).collect();
        let (inputs, out) = infer(params, inputs)?;
        inputs.into_iter().enumerate().try_for_each(|(o, shape)| s.set_output(o, shape, "from the other inputs"))?;
        s.set_input(0, out, &format!("from d_{} {}", UpSampling.inputs(params)[0], s.output(0)))
    }
}
