//! PNG pictures.

use super::{Image, check_size};
use png::{ColorType, Decoder, Limits, Transformations};
use std::io::Cursor;
use varflow_ops::{Error, Result};

/// Deflate cannot pack more than this many bytes into one (258 bytes in two bits of code).
const MAX_DEFLATE_RATIO: u64 = 1032;

/// Decodes a PNG picture, as [`Image::decode`] says.
pub(super) fn decode(name: &str, bytes: &[u8]) -> Result<Image> {
    let broken = |e: png::DecodingError| Error::Data(format!("{name}: not an intact PNG picture: {e}"));
    let most = (bytes.len() as u64).saturating_mul(MAX_DEFLATE_RATIO);
    let limits = Limits { bytes: usize::try_from(most).unwrap_or(usize::MAX) };
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), limits);
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let info = decoder.read_header_info().map_err(broken)?;
    let (width, height) = (info.width, info.height);
    // A pixel takes one bit at least, so that a byte of packed data unfolds to 8 · 1032 pixels at most.
    let each = (8 * MAX_DEFLATE_RATIO) / info.bits_per_pixel().max(1) as u64;
    check_size(name, u64::from(width), u64::from(height), bytes, each)?;
    let mut reader = decoder.read_info().map_err(broken)?;
    let too_large = || Error::Data(format!("{name}: there is no memory for {width} by {height} pixels"));
    let len = reader.output_buffer_size().ok_or_else(too_large)?;
    let mut pixels = Vec::new();
    pixels.try_reserve_exact(len).map_err(|_| too_large())?;
    pixels.resize(len, 0);
    let frame = reader.next_frame(&mut pixels).map_err(broken)?;
    pixels.truncate(frame.buffer_size());
    let (channels, pixels) = match frame.color_type {
        ColorType::Grayscale => (1, pixels),
        ColorType::GrayscaleAlpha => (1, without_alpha::<2>(&pixels)),
        ColorType::Rgb => (3, pixels),
        ColorType::Rgba => (3, without_alpha::<4>(&pixels)),
        ColorType::Indexed => return Err(Error::Data(format!("{name}: the palette is missing"))),
    };
    Image::new(frame.width as usize, frame.height as usize, channels, pixels).map_err(|e| e.at(name))
}

/// Lays pixels of `N` bytes, the last of them alpha, over black.
fn without_alpha<const N: usize>(pixels: &[u8]) -> Vec<u8> {
    let over_black = |value: u8, alpha: u8| ((u32::from(value) * u32::from(alpha) + 127) / 255) as u8;
    let pixels = pixels.chunks_exact(N);
    pixels.flat_map(|p| p[..N - 1].iter().map(|v| over_black(*v, p[N - 1]))).collect()
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

    fn decoded(color: ColorType, depth: BitDepth, palette: Option<&[u8]>, data: &[u8]) -> (usize, Vec<u8>) {
        let image = decode("f", &encode(color, depth, palette, (2, 1), data)).unwrap();
        assert_eq!((image.width(), image.height()), (2, 1));
        (image.channels(), image.pixels().to_vec())
    }

    #[test]
    fn every_colour_type() {
        use BitDepth::{Eight, One, Sixteen};
        assert_eq!(decoded(ColorType::Grayscale, Eight, None, &[7, 200]), (1, vec![7, 200]));
        assert_eq!(decoded(ColorType::Grayscale, One, None, &[0b0100_0000]), (1, vec![0, 255]));
        assert_eq!(decoded(ColorType::Grayscale, Sixteen, None, &[7, 255, 200, 0]), (1, vec![7, 200]));
        assert_eq!(decoded(ColorType::GrayscaleAlpha, Eight, None, &[200, 255, 200, 51]), (1, vec![200, 40]));
        let rgb = [255, 0, 0, 0, 255, 255];
        assert_eq!(decoded(ColorType::Rgb, Eight, None, &rgb), (3, rgb.to_vec()));
        let rgba = [9, 8, 7, 255, 255, 255, 255, 0];
        assert_eq!(decoded(ColorType::Rgba, Eight, None, &rgba), (3, vec![9, 8, 7, 0, 0, 0]));
        let palette = [1, 2, 3, 80, 81, 82];
        assert_eq!(decoded(ColorType::Indexed, Eight, Some(&palette), &[1, 0]), (3, vec![80, 81, 82, 1, 2, 3]));
    }

    #[test]
    fn says_what_is_wrong() {
        let whole = encode(ColorType::Rgb, BitDepth::Eight, None, (20, 20), &[5; 1200]);
        for bytes in [&whole[..8], &whole[..whole.len() / 2]] {
            let told = decode("f.png", bytes).unwrap_err().to_string();
            assert!(told.starts_with("f.png: not an intact PNG picture: "), "{told}");
        }
        let mut vast = whole;
        vast[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
        let crc = crc32(&vast[12..29]).to_be_bytes();
        vast[29..33].copy_from_slice(&crc);
        let told = decode("f.png", &vast).unwrap_err().to_string();
        assert!(told.starts_with("f.png: found 2147483647 by 2147483647 pixels, wanted no more than"), "{told}");
    }

    fn crc32(bytes: &[u8]) -> u32 {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum()
    }
}
