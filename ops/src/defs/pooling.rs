//! `Pooling` over one, two or three axes.

use super::window::{Rounding, Window, check_layout};
use crate::{Entry, Error, Gradient, Kind, Operator, Params, PartialShape, Result, Schema, Shapes, TensorDesc, Value};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new()
        .tuple("kernel", Some(&[]), "Size of the window: (w,), (h, w) or (d, h, w).")
        .choice("pool_type", &["max", "avg", "sum", "lp"], Some("max"), "What is taken of a window.")
        .bool("global_pool", Some(false), "The window is all of data; kernel, stride and pad are without effect.")
        .bool("cudnn_off", Some(false), "Without effect.")
        .choice(
            "pooling_convention",
            &["valid", "full", "same"],
            Some("valid"),
            "Number of windows along an axis of x elements: valid ⌊(x + 2 pad - kernel) / stride⌋ + 1; full \
             ⌈(x + 2 pad - kernel) / stride⌉ + 1; same ⌈(x + 2 pad) / stride⌉, of one axis only.",
        )
        .tuple("stride", Some(&[]), "Distance from window to window; 1 if left out.")
        .tuple("pad", Some(&[]), "Elements thought at both ends; 0 if left out.")
        .param("p_value", Kind::Int(1, 3), Some(Value::None), "p of lp, which must have it: 1, 2 or 3.")
        .param(
            "count_include_pad",
            Kind::Bool,
            Some(Value::None),
            "Whether avg divides by the elements of the window in padded data (True, None) or in data (False).",
        )
        .param(
            "layout",
            Kind::choice(&["NCW", "NCHW", "NCDHW", "NWC", "NHWC", "NDHWC"]),
            Some(Value::None),
            "Order of the axes. Only batch, channel, then the rest.",
        )
});

/// The window of a `Pooling`; with `global_pool` the one for data of these lengths along the axes after the channel.
///
/// # Errors
/// [`Error::Param`] for lists of unequal length or numbers out of range.
pub fn pooling_window(params: &Params, lens: &[usize]) -> Result<Window> {
    if params.bool("global_pool") {
        let ones = vec![1; lens.len()];
        let (stride, dilate, pad) = (ones.clone(), ones, vec![0; lens.len()]);
        return Ok(Window { kernel: lens.to_vec(), stride, dilate, pad, rounding: Rounding::Valid });
    }
    let rounding = match params.text("pooling_convention") {
        "full" => Rounding::Full,
        "same" => Rounding::Same,
        _ => Rounding::Valid,
    };
    Window::parse(params, rounding)
}

/// The power of `pool_type` lp; none for the others.
#[must_use]
pub fn pooling_power(params: &Params) -> Option<i64> {
    match params.value("p_value") {
        Value::Int(p) if params.text("pool_type") == "lp" => Some(*p),
        _ => None,
    }
}

/// Whether padding counts in the denominator of `avg`.
#[must_use]
pub fn counts_padding(params: &Params) -> bool {
    *params.value("count_include_pad") != Value::Bool(false)
}

/// Largest element, mean or sum of each window.
pub(super) struct Pooling;

impl Operator for Pooling {
    fn name(&self) -> &str {
        "Pooling"
    }

    fn doc(&self) -> &str {
        "output[n, c, i] = the largest, the mean, the sum or, for lp, the p-th root of the sum of the p-th powers (which keep \
         their signs) of data[n, c, j] for j in window i: i · stride - pad ≤ j < \
         i · stride - pad + kernel, along one, two or three axes. Elements outside of data are left out of max and are 0 in \
         sums. data (N, C, …), output (N, C, …)."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn check(&self, params: &Params) -> Result<()> {
        check_layout(params)?;
        if params.text("pool_type") == "lp" && pooling_power(params).is_none() {
            return Err(Error::Param("parameter \"p_value\" is None, wanted 1, 2 or 3 with pool_type lp".to_string()));
        }
        if params.bool("global_pool") {
            return Ok(());
        }
        let window = pooling_window(params, &[])?;
        let kernel = params.value("kernel");
        if window.rank() == 0 {
            return Err(Error::Param(format!(
                "parameter \"kernel\" is {kernel}, wanted 1, 2 or 3 numbers, or global_pool"
            )));
        }
        if window.rounding == Rounding::Same && (window.rank() != 1 || window.pad != [0]) {
            let pad = params.value("pad");
            return Err(Error::Param(format!(
                "parameter \"pooling_convention\" is same, wanted it with a kernel of 1 number and no pad, not kernel {kernel} \
                 and pad {pad}"
            )));
        }
        if window.pad.iter().zip(&window.kernel).any(|(p, k)| p >= k) {
            let pad = params.value("pad");
            return Err(Error::Param(format!("parameter \"pad\" is {pad}, wanted less than kernel {kernel}")));
        }
        Ok(())
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        if params.bool("global_pool") {
            return infer_global(s);
        }
        let window = pooling_window(params, &[])?;
        let why = format!("from kernel {}", params.value("kernel"));
        let all = |n, c| PartialShape::new([n, c].into_iter().chain((0..window.rank()).map(|_| None)));
        s.set_input(0, all(None, None), &why)?;
        s.set_output(0, all(s.input(0).dim(0), s.input(0).dim(1)), &format!("from data {}", s.input(0)))?;
        s.set_input(0, all(s.output(0).dim(0), s.output(0).dim(1)), &format!("from output {}", s.output(0)))?;
        window.infer(s, 0)
    }

    fn per_sample(&self, _: &Params, _: &[TensorDesc]) -> Option<Vec<usize>> {
        Some(vec![0])
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let mut inputs = vec![grad.out_grad(0)?];
        if needs_data(grad.params) {
            inputs.push(grad.inputs[0]);
        }
        grad.backward("_backward_Pooling", &inputs, 1)
    }
}

fn infer_global(s: &mut Shapes) -> Result<()> {
    let Some(rank) = s.input(0).rank().or(s.output(0).rank()) else { return Ok(()) };
    if !(3..=5).contains(&rank) {
        let data = s.input(0);
        return Err(Error::Shape(format!("data has shape {data}, wanted batch, channel and 1 to 3 axes")));
    }
    let shape = |n, c, rest| PartialShape::new([n, c].into_iter().chain((2..rank).map(|_| rest)));
    let why = format!("from data {}", s.input(0));
    s.set_output(0, shape(s.input(0).dim(0), s.input(0).dim(1), Some(1)), &why)?;
    let why = format!("from output {}", s.output(0));
    s.set_input(0, shape(s.output(0).dim(0), s.output(0).dim(1), None), &why)
}

/// Which element was the largest, or what the root was, is found again in data.
fn needs_data(params: &Params) -> bool {
    matches!(params.text("pool_type"), "max" | "lp")
}

/// Gradient of [`Pooling`].
pub(super) struct Backward;

impl Operator for Backward {
    fn name(&self) -> &str {
        "_backward_Pooling"
    }

    fn doc(&self) -> &str {
        "d_data[n, c, j] = Σ of out_grad[n, c, i] · ∂output[n, c, i] / ∂data[n, c, j] over the windows i that hold j. For max \
         all of it goes to the first largest element of the window; for lp the derivative is (data / output)^(p - 1), 0 where \
         output is; avg and sum do without data."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn check(&self, params: &Params) -> Result<()> {
        Pooling.check(params)
    }

    fn inputs(&self, params: &Params) -> Vec<String> {
        let names: &[&str] = if needs_data(params) { &["out_grad", "data"] } else { &["out_grad"] };
        names.iter().map(ToString::to_string).collect()
    }

    fn outputs(&self, _: &Params) -> Vec<String> {
        vec!["d_data".to_string()]
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        if needs_data(params) { s.same(&[1], &[0]) } else { Ok(()) }
    }
}
