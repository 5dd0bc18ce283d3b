//! `ROIPooling`: the largest elements of parts of regions of images.

use crate::{DType, DTypes, Entry, Error, Gradient, Operator, Params, PartialShape, Result, Schema, Shapes};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::new().tuple("pooled_size", None, "Height and width of the output.").float(
        "spatial_scale",
        0.0..=1.0,
        None,
        "What the coordinates of regions are multiplied by: pixels of data for one of the image.",
    )
});

/// Height and width of the output of a `ROIPooling`.
///
/// # Errors
/// [`Error::Param`] when they are not two lengths of at least 1.
pub fn pooled_size(params: &Params) -> Result<[usize; 2]> {
    let lens: Vec<_> =
        params.tuple("pooled_size").iter().filter_map(|d| usize::try_from(*d).ok()).filter(|d| *d > 0).collect();
    match (&lens[..], params.tuple("pooled_size").len()) {
        (&[height, width], 2) => Ok([height, width]),
        _ => {
            let size = params.value("pooled_size");
            Err(Error::Param(format!("parameter \"pooled_size\" is {size}, wanted a height and a width of at least 1")))
        }
    }
}

/// Tells of data, rois and pooled what they tell of each other.
fn pooled(params: &Params, data: &PartialShape, rois: &PartialShape) -> Result<[PartialShape; 3]> {
    let [height, width] = pooled_size(params)?;
    let pooled = PartialShape::new([rois.dim(0), data.dim(1), Some(height), Some(width)]);
    Ok([PartialShape::new([None; 4]), PartialShape::new([None, Some(5)]), pooled])
}

/// Regions of images, each pooled to one size.
pub(super) struct RoiPooling;

impl Operator for RoiPooling {
    fn name(&self) -> &str {
        "ROIPooling"
    }

    fn doc(&self) -> &str {
        "The region (n, x1, y1, x2, y2) of image n of data (N, C, H, W), corners included, is cut into pooled_size parts, which \
         may share pixels; output (R, C, height, width) has the largest element of each, 0 where a part lies outside the \
         image. Regions are at least one pixel in size; those of images below 0 are padding, \
         and give 0. Girshick, Fast R-CNN, arXiv:1504.08083."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn check(&self, params: &Params) -> Result<()> {
        pooled_size(params).map(|_| ())
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        ["data", "rois"].map(String::from).to_vec()
    }

    fn outputs(&self, _: &Params) -> Vec<String> {
        ["output", "maxidx"].map(String::from).to_vec()
    }

    fn num_visible_outputs(&self, _: &Params) -> usize {
        1
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        let [data, rois, out] = pooled(params, s.input(0), s.input(1))?;
        s.set_input(0, data, "of images (N, C, H, W)")?;
        s.set_input(1, rois, "of regions (image, x1, y1, x2, y2)")?;
        s.set_output(0, out, &format!("from data {}, rois {} and pooled_size", s.input(0), s.input(1)))?;
        let (regions, channels) = (s.output(0).dim(0), s.output(0).dim(1));
        let why = format!("from output {}", s.output(0));
        s.set_input(0, PartialShape::new([None, channels, None, None]), &why)?;
        s.set_input(1, PartialShape::new([regions, Some(5)]), &why)?;
        s.same(&[], &[0, 1])
    }

    fn infer_dtype(&self, _: &Params, d: &mut DTypes) -> Result<()> {
        d.same(&[0, 1], &[0])?;
        d.set_output(1, DType::I64)
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        let inputs = [grad.out_grad(0)?, grad.inputs[1], grad.outputs[1]];
        Ok(vec![grad.backward("_backward_ROIPooling", &inputs, 1)?[0], None])
    }
}

/// Gradient of [`RoiPooling`].
pub(super) struct Backward;

impl Operator for Backward {
    fn name(&self) -> &str {
        "_backward_ROIPooling"
    }

    fn doc(&self) -> &str {
        "d_data = the sum of out_grad over the parts of regions whose largest element it is, in the order of regions. maxidx is \
         where these are in a channel of an image, -1 for parts outside."
    }

    fn schema(&self) -> &Schema {
        &SCHEMA
    }

    fn check(&self, params: &Params) -> Result<()> {
        pooled_size(params).map(|_| ())
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        ["out_grad", "rois", "maxidx"].map(String::from).to_vec()
    }

    fn outputs(&self, _: &Params) -> Vec<String> {
        vec!["d_data".to_string()]
    }

    fn infer_shape(&self, params: &Params, s: &mut Shapes) -> Result<()> {
        let [data, rois, out] = pooled(params, s.output(0), s.input(1))?;
        s.set_output(0, data, "of images (N, C, H, W)")?;
        s.set_input(1, rois, "of regions (image, x1, y1, x2, y2)")?;
        s.set_input(0, out, &format!("from d_data {}, rois {} and pooled_size", s.output(0), s.input(1)))?;
        s.same(&[0, 2], &[])
    }

    fn infer_dtype(&self, _: &Params, d: &mut DTypes) -> Result<()> {
        d.same(&[0, 1], &[0])?;
        d.set_input(2, DType::I64)
    }
}
