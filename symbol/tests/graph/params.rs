//! `.params` files and atomic writing.

use proptest::prelude::*;
use std::io::Write;
use varflow_ops::{DType, Error, StagedFile, TensorDesc, save_atomically};
use varflow_symbol::{HostArray, params};

fn read(bytes: &[u8]) -> varflow_ops::Result<Vec<(String, HostArray)>> {
    params::read(bytes, bytes.len() as u64, "FILE")
}

fn refusal(bytes: &[u8]) -> String {
    read(bytes).unwrap_err().to_string()
}

fn written(arrays: &[(String, HostArray)]) -> Vec<u8> {
    let mut out = Vec::new();
    params::write(&mut out, "FILE", arrays).unwrap();
    out
}

/// Little-endian words.
fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_le_bytes()).collect()
}

/// A list of one array of these words called `w`.
fn list(array: &[u32]) -> Vec<u8> {
    let mut bytes = words(&[0x112, 0, 0, 0, 1, 0]);
    bytes.extend(words(array));
    bytes.extend(words(&[1, 0, 1, 0]));
    bytes.push(b'w');
    bytes
}

/// MXNet 1.9.1 saved 0..6 less 2 (0..6 as uint8) of shape (2, 3) in each dtype.
#[test]
fn a_file_of_mxnet_reads_and_is_written_back_byte_for_byte() {
    let bytes = include_bytes!("data/dense.params");
    let arrays = read(bytes).unwrap();
    let names: Vec<_> = arrays.iter().map(|(n, _)| n.as_str()).collect();
    let wanted = ["float32", "float64", "float16", "uint8", "int32", "int8", "int64"].map(|n| format!("arg:{n}"));
    assert_eq!(names[..7], wanted);
    assert_eq!(names[7], "aux:v");
    for (name, array) in &arrays[..7] {
        assert_eq!(array.desc.shape.dims(), [2, 3]);
        assert_eq!(format!("arg:{}", array.desc.dtype), *name);
    }
    assert_eq!(arrays[0].1.to_vec::<f32>().unwrap(), [-2.0, -1.0, 0.0, 1.0, 2.0, 3.0]);
    assert_eq!(arrays[3].1.to_vec::<u8>().unwrap(), [0, 1, 2, 3, 4, 5]);
    assert_eq!(arrays[6].1.to_vec::<i64>().unwrap(), [-2, -1, 0, 1, 2, 3]);
    assert_eq!(arrays[7].1.to_vec::<f32>().unwrap(), [1.5]);
    assert_eq!(written(&arrays), bytes);
}

#[test]
fn lists_without_names_and_scalars_read() {
    let arrays = read(include_bytes!("data/list.params")).unwrap();
    let all: Vec<_> = arrays.iter().map(|(n, a)| (n.as_str(), a.to_vec::<f32>().unwrap())).collect();
    assert_eq!(all, [("0", vec![1.0, 1.0]), ("1", vec![0.0, 0.0])]);

    let bytes = include_bytes!("data/scalar.params");
    let arrays = read(bytes).unwrap();
    assert_eq!(arrays[0].1, HostArray::from_slice(varflow_ops::Shape::new(&[]), &[2.5_f32]).unwrap());
    assert_eq!(arrays[1].1, HostArray { desc: TensorDesc::new([2], DType::Bool), bytes: vec![1, 0] });
    // With a scalar all arrays are in its form: MXNet reads none that mixes two.
    assert_eq!(written(&arrays), bytes);
}

#[test]
fn sparse_arrays_are_refused_by_name() {
    let text = refusal(include_bytes!("data/rsp.params"));
    assert!(text.contains("has array \"arg:emb\", which is sparse (row_sparse), expected a dense one"), "{text}");
    let text = refusal(include_bytes!("data/csr.params"));
    assert!(text.contains("has array \"arg:c\", which is sparse (csr), expected a dense one"), "{text}");
    // One row of three, though the storage shape says none.
    let header = [0xF993_FAC9, 1, 2, 0, 0, 3, 0, 2, 5, 0, 3, 0, 1, 0, 0, 6, 1, 1, 0];
    let unset = list(&[&header[..], &[1, 2, 3], &[4, 0]].concat());
    assert!(refusal(&unset).contains("has array \"w\", which is sparse (row_sparse)"), "{}", refusal(&unset));
}

#[test]
fn older_forms_read() {
    let one_two = [1.0_f32.to_bits(), 2.0_f32.to_bits()];
    let v0 = list(&[[2, 1, 2, 1, 0, 0].as_slice(), &one_two].concat());
    let v1 = list(&[[0xF993_FAC8, 2, 1, 0, 2, 0, 1, 0, 0].as_slice(), &one_two].concat());
    let v2 = list(&[[0xF993_FAC9, 0, 2, 1, 0, 2, 0, 2, 3, 0].as_slice(), &one_two].concat());
    let v3 = list(&[[0xF993_FACA, 0, 2, 1, 0, 2, 0, 3, 0, 0].as_slice(), &one_two].concat());
    let wanted = vec![("w".to_string(), HostArray::from_slice([1, 2], &[1.0_f32, 2.0]).unwrap())];
    for bytes in [v0, v1, v2, v3] {
        assert_eq!(read(&bytes).unwrap(), wanted);
    }
    let nothing = HostArray { desc: TensorDesc::new([0], DType::F32), bytes: Vec::new() };
    for bytes in [list(&[0]), list(&[0xF993_FAC8, 0]), list(&[0xF993_FAC9, 0, 0])] {
        assert_eq!(read(&bytes).unwrap()[0].1, nothing, "an array without a shape");
    }
}

#[test]
fn broken_files_are_refused_with_offset_and_what_was_expected() {
    let cases = [
        (words(&[0x113, 0]), "FILE: byte 0: has 0x113, expected the magic number of a list of arrays, 0x112"),
        (words(&[0x112]), "FILE: byte 0: has 4 bytes to the end, expected the magic number of a list of arrays"),
        (words(&[0x112, 0, 0, 0, 9, 0]), "FILE: byte 16: has 9 arrays, expected at most 0, for which there is room"),
        (
            list(&[0xF993_FAC9, 7]),
            "FILE: byte 28: has storage type 7, expected 0 for dense, or in the form V2 1 for row_sparse, 2 for csr",
        ),
        (
            list(&[0xF993_FACA, 1]),
            "FILE: byte 28: has storage type 1, expected 0 for dense, or in the form V2 1 for row_sparse, 2 for csr",
        ),
        (
            list(&[0xF993_FAC9, 0, u32::MAX]),
            "FILE: byte 32: has a rank of -1, expected a rank for which there is room, 0 to 2",
        ),
        (
            list(&[0x0001_0000]),
            "FILE: byte 24: has a magic number or rank of 65536, expected a rank for which there is room, 0 to 4",
        ),
        (list(&[0xF993_FAC9, 0, 1, u32::MAX, u32::MAX]), "FILE: byte 36: has dimension -1, expected 0 or more"),
        (
            list(&[0xF993_FAC9, 0, 1, 0, 0x4000_0000, 1, 0, 0]),
            "FILE: byte 56: has a float32 array of shape (4611686018427387904,), expected no more than the 17 bytes left",
        ),
        (
            list(&[1, 1, 5, 0, 0]),
            "FILE: byte 32: has device type 5, expected 1 for cpu, 2 for gpu or 3 for pinned memory",
        ),
        (list(&[1, 1, 1, 0, 13]), "FILE: byte 40: has dtype 13, expected 0 (float32) to 12 (bfloat16)"),
    ];
    for (bytes, wanted) in cases {
        assert_eq!(refusal(&bytes), wanted);
    }
    let mut twice = words(&[0x112, 0, 0, 0, 2, 0, 0, 0, 2, 0, 1, 0]);
    twice.extend(b"w\x01\0\0\0\0\0\0\0w");
    assert_eq!(refusal(&twice), "FILE: byte 49: has the name \"w\" again, expected another, for array 1");
    let mut more = list(&[0]);
    more.push(0);
    assert_eq!(refusal(&more), "FILE: byte 45: has 1 bytes more, expected the end");
    let mut not_utf8 = list(&[0]);
    *not_utf8.last_mut().unwrap() = 0xff;
    assert!(refusal(&not_utf8).starts_with("FILE: byte 44: has invalid utf-8"), "{}", refusal(&not_utf8));
    let short = params::read(&[][..], 1 << 40, "FILE").unwrap_err().to_string();
    assert!(short.starts_with("cannot read FILE at byte 0: "), "{short}");
}

#[test]
fn every_truncation_is_refused() {
    for file in
        [&include_bytes!("data/dense.params")[..], include_bytes!("data/rsp.params"), include_bytes!("data/csr.params")]
    {
        for n in 0..file.len() {
            assert!(matches!(read(&file[..n]), Err(Error::Data(_))), "the first {n} bytes read");
        }
    }
}

fn array() -> impl Strategy<Value = HostArray> {
    (prop::sample::select(DType::ALL.to_vec()), prop::collection::vec(0..4_usize, 0..4)).prop_flat_map(
        |(dtype, dims)| {
            let desc = TensorDesc::new(dims, dtype);
            prop::collection::vec(any::<u8>(), desc.len_bytes())
                .prop_map(move |bytes| HostArray { desc: desc.clone(), bytes })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn what_is_written_reads_back(arrays in prop::collection::btree_map("[a-z:_é]{0,8}", array(), 0..6)) {
        let arrays: Vec<_> = arrays.into_iter().collect();
        prop_assert_eq!(read(&written(&arrays)).unwrap(), arrays);
    }

    #[test]
    fn damaged_files_do_no_harm(at in any::<prop::sample::Index>(), bytes in prop::collection::vec(any::<u8>(), 1..9)) {
        let mut file = include_bytes!("data/dense.params").to_vec();
        let at = at.index(file.len());
        let n = bytes.len().min(file.len() - at);
        file[at..at + n].copy_from_slice(&bytes[..n]);
        if let Ok(arrays) = read(&file) {
            prop_assert!(arrays.iter().map(|(_, a)| a.bytes.len()).sum::<usize>() <= file.len());
        }
    }
}

#[test]
fn arrays_that_are_not_what_they_say_are_refused() {
    let wrong = HostArray { desc: TensorDesc::new([3], DType::F32), bytes: vec![0; 8] };
    let text = params::write(&mut Vec::new(), "FILE", &[("arg:w".to_string(), wrong.clone())]).unwrap_err().to_string();
    assert_eq!(text, "array \"arg:w\": a float32 array of shape (3,) cannot be 8 bytes");
    assert!(wrong.to_vec::<f32>().is_err());
    assert!(HostArray::from_slice([2, 2], &[1.0_f32]).is_err());
    let text = HostArray::from_slice([1], &[1.0_f32]).unwrap().to_vec::<i32>().unwrap_err().to_string();
    assert_eq!(text, "the array holds float32, not int32");
}

fn names(folder: &std::path::Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap());
    names.collect()
}

#[test]
fn a_failed_write_keeps_the_old_file_and_leaves_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net-0001.params");
    let arrays = vec![("arg:w".to_string(), HostArray::from_slice([2], &[1.0_f32, 2.0]).unwrap())];
    params::save(&path, &arrays).unwrap();
    let failed = save_atomically(&path, |out| {
        out.write_all(b"half").unwrap();
        Err(Error::Data("the rest is missing".to_string()))
    });
    assert_eq!(failed.unwrap_err().to_string(), "the rest is missing");
    assert_eq!(names(folder.path()), ["net-0001.params"]);
    assert_eq!(params::load(&path).unwrap(), arrays);
    params::save(&path, &[]).unwrap();
    assert_eq!(params::load(&path).unwrap(), []);
    assert_eq!(names(folder.path()), ["net-0001.params"]);
}

#[test]
fn places_that_cannot_be_written_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("no/such/net.params");
    let text = params::save(&missing, &[]).unwrap_err().to_string();
    assert!(text.starts_with(&format!("cannot create a file beside {}: ", missing.display())), "{text}");
    let text = params::save(folder.path(), &[]).unwrap_err().to_string();
    assert!(text.ends_with("it is there and not a regular file"), "{text}");
    assert!(params::load(&missing).unwrap_err().to_string().starts_with("cannot read "));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error() {
    let mut full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let array = HostArray::from_slice([2], &[1.0_f32, 2.0]).unwrap();
    let text = params::write(&mut full, "FILE", &[("arg:w".to_string(), array)]).unwrap_err().to_string();
    assert!(text.starts_with("cannot write FILE: No space left on device"), "{text}");
}

#[test]
fn names_that_are_there_twice_are_refused() {
    let array = || HostArray::from_slice([1], &[1.0_f32]).unwrap();
    let arrays = [("arg:w".to_string(), array()), ("arg:w".to_string(), array())];
    let text = params::write(&mut Vec::new(), "FILE", &arrays).unwrap_err().to_string();
    assert_eq!(text, "FILE: array \"arg:w\" is there twice, wanted names that differ");
}

#[test]
fn staged_files_appear_together_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    let stage = |path| StagedFile::write(path, |out| out.write_all(b"new").map_err(|e| Error::io("cannot write", e)));
    std::fs::write(&a, b"old").unwrap();
    let first = stage(&a).unwrap();
    std::fs::create_dir(&b).unwrap();
    assert!(stage(&b).is_err());
    drop(first);
    assert_eq!((std::fs::read(&a).unwrap(), names(folder.path()).len()), (b"old".to_vec(), 2));
    std::fs::remove_dir(&b).unwrap();
    StagedFile::commit_all(vec![stage(&a).unwrap(), stage(&b).unwrap()]).unwrap();
    assert_eq!((std::fs::read(&a).unwrap(), std::fs::read(&b).unwrap()), (b"new".to_vec(), b"new".to_vec()));
    assert_eq!(names(folder.path()).len(), 2);
}
