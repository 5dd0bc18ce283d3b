//! `Convolution` over one, two or three axes.

use super::window::{Rounding, Window, check_layout};
use crate::{Entry, Error, Gradient, Kind, Operator, Params, PartialShape, Result, Schema, Shapes, Value};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> = LazyLock::new(schema);

/// The parameters of a convolution.
pub(super) fn schema() -> Schema {
    Schema::new()
        .tuple("kernel", None, "Size of the window: (w,), (h, w) or (d, h, w).")
        .tuple("stride", Some(&[]), "Distance from window to window; 1 if left out.")
        .tuple("dilate", Some(&[]), "Distance of the elements in a window; 1 if left out.")
        .tuple("pad", Some(&[]), "Zeroes thought at both ends; 0 if left out.")
        .int("num_filter", 1..=100_000, None, "Number of output channels.")
        .int("num_group", 1..=i64::from(i32::MAX), Some(1), "Number of groups that the channels are cut into.")
        .int("workspace", 0..=i64::MAX, Some(1024), "Bound of scratch memory in MiB. Without effect.")
        .bool("no_bias", Some(false), "Leave the bias out.")
        .param(
            "cudnn_tune",
            Kind::choice(&["off", "limited_workspace", "fastest"]),
            Some(Value::None),
            "Without effect.",
        )
        .bool("cudnn_off", Some(false), "Without effect.")
        .param(
            "layout",
            Kind::choice(&["NCW", "NCHW", "NCDHW", "NWC", "NHWC", "NDHWC"]),
            Some(Value::None),
            "Order of the axes. Only batch, channel, then the rest.",
        )
}

/// The window of a `Convolution`.
///
/// # Errors
/// [`Error::Param`] for lists of unequal length or numbers out of range.
pub fn convolution_window(params: &Params) -> Result<Window> {
    Window::parse(params, Rounding::Valid)
}

/// Correlation of data with `num_filter` filters.
pub(super) struct Convolution;

impl Operator for Convolution {
    fn name(&self) -> &str {
        "Convolution"
    }

    fn doc(&self) -> &str {
        "output[n, f, i] = bias[f] + Σ_{c, k} weight[f, c, k] · data[n, c₀ + c, i · stride + k · dilate - pad], where i and k \
         run over one, two or three axes and what is outside of data is 0. Channels and filters are cut into num_group \
         groups; c₀ is the first channel of the group of f. data (N, C, …), weight (num_filter, C / num_group, …kernel), \
         bias (num_filter,), output (N, num_filter, …)."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn check(&self, params: &Params) -> Result<()> {
        check_layout(params)?;
        let window = convolution_window(params)?;
        if window.rank() == 0 {
            return Err(Error::Param("parameter \"kernel\" is (), wanted 1, 2 or 3 numbers".to_string()));
        }
        let (filters, groups) = (params.usize("num_filter"), params.usize("num_group"));
        if !filters.is_multiple_of(groups) {
            return Err(Error::Param(format!(
                "parameter \"num_filter\" is {filters}, wanted a multiple of num_group {groups}"
            )));
        }
        Ok(())
    }

    fn inputs(&self, params: &Params) -> Vec<String> {
        let names: &[&str] = if params.bool("no_bias") { &["data", "weight"] } else { &["data", "weight", "bias"] };
        names.iter().map(ToString::to_string).collect()
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        let window = convolution_window(params)?;
        let (filters, groups) = (params.usize("num_filter"), params.usize("num_group"));
        let rank = window.rank() + 2;
        let some = |first: [Option<usize>; 2], rest: &dyn Fn(usize) -> Option<usize>| {
            PartialShape::new(first.into_iter().chain((0..rank - 2).map(rest)))
        };
        if !params.bool("no_bias") {
            s.set_input(2, PartialShape::new([Some(filters)]), "from num_filter")?;
        }
        let why = format!("from num_filter {filters} and kernel {}", params.value("kernel"));
        s.set_input(1, some([Some(filters), None], &|a| Some(window.kernel[a])), &why)?;
        s.set_input(0, some([None; 2], &|_| None), &why)?;
        s.set_output(0, some([s.input(0).dim(0), Some(filters)], &|_| None), &format!("from data {}", s.input(0)))?;
        if let Some(channels) = s.input(0).dim(1) {
            if !channels.is_multiple_of(groups) {
                let data = s.input(0);
                return Err(Error::Shape(format!(
                    "data has shape {data}, wanted a multiple of num_group {groups} channels"
                )));
            }
            let why = format!("from data {}", s.input(0));
            s.set_input(1, some([None, Some(channels / groups)], &|_| None), &why)?;
        }
        let channels = s.input(1).dim(1).and_then(|c| c.checked_mul(groups));
        s.set_input(0, some([s.output(0).dim(0), channels], &|_| None), &format!("from weight {}", s.input(1)))?;
        window.infer(s, 0)
    }

    fn inplace(&self, params: &Params) -> Vec<(usize, usize)> {
        over_copies(params)
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let inputs = [grad.out_grad(0)?, grad.inputs[0], grad.inputs[1]];
        grad.backward("_backward_Convolution", &inputs, grad.inputs.len())
    }
}

/// The first output may take the place of the first input where there is padding, which copies are made of anyway.
pub(super) fn over_copies(params: &Params) -> Vec<(usize, usize)> {
    let is_padded = params.tuple("pad").iter().any(|&pad| pad > 0);
    if is_padded { vec![(0, 0)] } else { Vec::new() }
}

/// Gradients of [`Convolution`] by data, weight and bias.
pub(super) struct Backward;

impl Operator for Backward {
    fn name(&self) -> &str {
        "_backward_Convolution"
    }

    fn doc(&self) -> &str {
        "d_data: the transposed convolution of out_grad with weight; d_weight: the correlation of data with out_grad; \
         d_bias[f] = Σ out_grad[·, f, ·]."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn check(&self, params: &Params) -> Result<()> {
        Convolution.check(params)
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        ["out_grad", "data", "weight"].map(String::from).to_vec()
    }

    fn outputs(&self, params: &Params) -> Vec<String> {
        Convolution.inputs(params).into_iter().map(|n| format!("d_{n}")).collect()
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        s.same(&[1], &[0])?;
        s.same(&[2], &[1])?;
        if !params.bool("no_bias") {
            s.set_output(2, PartialShape::new([Some(params.usize("num_filter"))]), "from num_filter")?;
        }
        Ok(())
    }

    fn inplace(&self, params: &Params) -> Vec<(usize, usize)> {
        over_copies(params)
    }
}
