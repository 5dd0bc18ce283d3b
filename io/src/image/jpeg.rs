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
