//! PNG pictures as grey arrays, for prediction on pictures of one's own.

use crate::array::Array;
use png::{ColorType, Decoder, Limits, Transformations};
use std::io::Cursor;
use std::path::Path;
use varflow_ops::{Error, Result};

/// Deflate cannot pack more than this many bytes into one (258 bytes in two bits of code).
const MAX_DEFLATE_RATIO: u64 = 1032;

/// Reads a PNG file as a grey `u8` array of shape (height, width).
///
/// Colour becomes luma (ITU-R BT.601: 0.299 R + 0.587 G + 0.114 B), transparent pixels are laid over black, of 16-bit
/// samples the upper byte is kept, of animations the first picture. Colour profiles and gamma are not applied.
///
/// # Errors
/// A file that cannot be read or is not an intact PNG. The memory taken is bounded by the size of the file.
pub fn read_png_grey(path: impl AsRef<Path>) -> Result<Array> {
    let path = path.as_ref();
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|e| Error::io(format!("cannot read {name}"), e))?;
    decode_png_grey(&name, &bytes)
}

/// Reads a PNG from memory, as [`read_png_grey`]. `name` is what errors call it.
///
/// # Errors
/// As [`read_png_grey`].
pub fn decode_png_grey(name: &str, bytes: &[u8]) -> Result<Array> {
    let broken = |e: png::DecodingError| Error::Data(format!("{name}: not an intact PNG picture: {e}"));
    let most = (bytes.len() as u64).saturating_mul(MAX_DEFLATE_RATIO);
    let limits = Limits { bytes: usize::try_from(most).unwrap_or(usize::MAX) };
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), limits);
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let info = decoder.read_header_info().map_err(broken)?;
    let (width, height) = (info.width, info.height);
    let bits = u128::from(width) * u128::from(height) * info.bits_per_pixel() as u128;
    if bits / 8 > u128::from(most) {
        let len = bytes.len();
        return Err(Error::Data(format!(
            "{name}: at byte 16: found {width} by {height} pixels, wanted no more than {len} bytes can hold"
        )));
    }
    let mut reader = decoder.read_info().map_err(broken)?;
    let too_large = || Error::Data(format!("{name}: there is no memory for {width} by {height} pixels"));
    let len = reader.output_buffer_size().ok_or_else(too_large)?;
    let mut pixels = Vec::new();
    pixels.try_reserve_exact(len).map_err(|_| too_large())?;
    pixels.resize(len, 0);
    let frame = reader.next_frame(&mut pixels).map_err(broken)?;
    pixels.truncate(frame.buffer_size());
    let grey = match frame.color_type {
        ColorType::Grayscale => pixels,
        ColorType::GrayscaleAlpha => pixels.chunks_exact(2).map(|p| over_black(p[0], p[1])).collect(),
        ColorType::Rgb => pixels.chunks_exact(3).map(|p| luma(p[0], p[1], p[2])).collect(),
        ColorType::Rgba => pixels.chunks_exact(4).map(|p| over_black(luma(p[0], p[1], p[2]), p[3])).collect(),
        ColorType::Indexed => return Err(Error::Data(format!("{name}: the palette is missing"))),
    };
    Array::new([frame.height as usize, frame.width as usize], grey).map_err(|e| e.at(name))
}

/// BT.601 in 16 bits of fraction; the weights sum to 65536, so that grey stays what it is.
fn luma(r: u8, g: u8, b: u8) -> u8 {
    ((u32::from(r) * 19595 + u32::from(g) * 38470 + u32::from(b) * 7471 + 0x8000) >> 16) as u8
}

fn over_black(grey: u8, alpha: u8) -> u8 {
    ((u32::from(grey) * u32::from(alpha) + 127) / 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use png::{BitDepth, Encoder};

    fn encode(color: ColorType, depth: BitDepth, palette: Option<&[u8]>, size: (u32, u32), data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut encoder = Encoder::new(&mut out, size.0, size.1);
        encoder.set_color(color);
        encoder.set_depth(depth);
        if let Some(palette) = palette {
            encoder.set_palette(palette.to_vec());
        }
        encoder.write_header().unwrap().write_image_data(data).unwrap();
        out
    }

    fn grey(color: ColorType, depth: BitDepth, palette: Option<&[u8]>, data: &[u8]) -> Vec<u8> {
        let a = decode_png_grey("f", &encode(color, depth, palette, (2, 1), data)).unwrap();
        assert_eq!(a.shape().dims(), [1, 2]);
        a.as_slice::<u8>().unwrap().to_vec()
    }

    #[test]
    fn every_colour_type_becomes_grey() {
        use BitDepth::{Eight, One, Sixteen};
        assert_eq!(grey(ColorType::Grayscale, Eight, None, &[7, 200]), [7, 200]);
        assert_eq!(grey(ColorType::Grayscale, One, None, &[0b0100_0000]), [0, 255]);
        assert_eq!(grey(ColorType::Grayscale, Sixteen, None, &[7, 255, 200, 0]), [7, 200]);
        assert_eq!(grey(ColorType::GrayscaleAlpha, Eight, None, &[200, 255, 200, 51]), [200, 40]);
        // 0.299 · 255 = 76.2, 0.587 · 255 + 0.114 · 255 = 178.8
        assert_eq!(grey(ColorType::Rgb, Eight, None, &[255, 0, 0, 0, 255, 255]), [76, 179]);
        assert_eq!(grey(ColorType::Rgba, Eight, None, &[9, 9, 9, 255, 255, 255, 255, 0]), [9, 0]);
        assert_eq!(grey(ColorType::Indexed, Eight, Some(&[1, 1, 1, 80, 80, 80]), &[1, 0]), [80, 1]);
        assert!((0..=255).all(|v| luma(v, v, v) == v && over_black(v, 255) == v));
    }

    #[test]
    fn says_what_is_wrong() {
        let whole = encode(ColorType::Rgb, BitDepth::Eight, None, (20, 20), &[5; 1200]);
        for bytes in [&b"GIF89a"[..], &[], &whole[..whole.len() / 2]] {
            let told = decode_png_grey("f.png", bytes).unwrap_err().to_string();
            assert!(told.starts_with("f.png: not an intact PNG picture: "), "{told}");
        }
        let mut vast = whole;
        vast[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
        let crc = crc32(&vast[12..29]).to_be_bytes();
        vast[29..33].copy_from_slice(&crc);
        let told = decode_png_grey("f.png", &vast).unwrap_err().to_string();
        assert!(told.contains("at byte 16: found 2147483647 by 2147483647 pixels"), "{told}");
        assert!(read_png_grey("/no/such.png").unwrap_err().to_string().starts_with("cannot read /no/such.png"));
    }

    fn crc32(bytes: &[u8]) -> u32 {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum()
    }
}
