//! From a picture to a network's input.

use super::{Filter, Image};
use crate::array::Array;
use varflow_ops::{Error, Result};

/// The size that a picture is brought to before it is cropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resize {
    /// It keeps its own.
    #[default]
    Keep,
    /// The shorter side becomes this long and the proportions stay, the longer side rounded down.
    Short(usize),
    /// Height and width, whatever the proportions.
    Exact(usize, usize),
}

/// How a picture becomes a network's input: resized, cropped from its centre, and each value v of a channel turned into
/// (v - mean) / std · scale, in this order.
///
/// ```
/// use varflow_io::{Image, Preprocess, Resize};
/// let picture = Image::new(4, 2, 3, [30, 20, 10].repeat(8))?;
/// let as_caffe = Preprocess { resize: Resize::Short(2), crop: Some((2, 2)), bgr: true, mean: [10.0; 3], ..Preprocess::default() };
/// let input = as_caffe.apply(picture)?;
/// assert_eq!(input.shape().dims(), [1, 3, 2, 2]);
/// assert_eq!(input.as_slice::<f32>()?, [0., 0., 0., 0., 10., 10., 10., 10., 20., 20., 20., 20.]);
/// # Ok::<(), varflow_io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Preprocess {
    /// The size before cropping.
    pub resize: Resize,
    /// How pixels are found when resizing.
    pub filter: Filter,
    /// Whether all pixels count where a picture shrinks; see [`Image::resize`].
    pub antialias: bool,
    /// Height and width of the part around the centre that is kept. Where it cannot be exactly in the middle it lies half
    /// a pixel further up or left.
    pub crop: Option<(usize, usize)>,
    /// One channel of luma instead of three of colour.
    pub grey: bool,
    /// Channels in the order blue, green, red.
    pub bgr: bool,
    /// What is subtracted from red, green and blue, on the scale of 0 to 255. Of a grey picture the first counts.
    pub mean: [f32; 3],
    /// What red, green and blue are then divided by.
    pub std: [f32; 3],
    /// A factor at the end.
    pub scale: f32,
}

impl Default for Preprocess {
    /// RGB of 0 to 255 in the picture's own size; where it is resized, bilinear as Pillow.
    fn default() -> Self {
        Preprocess {
            resize: Resize::Keep,
            filter: Filter::default(),
            antialias: true,
            crop: None,
            grey: false,
            bgr: false,
            mean: [0.0; 3],
            std: [1.0; 3],
            scale: 1.0,
        }
    }
}

impl Preprocess {
    /// The picture as a `f32` array of shape (1, channels, height, width).
    ///
    /// # Errors
    /// A size that pictures cannot have; a picture smaller than the part to be kept of it.
    pub fn apply(&self, image: Image) -> Result<Array> {
        let image = if self.grey { image.into_grey() } else { image.into_rgb() };
        let image = self.resized(image)?;
        let (height, width) = self.crop.unwrap_or((image.height, image.width));
        if height > image.height || width > image.width || height == 0 || width == 0 {
            let has = format!("a picture of {}×{}", image.height, image.width);
            return Err(Error::Param(format!("{has} has no part of {height}×{width} (height×width)")));
        }
        let (top, left) = ((image.height - height) / 2, (image.width - width) / 2);
        let channels = image.channels;
        let mut values = Vec::with_capacity(channels * height * width);
        for place in 0..channels {
            let channel = if self.bgr { channels - 1 - place } else { place };
            let (mean, factor) = (self.mean[channel], self.scale / self.std[channel]);
            let value = |v: u8| (f32::from(v) - mean) * factor;
            let rows = image.pixels.chunks_exact(image.width * channels).skip(top).take(height);
            for row in rows {
                let kept = &row[left * channels..(left + width) * channels];
                values.extend(kept.chunks_exact(channels).map(|pixel| value(pixel[channel])));
            }
        }
        Array::new([1, channels, height, width], values)
    }

    fn resized(&self, image: Image) -> Result<Image> {
        let (height, width) = match self.resize {
            Resize::Keep => return Ok(image),
            Resize::Exact(height, width) => (height, width),
            Resize::Short(short) => {
                let scaled = |long: usize, by: usize| long.checked_mul(short).map_or(usize::MAX, |n| n / by);
                if image.height > image.width {
                    (scaled(image.height, image.width), short)
                } else {
                    (short, scaled(image.width, image.height))
                }
            }
        };
        image.resize(width, height, self.filter, self.antialias)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn colours(width: usize, height: usize) -> Image {
        let pixels = (0..width * height).flat_map(|i| [i as u8, 100 + i as u8, 200 + i as u8]).collect();
        Image::new(width, height, 3, pixels).unwrap()
    }

    fn values(how: &Preprocess, image: Image) -> (Vec<usize>, Vec<f32>) {
        let array = how.apply(image).unwrap();
        (array.shape().dims().to_vec(), array.to_f32())
    }

    #[test]
    fn the_centre_is_kept() {
        let how = Preprocess { crop: Some((1, 2)), ..Preprocess::default() };
        // Rows 0 1 2 3 4 / 5 6 7 8 9; the centre lies between, up and left.
        assert_eq!(values(&how, colours(5, 2)), (vec![1, 3, 1, 2], vec![1., 2., 101., 102., 201., 202.]));
        let grey = Preprocess { grey: true, ..how.clone() };
        assert_eq!(values(&grey, Image::new(3, 1, 1, vec![7, 8, 9]).unwrap()), (vec![1, 1, 1, 2], vec![7., 8.]));
        let told = how.apply(colours(1, 3)).unwrap_err().to_string();
        assert_eq!(told, "a picture of 3×1 has no part of 1×2 (height×width)");
        assert!(Preprocess { crop: Some((0, 1)), ..how }.apply(colours(2, 2)).is_err());
    }

    #[test]
    fn sides_follow_the_shorter_one() {
        let size = |short, width, height| {
            let how = Preprocess { resize: Resize::Short(short), ..Preprocess::default() };
            how.apply(Image::new(width, height, 1, vec![0; width * height]).unwrap()).map(|a| a.shape().dims().to_vec())
        };
        assert_eq!(size(2, 7, 4).unwrap(), [1, 3, 2, 3]);
        assert_eq!(size(2, 4, 7).unwrap(), [1, 3, 3, 2]);
        assert_eq!(size(8, 4, 4).unwrap(), [1, 3, 8, 8]);
        assert!(size(0, 4, 4).is_err() && size(usize::MAX, 4, 5).is_err());
        let how = Preprocess { resize: Resize::Exact(2, 3), grey: true, ..Preprocess::default() };
        assert_eq!(values(&how, colours(6, 4)).0, [1, 1, 2, 3]);
    }

    #[test]
    fn mean_and_std_are_those_of_red_green_and_blue() {
        let how =
            Preprocess { bgr: true, mean: [1.0, 2.0, 3.0], std: [1.0, 2.0, 4.0], scale: 2.0, ..Preprocess::default() };
        let red_green_blue = Image::new(1, 1, 3, vec![11, 22, 43]).unwrap();
        assert_eq!(values(&how, red_green_blue).1, [20.0, 20.0, 20.0]);
        let uneven = Image::new(1, 1, 3, vec![11, 24, 83]).unwrap();
        assert_eq!(values(&how, uneven).1, [40.0, 22.0, 20.0]);
    }
}
