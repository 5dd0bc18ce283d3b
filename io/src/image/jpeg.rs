//! JPEG pictures.

use super::{Image, check_size};
use std::io::Cursor;
use varflow_ops::{Error, Result};
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

/// The first scan has one bit at least for each block of 8×8 pixels.
const MAX_PIXELS_A_BYTE: u64 = 8 * 64;
/// Progressive pictures have about ten scans; each takes the time of a decoding.
const MAX_SCANS: usize = 100;

/// Decodes a JPEG picture, as [`Image::decode`] says.
pub(super) fn decode(name: &str, bytes: &[u8]) -> Result<Image> {
    let broken = |e: zune_jpeg::errors::DecodeErrors| {
        let text = format!("{e:?}");
        Error::Data(format!("{name}: not an intact JPEG picture: {}", text.trim()))
    };
    let options = DecoderOptions::default()
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX))
        .jpeg_set_max_scans(MAX_SCANS)
        .set_strict_mode(true);
    let mut decoder = JpegDecoder::new_with_options(Cursor::new(bytes), options);
    decoder.decode_headers().map_err(broken)?;
    let missing = || Error::Data(format!("{name}: not an intact JPEG picture: it has no frame"));
    let (width, height) = decoder.dimensions().ok_or_else(missing)?;
    check_size(name, width as u64, height as u64, bytes, MAX_PIXELS_A_BYTE)?;
    let is_grey = decoder.input_colorspace() == Some(ColorSpace::Luma);
    let (channels, space) = if is_grey { (1, ColorSpace::Luma) } else { (3, ColorSpace::RGB) };
    decoder.set_options(options.jpeg_set_out_colorspace(space));
    let pixels = decoder.decode().map_err(broken)?;
    Image::new(width, height, channels, pixels).map_err(|e| e.at(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLOUR: &[u8] = include_bytes!("../../tests/pictures/colour.jpg");

    /// 40×24: the left 16 columns of one colour, the others of another, each within what quality 95 changes.
    fn check(bytes: &[u8], left: &[u8], right: &[u8]) {
        let image = decode("f.jpg", bytes).unwrap();
        assert_eq!((image.width(), image.height(), image.channels()), (40, 24, left.len()));
        let n = left.len();
        for (column, wanted) in [(4, left), (30, right)] {
            let found = &image.pixels()[(12 * 40 + column) * n..][..n];
            assert!(found.iter().zip(wanted).all(|(a, b)| a.abs_diff(*b) <= 3), "{found:?}, not {wanted:?}");
        }
    }

    #[test]
    fn grey_and_colour() {
        check(include_bytes!("../../tests/pictures/grey.jpg"), &[50], &[200]);
        let (red, blue) = ([200, 40, 10], [20, 60, 180]);
        check(COLOUR, &red, &blue);
        check(include_bytes!("../../tests/pictures/progressive.jpg"), &red, &blue);
        // EXIF asks for a quarter turn.
        check(include_bytes!("../../tests/pictures/turned.jpg"), &red, &blue);
    }

    #[test]
    fn says_what_is_wrong() {
        for len in [3, 20, 300, COLOUR.len() / 2] {
            let told = decode("f.jpg", &COLOUR[..len]).unwrap_err().to_string();
            assert!(told.starts_with("f.jpg: not an intact JPEG picture: "), "{len}: {told}");
        }
        let frame = COLOUR.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
        let mut vast = COLOUR.to_vec();
        vast[frame + 5..frame + 9].copy_from_slice(&[0xff; 4]);
        let told = decode("f.jpg", &vast).unwrap_err().to_string();
        assert!(told.starts_with("f.jpg: found 65535 by 65535 pixels, wanted no more than"), "{told}");
    }
}
