//! Arbitrary and damaged bytes never make a reader panic, and never make it take memory out of proportion to them.
#![expect(unsafe_code, reason = "an allocator that keeps count")]
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::Write;
use varflow_io::{Array, Image, decode_idx, decode_npy, encode_idx, encode_npy};

thread_local! {
    /// Bytes that this thread holds, and the most it held.
    static HELD: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

struct Counting;

fn count(change: isize) {
    let _ = HELD.try_with(|held| {
        let (now, most) = held.get();
        held.set((now + change, most.max(now + change)));
    });
}

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(start, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Buffers, decoder state and errors.
const FIXED_BYTES: usize = 1 << 18;

/// Runs a reader and checks how much memory it took at most for each byte it was given.
fn bounded(bytes: &[u8], for_each: usize, read: impl FnOnce(&[u8])) {
    let before = HELD.get().0;
    HELD.set((before, before));
    read(bytes);
    let took = (HELD.get().1 - before) as usize;
    let most = FIXED_BYTES + for_each * bytes.len();
    assert!(took <= most, "{} bytes made it take {took}, wanted {most} at most", bytes.len());
}

/// Readers of plain files hold the elements as bytes and as numbers, and a vector that grows doubles; gzip and PNG data
/// may unfold to 1032 times their size, and a pixel of one bit to four bytes.
fn read_all(bytes: &[u8]) {
    let packed = bytes.starts_with(&[0x1f, 0x8b]);
    let for_each = if packed { 4 * 1032 } else { 4 };
    bounded(bytes, for_each, |b| drop(decode_idx("f", b)));
    bounded(bytes, for_each, |b| drop(decode_npy("f", b)));
    bounded(bytes, 1032 * (32 + 2), |b| drop(Image::decode("f", b)));
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    to.write_all(bytes).unwrap();
    to.finish().unwrap()
}

fn picture() -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, 9, 7);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header().unwrap().write_image_data(&[200; 9 * 7 * 3]).unwrap();
    out
}

const JPEG: &[u8] = include_bytes!("pictures/progressive.jpg");

/// Sound files of every kind.
fn sound() -> Vec<Vec<u8>> {
    let a = Array::new([3, 4, 2], (0..24).map(|i| i as f32).collect()).unwrap();
    let (idx, npy) = (encode_idx(&a).unwrap(), encode_npy(&a).unwrap());
    vec![gzip(&idx), gzip(&npy), idx, npy, picture(), JPEG.to_vec()]
}

#[test]
fn dimensions_are_not_believed() {
    for dims in [[0xff; 12], [0x7f; 12], [0, 0, 0x40, 0, 0, 0, 0x40, 0, 0, 0, 0, 8]] {
        for packed in [false, true] {
            let bytes = [&[0, 0, 0x0e, 3][..], &dims, &[1; 100]].concat();
            let bytes = if packed { gzip(&bytes) } else { bytes };
            read_all(&bytes);
        }
    }
    let header = "{'descr': '<f8', 'fortran_order': True, 'shape': (65536, 65536, 64)}";
    read_all(&[b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), &[7; 64]].concat());
}

proptest! {
    #[test]
    fn arbitrary_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400), start in 0_usize..6) {
        let starts: [&[u8]; 6] = [
            &[],
            &[0, 0, 8, 3],
            b"\x93NUMPY\x01\x00\x76\x00{'descr': '",
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
            &[0x1f, 0x8b, 8, 0],
            &JPEG[..160],
        ];
        read_all(&[starts[start], &bytes].concat());
    }

    #[test]
    fn damaged_files(
        which in 0_usize..6,
        changes in proptest::collection::vec((any::<u16>(), any::<u8>()), 0..4),
        cut in any::<u16>(),
    ) {
        let mut bytes = sound().swap_remove(which);
        for (at, to) in changes {
            let at = at as usize % bytes.len();
            bytes[at] = to;
        }
        if cut % 3 == 0 {
            bytes.truncate(cut as usize % bytes.len());
        }
        read_all(&bytes);
        read_all(&gzip(&bytes));
    }
}
