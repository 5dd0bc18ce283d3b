//! idx files, the form of MNIST (<http://yann.lecun.com/exdb/mnist/>): a magic number `00 00 TYPE RANK`, the dimensions
//! as big-endian `u32`, then the elements, big-endian and row-major. Plain or gzip.

use crate::array::{Array, ByteOrder};
use crate::input::Input;
use std::path::Path;
use varflow_ops::{DType, Error, Result, Shape, TensorDesc};

/// The largest number of axes that is read.
const MAX_RANK: u8 = 32;

const TYPES: [(u8, DType); 6] = [
    (0x08, DType::U8),
    (0x09, DType::I8),
    (0x0b, DType::I16),
    (0x0c, DType::I32),
    (0x0d, DType::F32),
    (0x0e, DType::F64),
];

/// Reads an idx file, gzipped or not.
///
/// # Errors
/// A file that cannot be read; one that is not idx, is cut short, or goes on after its last element: with the byte
/// offset, what is there and what was wanted. No more memory is taken than the file's contents need.
pub fn read_idx(path: impl AsRef<Path>) -> Result<Array> {
    read(Input::open(path.as_ref())?)
}

/// Reads idx from memory, gzipped or not. `name` is what errors call it.
///
/// ```
/// let a = varflow_io::decode_idx("labels", &[0, 0, 8, 1, 0, 0, 0, 2, 7, 9])?;
/// assert_eq!(a.as_slice::<u8>()?, [7, 9]);
/// # Ok::<(), varflow_ops::Error>(())
/// ```
///
/// # Errors
/// As [`read_idx`].
pub fn decode_idx(name: &str, bytes: &[u8]) -> Result<Array> {
    read(Input::from_bytes(name, bytes)?)
}

/// How many bytes stand before the elements of an idx file of this rank.
pub(crate) fn header_len_bytes(rank: usize) -> u64 {
    4 + 4 * rank as u64
}

fn read(mut input: Input<'_>) -> Result<Array> {
    let magic: [u8; 4] = input.array("the idx magic number")?;
    let dtype = TYPES.iter().find(|t| magic[..2] == [0, 0] && t.0 == magic[2]).map(|t| t.1);
    let found = || format!("the bytes {:02x} {:02x} {:02x} {:02x}", magic[0], magic[1], magic[2], magic[3]);
    let Some(dtype) = dtype else {
        let wanted = "the idx magic number: 00 00, a type (08, 09, 0b, 0c, 0d or 0e) and a rank";
        return Err(input.malformed(0, found(), wanted));
    };
    if !(1..=MAX_RANK).contains(&magic[3]) {
        return Err(input.malformed(3, format!("the rank {}", magic[3]), format!("one from 1 to {MAX_RANK}")));
    }
    let mut dims = Vec::new();
    for axis in 0..magic[3] {
        let dim = u32::from_be_bytes(input.array(&format!("dimension {axis}"))?);
        dims.push(dim as usize);
    }
    let shape = Shape::new(&dims);
    let len_bytes = shape.checked_len().and_then(|n| n.checked_mul(dtype.size_bytes()));
    let Some(len_bytes) = len_bytes else {
        return Err(input.malformed(4, format!("the shape {shape}"), "one whose elements can be counted"));
    };
    let what = format!("{dtype} elements of shape {shape}");
    let bytes = input.bytes(len_bytes as u64, &what)?;
    input.expect_end(&what)?;
    Ok(Array::from_file_bytes(TensorDesc { shape, dtype }, ByteOrder::Big, bytes))
}

/// Writes an array as a plain idx file.
///
/// # Errors
/// A dtype, rank or dimension that idx cannot express; a file that cannot be written.
pub fn write_idx(path: impl AsRef<Path>, array: &Array) -> Result<()> {
    let path = path.as_ref();
    let bytes = encode_idx(array).map_err(|e| e.at(path.display().to_string()))?;
    std::fs::write(path, bytes).map_err(|e| Error::io(format!("cannot write {}", path.display()), e))
}

/// An array as the bytes of a plain idx file.
///
/// # Errors
/// A dtype, rank or dimension that idx cannot express.
pub fn encode_idx(array: &Array) -> Result<Vec<u8>> {
    let (shape, dtype) = (array.shape(), array.dtype());
    let code = TYPES.iter().find(|t| t.1 == dtype).map(|t| t.0);
    let code = code.ok_or_else(|| {
        Error::DType(format!("idx cannot hold {dtype}: wanted uint8, int8, int16, int32, float32 or float64"))
    })?;
    let rank = u8::try_from(shape.rank()).ok().filter(|r| (1..=MAX_RANK).contains(r));
    let rank =
        rank.ok_or_else(|| Error::Shape(format!("idx cannot hold shape {shape}: wanted 1 to {MAX_RANK} axes")))?;
    let mut out = vec![0, 0, code, rank];
    for dim in shape.dims() {
        let dim = u32::try_from(*dim);
        let dim =
            dim.map_err(|_| Error::Shape(format!("idx cannot hold shape {shape}: wanted dimensions below 2^32")))?;
        out.extend(dim.to_be_bytes());
    }
    out.extend(array.to_file_bytes(ByteOrder::Big));
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const IMAGES: [u8; 22] = [0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6];

    fn refuse(bytes: &[u8]) -> String {
        decode_idx("f", bytes).unwrap_err().to_string()
    }

    #[test]
    fn reads_what_the_format_says() {
        let images = decode_idx("f", &IMAGES).unwrap();
        assert_eq!(images, Array::new([1, 2, 3], vec![1_u8, 2, 3, 4, 5, 6]).unwrap());
        let floats = decode_idx("f", &[0, 0, 0x0d, 1, 0, 0, 0, 1, 0x3f, 0xc0, 0, 0]).unwrap();
        assert_eq!(floats.as_slice::<f32>().unwrap(), [1.5]);
        let ints = decode_idx("f", &[0, 0, 0x0c, 1, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xfe]).unwrap();
        assert_eq!(ints.as_slice::<i32>().unwrap(), [-2]);
        assert!(decode_idx("f", &[0, 0, 8, 2, 0, 0, 0, 0, 0, 0, 0, 5]).unwrap().shape().is_empty());
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        assert_eq!(refuse(&[]), "f: at byte 0: found the end of the file, wanted 4 more bytes of the idx magic number");
        assert_eq!(
            refuse(b"\x89PNG"),
            "f: at byte 0: found the bytes 89 50 4e 47, wanted the idx magic number: \
             00 00, a type (08, 09, 0b, 0c, 0d or 0e) and a rank"
        );
        assert_eq!(refuse(&[0, 0, 8, 0]), "f: at byte 3: found the rank 0, wanted one from 1 to 32");
        assert_eq!(
            refuse(&IMAGES[..10]),
            "f: at byte 10: found the end of the file, wanted 2 more bytes of dimension 1"
        );
        assert_eq!(
            refuse(&IMAGES[..20]),
            "f: at byte 20: found the end of the file, wanted 2 more bytes of uint8 elements of shape (1, 2, 3)"
        );
        let long = [&IMAGES[..], &[7]].concat();
        assert_eq!(
            refuse(&long),
            "f: at byte 22: found more bytes, wanted the end of the file, after uint8 elements of shape (1, 2, 3)"
        );
        let vast = [&[0, 0, 8, 3][..], &[0xff; 12], &[1]].concat();
        assert!(
            refuse(&vast).contains("at byte 4: found the shape (4294967295, 4294967295, 4294967295)"),
            "{}",
            refuse(&vast)
        );
        let large = [&[0, 0, 8, 2, 0, 1, 0, 0][..], &[0, 1, 0, 0, 1]].concat();
        assert!(refuse(&large).contains("wanted 4294967295 more bytes"), "{}", refuse(&large));
    }

    #[test]
    fn missing_files_and_directories_are_named() {
        let told = read_idx("/no/such/file").unwrap_err().to_string();
        assert!(told.starts_with("cannot read /no/such/file: "), "{told}");
        assert!(read_idx("/").unwrap_err().to_string().starts_with("cannot read /: "));
    }

    #[test]
    fn refuses_to_write_what_idx_cannot_hold() {
        let told = encode_idx(&Array::new([1], vec![1_u64]).unwrap()).unwrap_err().to_string();
        assert!(told.starts_with("idx cannot hold uint64"), "{told}");
        let scalar = Array::new(Shape::default(), vec![1_u8]).unwrap();
        assert!(encode_idx(&scalar).unwrap_err().to_string().contains("wanted 1 to 32 axes"));
    }

    proptest! {
        #[test]
        fn round_trip(dims in proptest::collection::vec(0_usize..5, 1..5), seed in any::<u32>()) {
            let n = dims.iter().product::<usize>();
            let of = |i: usize| (i as u32).wrapping_mul(seed);
            let arrays = [
                Array::new(dims.clone(), (0..n).map(|i| of(i) as u8).collect()).unwrap(),
                Array::new(dims.clone(), (0..n).map(|i| of(i) as i16).collect()).unwrap(),
                Array::new(dims.clone(), (0..n).map(|i| of(i) as f32).collect()).unwrap(),
                Array::new(dims, (0..n).map(|i| f64::from(of(i))).collect()).unwrap(),
            ];
            for array in arrays {
                prop_assert_eq!(&decode_idx("f", &encode_idx(&array).unwrap()).unwrap(), &array);
            }
        }
    }
}
