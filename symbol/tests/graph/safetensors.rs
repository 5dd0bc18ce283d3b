//! Safetensors files.

use proptest::prelude::*;
use varflow_ops::{DType, Shape, TensorDesc};
use varflow_symbol::HostArray;
use varflow_symbol::params::safetensors;

fn written(arrays: &[(String, HostArray)]) -> Vec<u8> {
    let mut out = Vec::new();
    safetensors::write(&mut out, "FILE", arrays).unwrap();
    out
}

fn read(bytes: &[u8]) -> varflow_ops::Result<Vec<(String, HostArray)>> {
    safetensors::read(bytes, bytes.len() as u64, "FILE")
}

fn array(dtype: DType, dims: &[usize]) -> HostArray {
    let shape = Shape::new(dims);
    let bytes = (0..shape.len() * dtype.size_bytes()).map(|i| i as u8).collect();
    HostArray { desc: TensorDesc { shape, dtype }, bytes }
}

/// A file with this header and so many bytes of elements.
fn file(header: &str, elements: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; elements]].concat()
}

#[test]
fn headers_that_are_wrong_are_refused() {
    let one = |dtype: &str, shape: &str, offsets: &str| {
        format!("{{\"w\":{{\"dtype\":\"{dtype}\",\"shape\":{shape},\"data_offsets\":{offsets}}}}}")
    };
    let sound = one("F32", "[2]", "[0,8]");
    assert_eq!(read(&file(&sound, 8)).unwrap()[0].1.desc.shape, Shape::from([2]));
    let cases = [
        (file(&sound, 7), "has 7 bytes of elements, expected 8"),
        (file(&one("F32", "[2]", "[4,12]"), 12), "invalid offset for tensor `w`"),
        (file(&one("F32", "[3]", "[0,8]"), 8), "invalid shape"),
        (file(&one("F32", "[9223372036854775807,9]", "[0,8]"), 8), "overflow"),
        (file(&one("F8_E4M3", "[8]", "[0,8]"), 8), "array \"w\" of dtype F8_E4M3, expected one of float32"),
        (file("{", 0), "a header that is wrong"),
        ([&u64::MAX.to_le_bytes()[..], b"{}"].concat(), "a header of 18446744073709551615 bytes"),
        (vec![1, 2], "has 2 bytes"),
    ];
    for (bytes, text) in cases {
        let error = read(&bytes).unwrap_err().to_string();
        assert!(error.starts_with("FILE: ") && error.contains(text), "no \"{text}\" in: {error}");
    }
}

#[test]
fn names_that_cannot_be_written_are_refused() {
    let refused = |names: [&str; 2], text: &str| {
        let arrays = names.map(|name| (name.to_string(), array(DType::U8, &[1])));
        let error = safetensors::write(&mut Vec::new(), "FILE", &arrays).unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    };
    refused(["arg:w", "arg:w"], "\"arg:w\" is there twice");
    refused(["arg:w", "__metadata__"], "keep for themselves");
}

proptest! {
    #[test]
    fn what_is_written_reads_as_the_same(
        given in proptest::collection::vec((0_usize..13, proptest::collection::vec(0_usize..4, 0..4)), 0..8)
    ) {
        let named = |(i, (dtype, dims)): (usize, (usize, Vec<usize>))| {
            (format!("arg:w\"{i}\u{e9}"), array(DType::ALL[dtype], &dims))
        };
        let mut arrays: Vec<_> = given.into_iter().enumerate().map(named).collect();
        let bytes = written(&arrays);
        let mut again = read(&bytes).unwrap();
        prop_assert_eq!(&read(&bytes).unwrap(), &again);
        for list in [&mut arrays, &mut again] {
            list.sort_by(|a, b| a.0.cmp(&b.0));
        }
        prop_assert_eq!(again, arrays);
    }
}
