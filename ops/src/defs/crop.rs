//! `Crop`: a window of images, of a given size or that of other images.

use super::like::Backward as LikeBackward;
use crate::{Entry, Error, Gradient, Operator, Params, PartialShape, Result, Schema, Shape, Shapes};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new()
        .int("num_args", 1..=2, None, "Number of inputs: data, and images of the size that is wanted.")
        .tuple("offset", Some(&[0, 0]), "Row and column where the window begins.")
        .tuple("h_w", Some(&[0, 0]), "With one input: height and width of the window.")
        .bool("center_crop", Some(false), "The window is in the middle; offset is without effect.")
});

fn pair(params: &Params, name: &str) -> Result<[usize; 2]> {
    let size = |i: usize| params.tuple(name).get(i).and_then(|v| usize::try_from(*v).ok());
    let refuse = || Error::Param(format!("parameter \"{name}\" is {}, wanted two sizes", params.value(name)));
    match (params.tuple(name).len(), size(0), size(1)) {
        (2, Some(h), Some(w)) => Ok([h, w]),
        _ => Err(refuse()),
    }
}

/// The row and column of data where the window of a `Crop` begins.
///
/// # Errors
/// [`Error::Shape`] when the window does not lie within data.
pub fn crop_origin(params: &Params, data: &Shape, out: &Shape) -> Result<[usize; 2]> {
    let refuse =
        || Error::Shape(format!("data has shape {data}, wanted 4 axes with room for a window of the output {out}"));
    let (&[n, c, h, w], &[on, oc, oh, ow]) = (data.dims(), out.dims()) else { return Err(refuse()) };
    if (n, c) != (on, oc) {
        return Err(refuse());
    }
    let [y, x] = if params.bool("center_crop") {
        [h.checked_sub(oh).ok_or_else(refuse)? / 2, w.checked_sub(ow).ok_or_else(refuse)? / 2]
    } else {
        pair(params, "offset")?
    };
    let fits = |at: usize, size: usize, len: usize| at.checked_add(size).is_some_and(|end| end <= len);
    if fits(y, oh, h) && fits(x, ow, w) { Ok([y, x]) } else { Err(refuse()) }
}

/// A window of images.
pub(super) struct Crop;

impl Operator for Crop {
    fn name(&self) -> &str {
        "Crop"
    }

    fn doc(&self) -> &str {
        "output[n, c, i, j] = data[n, c, y + i, x + j]: a window of data (N, C, H, W) of size h_w, or as large as the images of \
         the second input, whose values are not read."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn check(&self, params: &Params) -> Result<()> {
        pair(params, "offset")?;
        let size = pair(params, "h_w")?;
        if params.usize("num_args") == 1 && size.contains(&0) {
            return Err(Error::Param(format!("parameter \"h_w\" is {}, wanted sizes above 0", params.value("h_w"))));
        }
        Ok(())
    }

    fn inputs(&self, params: &Params) -> Vec<String> {
        (0..params.usize("num_args")).map(|i| format!("arg{i}")).collect()
    }

    fn is_variadic(&self) -> bool {
        true
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        let size = match params.usize("num_args") {
            1 => pair(params, "h_w")?.map(Some),
            _ => {
                s.set_input(1, PartialShape::new([None; 4]), "from Crop")?;
                [s.input(1).dim(2), s.input(1).dim(3)]
            }
        };
        s.set_input(0, PartialShape::new([None; 4]), "from Crop")?;
        let out = PartialShape::new([s.input(0).dim(0), s.input(0).dim(1), size[0], size[1]]);
        s.set_output(0, out, &format!("from arg0 {} and the size of the window", s.input(0)))?;
        match (s.known(0), s.output(0).known()) {
            (Some(data), Some(out)) => crop_origin(params, &data, &out).map(|_| ()),
            _ => Ok(()),
        }
    }

    fn is_cheap(&self, _: &Params) -> bool {
        true
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let inputs = [grad.out_grad(0)?];
        let mut grads = grad.backward("_backward_Crop", &inputs, 1)?;
        grads.resize(grad.inputs.len(), None);
        Ok(grads)
    }
}

/// Its gradient.
pub(super) const BACKWARD: LikeBackward =
    LikeBackward { name: "_backward_Crop", doc: "d_data = out_grad inside the window, 0 elsewhere.", schema: &SCHEMA };
