//! `LRN`: local response normalisation across channels.

use crate::{Entry, Error, Gradient, Operator, Params, Result, Schema, Shapes, TensorDesc};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new()
        .float("alpha", f64::MIN..=f64::MAX, Some(1e-4), "Factor of the mean square.")
        .float("beta", f64::MIN..=f64::MAX, Some(0.75), "Exponent.")
        .float("knorm", f64::MIN..=f64::MAX, Some(2.0), "Added to the scaled mean square.")
        .int("nsize", 1..=i64::from(i32::MAX), None, "Channels in a window, an odd number.")
});

/// Division by a power of the squares around.
pub(super) struct Lrn;

fn check(params: &Params) -> Result<()> {
    let nsize = params.int("nsize");
    if nsize % 2 == 0 {
        return Err(Error::Param(format!("parameter \"nsize\" is {nsize}, wanted an odd number")));
    }
    Ok(())
}

/// Data has samples, channels and perhaps more.
fn check_rank(s: &Shapes, data: usize) -> Result<()> {
    match s.input(data).rank() {
        Some(0 | 1) => {
            let shape = s.input(data);
            Err(Error::Shape(format!("data has shape {shape}, wanted axes for samples and channels")))
        }
        _ => Ok(()),
    }
}

impl Operator for Lrn {
    fn name(&self) -> &str {
        "LRN"
    }

    fn doc(&self) -> &str {
        "output[n, c] = data[n, c] / norm[n, c]^beta, norm[n, c] = knorm + alpha / nsize · Σ data[n, j]² over the channels j \
         that are at most nsize / 2 from c. norm is a hidden output. data (N, C, …). Krizhevsky and others, NIPS 2012."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn check(&self, params: &Params) -> Result<()> {
        check(params)
    }

    fn outputs(&self, _: &Params) -> Vec<String> {
        ["output", "tmp_norm"].map(String::from).to_vec()
    }

    fn num_visible_outputs(&self, _: &Params) -> usize {
        1
    }

    fn infer_shape(&self, _: &Params, s: &mut Shapes) -> Result<()> {
        s.same(&[0], &[0, 1])?;
        check_rank(s, 0)
    }

    fn per_sample(&self, _: &Params, _: &[TensorDesc]) -> Option<Vec<usize>> {
        Some(vec![0])
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let inputs = [grad.out_grad(0)?, grad.inputs[0], grad.outputs[0], grad.outputs[1]];
        grad.backward("_backward_LRN", &inputs, 1)
    }
}

/// Gradient of [`Lrn`].
pub(super) struct Backward;

impl Operator for Backward {
    fn name(&self) -> &str {
        "_backward_LRN"
    }

    fn doc(&self) -> &str {
        "d_data[n, c] = out_grad[n, c] / norm[n, c]^beta - 2 alpha · beta / nsize · data[n, c] · \
         Σ out_grad[n, j] · output[n, j] / norm[n, j] over the window of c."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn check(&self, params: &Params) -> Result<()> {
        check(params)
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        ["out_grad", "data", "output", "tmp_norm"].map(String::from).to_vec()
    }

    fn outputs(&self, _: &Params) -> Vec<String> {
        vec!["d_data".to_string()]
    }

    fn infer_shape(&self, _: &Params, s: &mut Shapes) -> Result<()> {
        s.same(&[0, 1, 2, 3], &[0])?;
        check_rank(s, 0)
    }
}
