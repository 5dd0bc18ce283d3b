//! `Deconvolution`: the transposed convolution, over one, two or three axes.

use super::window::{Rounding, Window, check_layout};
use crate::{Entry, Error, Gradient, Kind, Operator, Params, PartialShape, Result, Schema, Shapes, TensorDesc, Value};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new()
        .tuple("kernel", None, "Size of the window: (w,), (h, w) or (d, h, w).")
        .tuple("stride", Some(&[]), "Distance from window to window in output; 1 if left out.")
        .tuple("dilate", Some(&[]), "Distance of the elements in a window; 1 if left out.")
        .tuple("pad", Some(&[]), "Elements cut off both ends of output; 0 if left out.")
        .tuple("adj", Some(&[]), "Elements added to the end of output, less than stride; 0 if left out.")
        .tuple("target_shape", Some(&[]), "Lengths of output, from which pad and adj follow if given.")
        .int("num_filter", 1..=100_000, None, "Number of output channels.")
        .int("num_group", 1..=i64::from(i32::MAX), Some(1), "Number of groups that the channels are cut into.")
        .int("workspace", 0..=i64::MAX, Some(512), "Bound of scratch memory in MiB. Without effect.")
        .bool("no_bias", Some(true), "Leave the bias out.")
        .param(
            "cudnn_tune",
            Kind::choice(&["off", "limited_workspace", "fastest"]),
            Some(Value::None),
            "Without effect.",
        )
        .bool("cudnn_off", Some(false), "Without effect.")
        .param(
            "layout",
            Kind::choice(&["NCW", "NCHW", "NCDHW", "NHWC", "NDHWC"]),
            Some(Value::None),
            "Order of the axes. Only batch, channel, then the rest.",
        )
});

/// `adj` or `target_shape`: one number an axis, or nothing.
fn sizes(params: &Params, name: &str, rank: usize) -> Result<Option<Vec<usize>>> {
    let given = params.tuple(name);
    let refuse = || {
        let value = params.value(name);
        Error::Param(format!("parameter \"{name}\" is {value}, wanted {rank} numbers of at least 0"))
    };
    if given.is_empty() {
        return Ok(None);
    }
    let bounded = |v: &i64| usize::try_from(*v).ok().filter(|v| *v <= i32::MAX as usize);
    let sizes = given.iter().map(bounded).collect::<Option<Vec<_>>>().filter(|s| s.len() == rank);
    Ok(Some(sizes.ok_or_else(refuse)?))
}

/// The window of a `Deconvolution` on data of these lengths along the axes after the channel, and the lengths of output.
/// It is the window of the convolution that takes output to data.
///
/// # Errors
/// [`Error::Param`] for lists of unequal length or numbers out of range; [`Error::Shape`] where output would have no or too
/// many elements, or less than `target_shape`.
pub fn deconvolution_window(params: &Params, lens: &[usize]) -> Result<(Window, Vec<usize>)> {
    let mut window = Window::parse(params, Rounding::Valid)?;
    let rank = window.rank();
    let adj = sizes(params, "adj", rank)?.unwrap_or_else(|| vec![0; rank]);
    let target = sizes(params, "target_shape", rank)?.filter(|t| t.iter().any(|t| *t > 0));
    let mut out = Vec::with_capacity(rank);
    for (axis, len) in lens.iter().enumerate().take(rank) {
        let refuse = |wanted: &str| {
            let (kernel, pad) = (window.extent(axis), window.pad[axis]);
            Error::Shape(format!(
                "data has length {len} along axis {}, wanted {wanted} with a window of {kernel} and padding {pad}",
                axis + 2
            ))
        };
        let steps = len.checked_sub(1).ok_or_else(|| refuse("at least 1"))?;
        let full = steps.checked_mul(window.stride[axis]).and_then(|n| n.checked_add(window.extent(axis)));
        let full = full.ok_or_else(|| refuse("less"))?;
        if let Some(target) = &target {
            let cut = full
                .checked_sub(target[axis])
                .ok_or_else(|| refuse(&format!("at least {} of output", target[axis])))?;
            if target[axis] == 0 {
                return Err(refuse("a target_shape of at least 1"));
            }
            // An odd element is cut off the front: pad rounds up, and adj gives it back at the end.
            window.pad[axis] = cut.div_ceil(2);
            out.push(target[axis]);
        } else {
            let len = full.checked_add(adj[axis]).and_then(|n| n.checked_sub(2 * window.pad[axis])).filter(|n| *n > 0);
            out.push(len.ok_or_else(|| refuse("elements of output"))?);
        }
    }
    Ok((window, out))
}

/// What a convolution's gradient does to its output.
pub(super) struct Deconvolution;

impl Operator for Deconvolution {
    fn name(&self) -> &str {
        "Deconvolution"
    }

    fn doc(&self) -> &str {
        "output[n, f, i · stride + k · dilate - pad] = bias[f] + Σ weight[c, f, k] · data[n, c, i] over all c, i and k that meet \
         there: the gradient by data of a Convolution with this weight. Its lengths are stride · (data's - 1) + dilate · \
         (kernel - 1) + 1 - 2 pad + adj. data (N, C, …), weight (C, num_filter / num_group, …kernel), bias (num_filter,), \
         output (N, num_filter, …)."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn check(&self, params: &Params) -> Result<()> {
        check_layout(params)?;
        let (window, _) = deconvolution_window(params, &[])?;
        if window.rank() == 0 {
            return Err(Error::Param("parameter \"kernel\" is (), wanted 1, 2 or 3 numbers".to_string()));
        }
        let adj = sizes(params, "adj", window.rank())?.unwrap_or_default();
        if params.tuple("target_shape").is_empty() && adj.iter().zip(&window.stride).any(|(adj, stride)| adj >= stride)
        {
            let adj = params.value("adj");
            return Err(Error::Param(format!(
                "parameter \"adj\" is {adj}, wanted less than stride {:?}",
                window.stride
            )));
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
        let (window, _) = deconvolution_window(params, &[])?;
        let (filters, groups) = (params.usize("num_filter"), params.usize("num_group"));
        let rank = window.rank();
        let unknown = |first: [Option<usize>; 2]| PartialShape::new(first.into_iter().chain((0..rank).map(|_| None)));
        if !params.bool("no_bias") {
            s.set_input(2, PartialShape::new([Some(filters)]), "from num_filter")?;
        }
        let why = format!("from num_filter {filters} and kernel {}", params.value("kernel"));
        let kernel = window.kernel.iter().copied().map(Some);
        s.set_input(1, PartialShape::new([None, Some(filters / groups)].into_iter().chain(kernel)), &why)?;
        s.set_input(0, unknown([s.output(0).dim(0), s.input(1).dim(0)]), &format!("from weight {}", s.input(1)))?;
        if let Some(channels) = s.input(0).dim(1) {
            let data = s.input(0);
            if !channels.is_multiple_of(groups) {
                return Err(Error::Shape(format!(
                    "data has shape {data}, wanted a multiple of num_group {groups} channels"
                )));
            }
            let why = format!("from data {data}");
            s.set_input(1, unknown([Some(channels), None]), &why)?;
        }
        let why = format!("from data {}", s.input(0));
        s.set_output(0, unknown([s.input(0).dim(0), Some(filters)]), &why)?;
        let lens: Option<Vec<_>> = (0..rank).map(|a| s.input(0).dim(a + 2)).collect();
        let Some(lens) = lens else { return Ok(()) };
        let (_, out) = deconvolution_window(params, &lens)?;
        s.set_output(0, PartialShape::new([None, None].into_iter().chain(out.into_iter().map(Some))), &why)
    }

    fn per_sample(&self, _: &Params, _: &[TensorDesc]) -> Option<Vec<usize>> {
        Some(vec![0])
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let inputs = [grad.out_grad(0)?, grad.inputs[0], grad.inputs[1]];
        grad.backward("_backward_Deconvolution", &inputs, grad.inputs.len())
    }
}

/// Gradients of [`Deconvolution`] by data, weight and bias.
pub(super) struct Backward;

impl Operator for Backward {
    fn name(&self) -> &str {
        "_backward_Deconvolution"
    }

    fn doc(&self) -> &str {
        "d_data: the convolution of out_grad with weight; d_weight: the correlation of out_grad with data; \
         d_bias[f] = Σ out_grad[·, f, ·]."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn check(&self, params: &Params) -> Result<()> {
        Deconvolution.check(params)
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        ["out_grad", "data", "weight"].map(String::from).to_vec()
    }

    fn outputs(&self, params: &Params) -> Vec<String> {
        Deconvolution.inputs(params).into_iter().map(|n| format!("d_{n}")).collect()
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        s.same(&[1], &[0])?;
        s.same(&[2], &[1])?;
        if !params.bool("no_bias") {
            s.set_output(2, PartialShape::new([Some(params.usize("num_filter"))]), "from num_filter")?;
        }
        Ok(())
    }
}
