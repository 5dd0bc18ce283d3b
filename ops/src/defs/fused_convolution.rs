//! `_FusedConvolution`: a convolution with what follows it in inference.

use super::convolution::{Convolution, over_copies, schema};
use crate::{Error, Operator, Params, PartialShape, Result, Schema, Shapes};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    schema()
        .bool("with_batch_norm", Some(false), "Normalise by moving statistics.")
        .float("eps", 0.0..=f64::MAX, Some(1e-3), "Added to the variance.")
        .bool("fix_gamma", Some(true), "Take gamma as 1.")
        .bool("with_sum", Some(false), "Add the input addend.")
        .choice("act_type", &["none", "relu", "clip"], Some("none"), "The function of the sum.")
        .float("a_min", f64::MIN..=f64::MAX, Some(0.0), "The least output of clip.")
        .float("a_max", f64::MIN..=f64::MAX, Some(0.0), "The greatest output of clip.")
});

/// Convolution, normalisation of channels, sum and bound in one pass over the output.
pub(super) struct FusedConvolution;

/// Where the inputs of a `_FusedConvolution` after data and weight are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FusedConvolutionInputs {
    /// The bias, if there is one.
    pub bias: Option<usize>,
    /// The first of gamma and beta, if there is normalisation.
    pub gamma: Option<usize>,
    /// What is added, if anything is.
    pub addend: Option<usize>,
    /// The first of moving_mean and moving_var, if there is normalisation.
    pub moving_mean: Option<usize>,
}

impl FusedConvolutionInputs {
    /// By the operator's parameters.
    #[must_use]
    pub fn of(params: &Params) -> FusedConvolutionInputs {
        let mut next = 2;
        let mut take = |wanted: bool, count: usize| {
            let at = next;
            next += if wanted { count } else { 0 };
            wanted.then_some(at)
        };
        let normalised = params.bool("with_batch_norm");
        let bias = take(!params.bool("no_bias"), 1);
        let gamma = take(normalised, 2);
        let addend = take(params.bool("with_sum"), 1);
        FusedConvolutionInputs { bias, gamma, addend, moving_mean: take(normalised, 2) }
    }
}

impl Operator for FusedConvolution {
    fn name(&self) -> &str {
        "_FusedConvolution"
    }

    fn doc(&self) -> &str {
        "output = f(BatchNorm(Convolution(data, weight, bias)) + addend), with BatchNorm by the moving statistics, along axis 1, \
         if with_batch_norm, addend of the output's shape if with_sum, and f by act_type: none x; relu max(x, 0); clip \
         min(max(x, a_min), a_max). For inference: it has no gradient."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn check(&self, params: &Params) -> Result<()> {
        let (low, high) = (params.float("a_min"), params.float("a_max"));
        if low > high {
            return Err(Error::Param(format!("parameter \"a_min\" is {low}, wanted at most a_max {high}")));
        }
        Convolution.check(params)
    }

    fn inputs(&self, params: &Params) -> Vec<String> {
        let mut names = Convolution.inputs(params);
        if params.bool("with_batch_norm") {
            names.extend(["gamma", "beta"].map(String::from));
        }
        if params.bool("with_sum") {
            names.push("addend".to_string());
        }
        names
    }

    fn auxiliaries(&self, params: &Params) -> Vec<String> {
        let names: &[&str] = if params.bool("with_batch_norm") { &["moving_mean", "moving_var"] } else { &[] };
        names.iter().map(ToString::to_string).collect()
    }

    fn mutates(&self, _: &Params) -> Vec<usize> {
        Vec::new()
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        let inputs = FusedConvolutionInputs::of(params);
        let filters = PartialShape::new([Some(params.usize("num_filter"))]);
        for first in [inputs.gamma, inputs.moving_mean].into_iter().flatten() {
            s.set_input(first, filters.clone(), "from num_filter")?;
            s.set_input(first + 1, filters.clone(), "from num_filter")?;
        }
        if let Some(addend) = inputs.addend {
            s.same(&[addend], &[0])?;
        }
        Convolution.infer_shape(params, s)
    }

    fn inplace(&self, params: &Params) -> Vec<(usize, usize)> {
        let addend = FusedConvolutionInputs::of(params).addend.map(|addend| (addend, 0));
        addend.into_iter().chain(over_copies(params)).collect()
    }

    fn is_hidden(&self) -> bool {
        true
    }
}
