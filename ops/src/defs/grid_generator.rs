//! `GridGenerator`: grids of places for `BilinearSampler`.

use crate::{Entry, Error, Gradient, Operator, Params, PartialShape, Result, Schema, Shapes};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new()
        .choice("transform_type", &["affine", "warp"], None, "What data is: affine maps, or shifts of pixels.")
        .tuple(
            "target_shape",
            Some(&[0, 0]),
            "Height and width of the output of affine maps. Without effect for shifts.",
        )
});

/// Whether a `GridGenerator` is given affine maps.
#[must_use]
pub fn grid_is_affine(params: &Params) -> bool {
    params.text("transform_type") == "affine"
}

/// Height and width of what affine maps give.
fn target(params: &Params) -> Result<[usize; 2]> {
    let lens: Vec<_> =
        params.tuple("target_shape").iter().filter_map(|d| usize::try_from(*d).ok()).filter(|d| *d > 0).collect();
    match (&lens[..], params.tuple("target_shape").len()) {
        (&[height, width], 2) => Ok([height, width]),
        _ => {
            let shape = params.value("target_shape");
            Err(Error::Param(format!(
                "parameter \"target_shape\" is {shape}, wanted a height and a width of at least 1"
            )))
        }
    }
}

/// What data and the output are.
fn shapes(params: &Params, data: &PartialShape, out: &PartialShape) -> Result<[PartialShape; 2]> {
    let n = data.dim(0).or(out.dim(0));
    if grid_is_affine(params) {
        let [height, width] = target(params)?;
        return Ok([PartialShape::new([n, Some(6)]), PartialShape::new([n, Some(2), Some(height), Some(width)])]);
    }
    let [height, width] = [2, 3].map(|axis| data.dim(axis).or(out.dim(axis)));
    let both = PartialShape::new([n, Some(2), height, width]);
    Ok([both.clone(), both])
}

fn check(params: &Params) -> Result<()> {
    if grid_is_affine(params) { target(params).map(|_| ()) } else { Ok(()) }
}

/// Places from maps or shifts.
pub(super) struct GridGenerator;

impl Operator for GridGenerator {
    fn name(&self) -> &str {
        "GridGenerator"
    }

    fn doc(&self) -> &str {
        "Places (x, y), where -1 is the first pixel of an axis and 1 the last. affine: output[n, :, i, j] = data[n] (2 x 3, in a row \
         of 6) times (x, y, 1) of pixel i, j of the target shape. warp: the place of pixel i, j moved by data[n, :, i, j] = (x, y), \
         in pixels."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn check(&self, params: &Params) -> Result<()> {
        check(params)
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        let [data, out] = shapes(params, s.input(0), s.output(0))?;
        s.set_input(0, data, "from transform_type")?;
        s.set_output(0, out, &format!("from data {}", s.input(0)))
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let inputs = [grad.out_grad(0)?];
        grad.backward("_backward_GridGenerator", &inputs, 1)
    }
}

/// Gradient of [`GridGenerator`].
pub(super) struct Backward;

impl Operator for Backward {
    fn name(&self) -> &str {
        "_backward_GridGenerator"
    }

    fn doc(&self) -> &str {
        "affine: d_data = the sum over pixels of out_grad times (x, y, 1). warp: d_data = out_grad over half a pixel's place."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn check(&self, params: &Params) -> Result<()> {
        check(params)
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        vec!["out_grad".to_string()]
    }

    fn outputs(&self, _: &Params) -> Vec<String> {
        vec!["d_data".to_string()]
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        let [data, out] = shapes(params, s.output(0), s.input(0))?;
        s.set_output(0, data, "from transform_type")?;
        s.set_input(0, out, &format!("from d_data {}", s.output(0)))
    }
}
