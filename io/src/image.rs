//! Pictures: decoded, resized, and brought into the form in which a network takes them.

mod jpeg;
mod png;
mod preprocess;
mod resize;

pub use preprocess::{Preprocess, Resize};
pub use resize::Filter;

use crate::array::Array;
use std::path::Path;
use varflow_ops::{Error, Result};

/// No picture may have more pixels, whatever its file says: four times those of the largest cameras.
const MAX_PIXELS: u64 = 1 << 28;

/// A picture of 8-bit grey or RGB pixels, rows from the top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    width: usize,
    height: usize,
    channels: usize,
    pixels: Vec<u8>,
}

impl Image {
    /// A picture of these pixels, the channels of each beside each other.
    ///
    /// # Errors
    /// A width or height of 0; channels other than 1 (grey) or 3 (red, green, blue); another number of bytes than the
    /// product of the three.
    pub fn new(width: usize, height: usize, channels: usize, pixels: Vec<u8>) -> Result<Image> {
        if width == 0 || height == 0 || !matches!(channels, 1 | 3) {
            let wanted = "wanted at least 1×1 and 1 or 3 channels";
            return Err(Error::Data(format!("a picture of {width}×{height} with {channels} channels: {wanted}")));
        }
        let len = width.checked_mul(height).and_then(|n| n.checked_mul(channels));
        if len != Some(pixels.len()) {
            let found = pixels.len();
            return Err(Error::Data(format!(
                "a picture of {width}×{height} with {channels} channels cannot be {found} bytes"
            )));
        }
        Ok(Image { width, height, channels, pixels })
    }

    /// Reads a JPEG or PNG file, told apart by their first bytes; see [`decode`](Self::decode).
    ///
    /// # Errors
    /// A file that cannot be read; as [`decode`](Self::decode).
    pub fn read(path: impl AsRef<Path>) -> Result<Image> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|e| Error::io(format!("cannot read {name}"), e))?;
        Image::decode(&name, &bytes)
    }

    /// Decodes a JPEG or PNG picture. `name` is what errors call it.
    ///
    /// Grey stays grey, everything else becomes RGB. Transparent pixels are laid over black, of 16-bit samples the upper
    /// byte is kept, of animations the first picture. Colour profiles, gamma and the orientation that EXIF data may ask
    /// for are not applied.
    ///
    /// # Errors
    /// What is neither JPEG nor PNG; a damaged or truncated picture; one of more pixels than its bytes can hold, or more
    /// than 2²⁸. The memory taken is bounded by the number of bytes.
    pub fn decode(name: &str, bytes: &[u8]) -> Result<Image> {
        match bytes {
            [0xff, 0xd8, 0xff, ..] => jpeg::decode(name, bytes),
            [0x89, b'P', b'N', b'G', ..] => png::decode(name, bytes),
            _ => {
                let head = &bytes[..bytes.len().min(4)];
                Err(Error::Data(format!("{name} begins with the bytes {head:02x?}: wanted a JPEG or PNG picture")))
            }
        }
    }

    /// Whether a file that begins with these bytes is a picture that [`decode`](Self::decode) takes.
    #[must_use]
    pub fn is_known(head: &[u8]) -> bool {
        head.starts_with(&[0xff, 0xd8, 0xff]) || head.starts_with(b"\x89PNG")
    }

    /// Pixels in a row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// 1 for grey, 3 for RGB.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The pixels, row by row, the channels of each beside each other.
    #[must_use]
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The picture in grey: luma of ITU-R BT.601, 0.299 R + 0.587 G + 0.114 B.
    #[must_use]
    pub fn into_grey(self) -> Image {
        match self.channels {
            1 => self,
            _ => {
                let pixels = self.pixels.chunks_exact(3).map(|p| luma(p[0], p[1], p[2])).collect();
                Image { channels: 1, pixels, ..self }
            }
        }
    }

    /// The picture with three channels; grey is repeated.
    #[must_use]
    pub fn into_rgb(self) -> Image {
        match self.channels {
            3 => self,
            _ => {
                let pixels = self.pixels.iter().flat_map(|v| [*v; 3]).collect();
                Image { channels: 3, pixels, ..self }
            }
        }
    }

    /// A grey picture as a `u8` array of shape (height, width), an RGB one of shape (height, width, 3).
    ///
    /// # Errors
    /// None that is known.
    pub fn into_array(self) -> Result<Array> {
        match self.channels {
            1 => Array::new([self.height, self.width], self.pixels),
            n => Array::new([self.height, self.width, n], self.pixels),
        }
    }
}

/// BT.601 in 16 bits of fraction; the weights sum to 65536, so that grey stays what it is.
fn luma(r: u8, g: u8, b: u8) -> u8 {
    ((u32::from(r) * 19595 + u32::from(g) * 38470 + u32::from(b) * 7471 + 0x8000) >> 16) as u8
}

/// Refuses a picture that its bytes cannot hold when each holds `most_each` pixels at the most, before there is memory
/// for it.
fn check_size(name: &str, width: u64, height: u64, bytes: &[u8], most_each: u64) -> Result<()> {
    let most = (bytes.len() as u64).saturating_mul(most_each);
    let pixels = width.saturating_mul(height);
    if pixels <= most.min(MAX_PIXELS) {
        return Ok(());
    }
    let wanted = if most < MAX_PIXELS {
        format!("no more than {} bytes can hold", bytes.len())
    } else {
        format!("at most {MAX_PIXELS} pixels")
    };
    Err(Error::Data(format!("{name}: found {width} by {height} pixels, wanted {wanted}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grey_and_colour_become_each_other() {
        assert!((0..=255).all(|v| luma(v, v, v) == v));
        let rgb = Image::new(2, 1, 3, vec![255, 0, 0, 0, 255, 255]).unwrap();
        // 0.299 · 255 = 76.2, 0.587 · 255 + 0.114 · 255 = 178.8
        let grey = rgb.into_grey();
        assert_eq!(grey.pixels(), [76, 179]);
        assert_eq!(grey.clone().into_array().unwrap().shape().dims(), [1, 2]);
        let rgb = grey.into_rgb();
        assert_eq!((rgb.channels(), rgb.pixels()), (3, &[76, 76, 76, 179, 179, 179][..]));
        assert_eq!(rgb.into_array().unwrap().shape().dims(), [1, 2, 3]);
    }

    #[test]
    fn says_what_is_no_picture() {
        let told = Image::decode("f", b"GIF89a").unwrap_err().to_string();
        assert_eq!(told, "f begins with the bytes [47, 49, 46, 38]: wanted a JPEG or PNG picture");
        assert!(Image::decode("f", &[]).is_err());
        assert!(Image::read("/no/such.png").unwrap_err().to_string().starts_with("cannot read /no/such.png"));
        let told = Image::new(2, 2, 3, vec![0; 11]).unwrap_err().to_string();
        assert_eq!(told, "a picture of 2×2 with 3 channels cannot be 11 bytes");
        assert!(Image::new(0, 2, 3, vec![]).is_err() && Image::new(2, 2, 4, vec![0; 16]).is_err());
        assert!(Image::new(usize::MAX, 2, 3, vec![]).is_err());
    }
}
