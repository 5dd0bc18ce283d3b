//! `BilinearSampler`: images seen through a grid of places.

use crate::{Entry, Gradient, Kind, Operator, Params, PartialShape, Result, Schema, Shapes, Value};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> =
    LazyLock::new(|| Schema::new().param("cudnn_off", Kind::Bool, Some(Value::None), "Without effect."));

/// Images at places between pixels.
pub(super) struct BilinearSampler;

/// Tells of data (`data`), grid and output what they tell of each other.
fn sampled(data: &PartialShape, grid: &PartialShape, out: &PartialShape) -> [PartialShape; 3] {
    let images = data.dim(0).or(grid.dim(0)).or(out.dim(0));
    let channels = data.dim(1).or(out.dim(1));
    let [height, width] = [2, 3].map(|axis| grid.dim(axis).or(out.dim(axis)));
    [
        PartialShape::new([images, channels, None, None]),
        PartialShape::new([images, Some(2), height, width]),
        PartialShape::new([images, channels, height, width]),
    ]
}

impl Operator for BilinearSampler {
    fn name(&self) -> &str {
        "BilinearSampler"
    }

    fn doc(&self) -> &str {
        "output[n, c, i, j] = data[n, c] at the place x = grid[n, 0, i, j], y = grid[n, 1, i, j], where -1 is the first pixel of an \
         axis and 1 the last; between pixels it is bilinear, outside of the image pixels are 0. data (N, C, H, W), grid \
         (N, 2, H', W'). Jaderberg et al., Spatial Transformer Networks, arXiv:1506.02025."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        ["data", "grid"].map(String::from).to_vec()
    }

    fn infer_shape(&self, _: &Params, s: &mut Shapes) -> Result<()> {
        let [data, grid, out] = sampled(s.input(0), s.input(1), s.output(0));
        s.set_input(0, data, "of images (N, C, H, W)")?;
        s.set_input(1, grid, &format!("of places (N, 2, H', W') for data {}", s.input(0)))?;
        s.set_output(0, out, &format!("from data {} and grid {}", s.input(0), s.input(1)))
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let inputs = [grad.out_grad(0)?, grad.inputs[0], grad.inputs[1]];
        grad.backward("_backward_BilinearSampler", &inputs, 2)
    }
}

/// Gradients of [`BilinearSampler`].
pub(super) struct Backward;

impl Operator for Backward {
    fn name(&self) -> &str {
        "_backward_BilinearSampler"
    }

    fn doc(&self) -> &str {
        "d_data: each pixel's sum of out_grad by its weight; d_grid: the slopes of data by the place, times out_grad."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        ["out_grad", "data", "grid"].map(String::from).to_vec()
    }

    fn outputs(&self, _: &Params) -> Vec<String> {
        ["d_data", "d_grid"].map(String::from).to_vec()
    }

    fn infer_shape(&self, _: &Params, s: &mut Shapes) -> Result<()> {
        s.same(&[1], &[0])?;
        s.same(&[2], &[1])?;
        let [data, grid, out] = sampled(s.input(1), s.input(2), s.input(0));
        s.set_input(1, data, "of images (N, C, H, W)")?;
        s.set_input(2, grid, &format!("of places (N, 2, H', W') for data {}", s.input(1)))?;
        s.set_input(0, out, &format!("from data {} and grid {}", s.input(1), s.input(2)))
    }
}
