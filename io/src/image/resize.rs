//! Pictures of another size: each new pixel is a weighted mean of old ones, first along rows, then along columns.

use super::Image;
use std::f64::consts::PI;
use std::fmt;
use std::str::FromStr;
use varflow_ops::{Error, Result};

/// How a new pixel follows from the old ones around it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Filter {
    /// The nearest pixel.
    Nearest,
    /// A triangle, one pixel to either side.
    #[default]
    Bilinear,
    /// Keys's cubic, two pixels to either side, with a = -0.5 when antialiasing as in Pillow, else with a = -0.75 as in
    /// OpenCV.
    Bicubic,
    /// The mean of what is covered, in proportion.
    Area,
    /// Lanczos's windowed sinc, three pixels to either side.
    Lanczos,
}

impl Filter {
    /// Every filter.
    pub const ALL: [Filter; 5] = [Filter::Nearest, Filter::Bilinear, Filter::Bicubic, Filter::Area, Filter::Lanczos];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Filter::Nearest => "nearest",
            Filter::Bilinear => "bilinear",
            Filter::Bicubic => "bicubic",
            Filter::Area => "area",
            Filter::Lanczos => "lanczos",
        }
    }

    /// How many old pixels to either side count at least, and how much one counts at a distance.
    fn kernel(self, antialias: bool) -> (f64, fn(f64) -> f64) {
        match self {
            Filter::Bilinear => (1.0, |x| (1.0 - x).max(0.0)),
            Filter::Bicubic if antialias => (2.0, |x| cubic(x, -0.5)),
            Filter::Bicubic => (2.0, |x| cubic(x, -0.75)),
            Filter::Lanczos => (3.0, |x| if x < 3.0 { sinc(x) * sinc(x / 3.0) } else { 0.0 }),
            Filter::Nearest | Filter::Area => (0.5, |x| if x <= 0.5 { 1.0 } else { 0.0 }),
        }
    }
}

/// R. G. Keys, "Cubic convolution interpolation for digital image processing" (1981), at a distance `x`.
fn cubic(x: f64, a: f64) -> f64 {
    if x < 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
    } else {
        0.0
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { (PI * x).sin() / (PI * x) }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Filter {
    type Err = Error;

    fn from_str(text: &str) -> Result<Filter> {
        let found = Filter::ALL.into_iter().find(|f| f.name() == text);
        found.ok_or_else(|| {
            let names = Filter::ALL.map(Filter::name).join(", ");
            Error::Param(format!("there is no filter \"{text}\": wanted one of {names}"))
        })
    }
}

impl Image {
    /// The picture in another size, without regard to its proportions.
    ///
    /// With `antialias` a picture that shrinks has the filter widened, so that every old pixel counts: as Pillow resizes.
    /// Without, the filter looks at the nearest old pixels only: as OpenCV does, and so MXNet, whose `interp` of 1 is
    /// [`Filter::Bilinear`], 2 [`Filter::Bicubic`] and, where both sides shrink, 3 [`Filter::Area`]. That one and
    /// [`Filter::Nearest`], which is Pillow's, are the same either way.
    ///
    /// # Errors
    /// A size of 0 or of more than 2²⁸ pixels.
    pub fn resize(&self, width: usize, height: usize, filter: Filter, antialias: bool) -> Result<Image> {
        if (width, height) == (self.width, self.height) {
            return Ok(self.clone());
        }
        let most = super::MAX_PIXELS;
        let refuse = || {
            let wanted = format!("wanted at least 1×1 and at most {most} pixels");
            Error::Param(format!("a picture cannot be resized to {width}×{height}: {wanted}"))
        };
        let fits = (width as u64).checked_mul(height as u64).is_some_and(|n| n > 0 && n <= most);
        let between = (width as u64).checked_mul(self.height as u64);
        if !fits || between.is_none_or(|n| n > most) {
            return Err(refuse());
        }
        let rows = along_rows(self, &Taps::new(self.width, width, filter, antialias));
        let pixels = along_columns(&rows, &Taps::new(self.height, height, filter, antialias));
        Image::new(width, height, self.channels, pixels)
    }
}

/// For each new pixel along an axis, the first old one that counts, and how much it and those after it count.
struct Taps(Vec<(usize, Vec<f32>)>);

impl Taps {
    fn new(old: usize, new: usize, filter: Filter, antialias: bool) -> Taps {
        let step = old as f64 / new as f64;
        let (support, kernel) = filter.kernel(antialias);
        // The kernel is as wide as the new pixel where that is more than an old one.
        let widening = if antialias { step.max(1.0) } else { 1.0 };
        let taps = (0..new).map(|i| {
            let (begin, end) = (i as f64 * step, (i + 1) as f64 * step);
            let middle = (i as f64 + 0.5) * step;
            match filter {
                Filter::Nearest => ((middle as usize).min(old - 1), vec![1.0]),
                Filter::Area => {
                    normalised(old, begin, end, |at| (end.min(at as f64 + 1.0) - begin.max(at as f64)).max(0.0))
                }
                _ => {
                    let reach = support * widening;
                    let weight = |at: usize| kernel((at as f64 + 0.5 - middle).abs() / widening);
                    normalised(old, middle - reach, middle + reach, weight)
                }
            }
        });
        Taps(taps.collect())
    }
}

/// The weights of the pixels between two places, those inside the picture made to sum to 1.
fn normalised(old: usize, begin: f64, end: f64, weight: impl Fn(usize) -> f64) -> (usize, Vec<f32>) {
    let first = (begin.max(0.0) as usize).min(old - 1);
    let last = (end.ceil().max(0.0) as usize).clamp(first + 1, old);
    let weights: Vec<f64> = (first..last).map(weight).collect();
    let sum: f64 = weights.iter().sum();
    (first, weights.iter().map(|w| (w / sum) as f32).collect())
}

fn along_rows(image: &Image, taps: &Taps) -> Image {
    let channels = image.channels;
    let mut pixels = Vec::with_capacity(taps.0.len() * image.height * channels);
    for row in image.pixels.chunks_exact(image.width * channels) {
        for (first, weights) in &taps.0 {
            for channel in 0..channels {
                let values = row[first * channels + channel..].iter().step_by(channels);
                pixels.push(rounded(values.zip(weights).map(|(v, w)| f32::from(*v) * w).sum()));
            }
        }
    }
    Image { width: taps.0.len(), pixels, ..*image }
}

fn along_columns(image: &Image, taps: &Taps) -> Vec<u8> {
    let row_len = image.width * image.channels;
    let mut pixels = Vec::with_capacity(taps.0.len() * row_len);
    let mut sums = vec![0_f32; row_len];
    for (first, weights) in &taps.0 {
        sums.fill(0.0);
        for (row, weight) in image.pixels.chunks_exact(row_len).skip(*first).zip(weights) {
            sums.iter_mut().zip(row).for_each(|(sum, v)| *sum += f32::from(*v) * weight);
        }
        pixels.extend(sums.iter().map(|sum| rounded(*sum)));
    }
    pixels
}

/// To the nearest of 0 to 255.
fn rounded(value: f32) -> u8 {
    (value + 0.5) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[u8]) -> Image {
        Image::new(values.len(), 1, 1, values.to_vec()).unwrap()
    }

    #[test]
    fn filters() {
        let resized = |filter, antialias| row(&[0, 0, 120, 240]).resize(2, 1, filter, antialias).unwrap().pixels;
        assert_eq!(resized(Filter::Area, true), [0, 180]);
        assert_eq!(resized(Filter::Bilinear, false), [0, 180]);
        // The triangle is four pixels wide: weights 3/7, 3/7 and 1/7 of the two pixels and the next.
        assert_eq!(resized(Filter::Bilinear, true), [17, 154]);
        assert_eq!(resized(Filter::Nearest, true), resized(Filter::Nearest, false));
        for filter in Filter::ALL {
            assert_eq!(filter.name().parse::<Filter>().unwrap(), filter);
            let flat = Image::new(5, 4, 3, vec![77; 60]).unwrap().resize(3, 7, filter, true).unwrap();
            assert_eq!(flat, Image::new(3, 7, 3, vec![77; 63]).unwrap(), "{filter}");
        }
        assert!("cubic".parse::<Filter>().unwrap_err().to_string().contains("nearest, bilinear, bicubic"));
    }

    /// What Pillow 13.0 and, for areas and without antialiasing, OpenCV (by MXNet 1.9.1) make of a 12×10 picture of noise.
    #[test]
    fn as_pillow_and_opencv() {
        let noise = (0..120).map(|i| ((i * 97 + i * i * 13) % 251) as u8).collect();
        let noise = Image::new(12, 10, 1, noise).unwrap();
        let check = |filter, antialias, wanted: [u8; 12]| {
            let found = noise.resize(4, 3, filter, antialias).unwrap().pixels;
            let near = found.iter().zip(&wanted).all(|(a, b)| a.abs_diff(*b) <= 1);
            assert!(near, "{filter}, antialias {antialias}: {found:?}, not {wanted:?}");
        };
        check(Filter::Nearest, true, [195, 111, 10, 143, 74, 220, 98, 210, 202, 144, 69, 228]);
        check(Filter::Bilinear, true, [93, 121, 110, 108, 96, 143, 131, 126, 113, 116, 102, 160]);
        check(Filter::Bicubic, true, [88, 123, 106, 106, 93, 152, 132, 121, 114, 111, 102, 162]);
        check(Filter::Area, true, [83, 119, 96, 115, 99, 170, 124, 119, 114, 120, 101, 148]);
        check(Filter::Lanczos, true, [88, 126, 105, 103, 87, 155, 134, 119, 118, 105, 102, 168]);
        check(Filter::Bilinear, false, [164, 110, 40, 119, 74, 128, 166, 186, 170, 124, 60, 230]);
        check(Filter::Bicubic, false, [175, 112, 33, 133, 77, 132, 169, 190, 181, 116, 55, 233]);
    }

    #[test]
    fn sizes_that_cannot_be() {
        for (width, height) in [(0, 1), (1, 0), (1 << 15, 1 << 14), (usize::MAX, usize::MAX)] {
            let told = row(&[1, 2]).resize(width, height, Filter::Area, true).unwrap_err().to_string();
            assert!(told.starts_with(&format!("a picture cannot be resized to {width}×{height}: ")), "{told}");
        }
    }
}
