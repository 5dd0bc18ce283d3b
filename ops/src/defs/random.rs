//! `_random_uniform`, `_random_normal`: tensors of random numbers.

use super::dims::given_shape;
use crate::{DType, DTypes, Entry, Error, Gradient, Kind, Operator, Params, Result, Schema, Shapes, Value};
use std::sync::LazyLock;

static UNIFORM: LazyLock<Schema> = LazyLock::new(|| {
    let schema = Schema::new().float("low", f64::MIN..=f64::MAX, Some(0.0), "Lower bound, included.").float(
        "high",
        f64::MIN..=f64::MAX,
        Some(1.0),
        "Upper bound, not included.",
    );
    shape_params(schema)
});

static NORMAL: LazyLock<Schema> = LazyLock::new(|| {
    let schema = Schema::new().float("loc", f64::MIN..=f64::MAX, Some(0.0), "Mean of the numbers.").float(
        "scale",
        0.0..=f64::MAX,
        Some(1.0),
        "Standard deviation.",
    );
    shape_params(schema)
});

fn shape_params(schema: Schema) -> Schema {
    schema
        .tuple("shape", Some(&[]), "The shape; what is left out or 0 follows from who uses it.")
        .param("ctx", Kind::Text, Some(Value::Text(String::new())), "The device. Without effect.")
        .dtype("dtype", Some(Value::None), "float32 or float64; None is float32.")
}

/// Which distribution.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Random {
    /// Uniform in [low, high).
    Uniform,
    /// Normal of mean `loc` and standard deviation `scale`.
    Normal,
}

impl Operator for Random {
    fn name(&self) -> &str {
        match self {
            Random::Uniform => "_random_uniform",
            Random::Normal => "_random_normal",
        }
    }

    fn aliases(&self) -> &[&str] {
        match self {
            Random::Uniform => &["uniform", "random_uniform"],
            Random::Normal => &["normal", "random_normal"],
        }
    }

    fn doc(&self) -> &str {
        match self {
            Random::Uniform => "Independent numbers, uniform in [low, high). Stream: (seed, node, step).",
            Random::Normal => {
                "Independent normal numbers of mean loc and standard deviation scale. Stream: (seed, node, step)."
            }
        }
    }

    fn schema(&self) -> &Schema {
        match self {
            Random::Uniform => &UNIFORM,
            Random::Normal => &NORMAL,
        }
    }

    fn check(&self, params: &Params) -> Result<()> {
        if let Some(dtype) = params.dtype("dtype").filter(|d| !d.is_float()) {
            return Err(Error::Param(format!("parameter \"dtype\" is \"{dtype}\", wanted a floating-point dtype")));
        }
        if *self == Random::Uniform && params.float("low") > params.float("high") {
            let (low, high) = (params.float("low"), params.float("high"));
            return Err(Error::Param(format!("parameter \"low\" is {low}, wanted no more than \"high\", {high}")));
        }
        Ok(())
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        Vec::new()
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        s.set_output(0, given_shape(params), "from parameter shape")
    }

    fn infer_dtype(&self, params: &Params, d: &mut DTypes) -> Result<()> {
        d.set_output(0, params.dtype("dtype").unwrap_or(DType::F32))
    }

    fn is_deterministic(&self) -> bool {
        false
    }

    fn gradient(&self, _: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        Ok(Vec::new())
    }
}
