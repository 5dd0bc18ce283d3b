//! Pictures of another size.

use super::Image;
use fast_image_resize::images::Image as Buffer;
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
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
    /// Catmull and Rom's cubic (a = -0.5), two pixels to either side. OpenCV's has a = -0.75, and so differs.
    Bicubic,
    /// The mean of the pixels covered; the nearest pixel where the picture grows.
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

    fn algorithm(self, antialias: bool) -> ResizeAlg {
        let sampled = if antialias { ResizeAlg::Convolution } else { ResizeAlg::Interpolation };
        match self {
            Filter::Nearest => ResizeAlg::Nearest,
            Filter::Bilinear => sampled(FilterType::Bilinear),
            Filter::Bicubic => sampled(FilterType::CatmullRom),
            Filter::Area => ResizeAlg::Convolution(FilterType::Box),
            Filter::Lanczos => sampled(FilterType::Lanczos3),
        }
    }
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
    /// Without, the filter looks at the nearest old pixels only: as OpenCV's `INTER_LINEAR` and so MXNet's `interp=1` do
    /// for [`Filter::Bilinear`]. [`Filter::Nearest`] and [`Filter::Area`] (OpenCV's `INTER_AREA` where both sides shrink
    /// by whole factors) are the same either way.
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
        let side = |n: usize| u32::try_from(n).ok().filter(|_| fits).ok_or_else(refuse);
        let kind = if self.channels == 1 { PixelType::U8 } else { PixelType::U8x3 };
        let failed = |e: &dyn fmt::Display| Error::Data(format!("cannot resize a picture: {e}"));
        let from =
            fast_image_resize::images::ImageRef::new(side_of(self.width)?, side_of(self.height)?, &self.pixels, kind)
                .map_err(|e| failed(&e))?;
        let mut to = Buffer::new(side(width)?, side(height)?, kind);
        let options = ResizeOptions::new().resize_alg(filter.algorithm(antialias));
        Resizer::new().resize(&from, &mut to, &options).map_err(|e| failed(&e))?;
        Image::new(width, height, self.channels, to.into_vec())
    }
}

fn side_of(n: usize) -> Result<u32> {
    u32::try_from(n).map_err(|_| Error::Data(format!("a picture of {n} pixels a side is too large")))
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

    /// What Pillow 13.0 and, without antialiasing, OpenCV (by MXNet 1.9.1) make of a 12×10 picture of noise.
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
        check(Filter::Area, true, [85, 113, 95, 117, 93, 168, 122, 122, 120, 118, 99, 146]);
        check(Filter::Lanczos, true, [88, 126, 105, 103, 87, 155, 134, 119, 118, 105, 102, 168]);
        check(Filter::Bilinear, false, [164, 110, 40, 119, 74, 128, 166, 186, 170, 124, 60, 230]);
    }

    #[test]
    fn sizes_that_cannot_be() {
        for (width, height) in [(0, 1), (1, 0), (1 << 15, 1 << 14), (usize::MAX, usize::MAX)] {
            let told = row(&[1, 2]).resize(width, height, Filter::Area, true).unwrap_err().to_string();
            assert!(told.starts_with(&format!("a picture cannot be resized to {width}×{height}: ")), "{told}");
        }
    }
}
