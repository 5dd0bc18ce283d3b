//! `.npy` files, NumPy's form of one array
//! (<https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>): the magic `\x93NUMPY`, a version, the
//! length of a header, the header as a Python dict literal, then the elements.

use crate::array::{Array, ByteOrder};
use crate::input::Input;
use std::io::Write;
use std::path::Path;
use varflow_ops::{DType, Error, Result, Shape, TensorDesc, save_atomically};

const MAGIC: [u8; 6] = *b"\x93NUMPY";
/// NumPy itself refuses longer headers unless told otherwise.
const MAX_HEADER_BYTES: u32 = 10_000;
const MAX_RANK: usize = 64;
const ALIGN_BYTES: usize = 64;

const TYPES: [(&str, DType); 12] = [
    ("b1", DType::Bool),
    ("u1", DType::U8),
    ("i1", DType::I8),
    ("u2", DType::U16),
    ("i2", DType::I16),
    ("u4", DType::U32),
    ("i4", DType::I32),
    ("u8", DType::U64),
    ("i8", DType::I64),
    ("f2", DType::F16),
    ("f4", DType::F32),
    ("f8", DType::F64),
];

/// Reads a `.npy` file of version 1, 2 or 3, of either byte order and either element order, gzipped or not. Booleans
/// are read as `u8`.
///
/// # Errors
/// A file that cannot be read; one that is not `.npy`, holds records, strings, objects or complex numbers, is cut
/// short, or goes on after its last element: with the byte offset, what is there and what was wanted. No more
/// memory is taken than the file's contents need.
pub fn read_npy(path: impl AsRef<Path>) -> Result<Array> {
    read(Input::open(path.as_ref())?)
}

/// Reads `.npy` from memory. `name` is what errors call it.
///
/// # Errors
/// As [`read_npy`].
pub fn decode_npy(name: &str, bytes: &[u8]) -> Result<Array> {
    read(Input::from_bytes(name, bytes)?)
}

/// Writes an array as a `.npy` file of version 1, [atomically](save_atomically).
///
/// # Errors
/// A `bfloat16` array, which the format has no name for; a file that cannot be written.
pub fn write_npy(path: impl AsRef<Path>, array: &Array) -> Result<()> {
    let path = path.as_ref();
    let bytes = encode_npy(array).map_err(|e| e.at(path.display().to_string()))?;
    save_atomically(path, |out| {
        out.write_all(&bytes).map_err(|e| Error::io(format!("cannot write {}", path.display()), e))
    })
}

/// An array as the bytes of a `.npy` file of version 1.
///
/// ```
/// let a = varflow_io::Array::new([3], vec![1.0_f32, 2.0, 3.0])?;
/// assert_eq!(varflow_io::decode_npy("a", &varflow_io::encode_npy(&a)?)?, a);
/// # Ok::<(), varflow_ops::Error>(())
/// ```
///
/// # Errors
/// A `bfloat16` array, which the format has no name for.
pub fn encode_npy(array: &Array) -> Result<Vec<u8>> {
    let (shape, dtype) = (array.shape(), array.dtype());
    let descr = TYPES.iter().find(|t| t.1 == dtype).map(|t| t.0);
    let descr = descr.ok_or_else(|| Error::DType(format!("npy has no name for {dtype}: cast the array first")))?;
    let order = if dtype.size_bytes() == 1 { '|' } else { '<' };
    let mut header = format!("{{'descr': '{order}{descr}', 'fortran_order': False, 'shape': {}, }}", tuple(shape));
    let before = MAGIC.len() + 4;
    let pad = (before + header.len() + 1).next_multiple_of(ALIGN_BYTES) - (before + header.len() + 1);
    header.push_str(&" ".repeat(pad));
    header.push('\n');
    let len = u16::try_from(header.len());
    let len = len.map_err(|_| Error::Shape(format!("npy cannot hold shape {shape}: it has too many axes")))?;
    let mut out = MAGIC.to_vec();
    out.extend([1, 0]);
    out.extend(len.to_le_bytes());
    out.extend(header.as_bytes());
    out.extend(array.to_file_bytes(ByteOrder::Little));
    Ok(out)
}

/// As Python writes it: `()`, `(2,)`, `(2, 3)`.
fn tuple(shape: &Shape) -> String {
    if shape.rank() == 0 { "()".to_string() } else { shape.to_string() }
}

fn read(mut input: Input<'_>) -> Result<Array> {
    let start: [u8; 8] = input.array("the npy magic string and version")?;
    if start[..6] != MAGIC {
        return Err(input.malformed(0, format!("{:?}", start[..6].escape_ascii().to_string()), "\"\\x93NUMPY\""));
    }
    let len = match start[6] {
        1 => u32::from(u16::from_le_bytes(input.array("the header's length")?)),
        2 | 3 => u32::from_le_bytes(input.array("the header's length")?),
        v => return Err(input.malformed(6, format!("npy version {v}.{}", start[7]), "version 1.0, 2.0 or 3.0")),
    };
    if len > MAX_HEADER_BYTES {
        return Err(input.malformed(8, format!("a header of {len} bytes"), format!("at most {MAX_HEADER_BYTES}")));
    }
    let at = input.offset();
    let text = input.bytes(u64::from(len), "the header")?;
    let header = Header::parse(&text).map_err(|c| input.malformed(at + c.at as u64, c.found, c.wanted))?;
    let Header { dtype, order, fortran, shape } = header;
    let size = dtype.size_bytes();
    let len_bytes = shape.checked_len().and_then(|n| n.checked_mul(size));
    let Some(len_bytes) = len_bytes else {
        return Err(input.malformed(at, format!("the shape {}", tuple(&shape)), "one whose elements can be counted"));
    };
    let what = format!("{dtype} elements of shape {}", tuple(&shape));
    let mut bytes = input.bytes(len_bytes as u64, &what)?;
    input.expect_end(&what)?;
    if fortran && shape.rank() > 1 {
        bytes = to_row_major(&bytes, shape.dims(), size);
    }
    Ok(Array::from_file_bytes(TensorDesc { shape, dtype }, order, bytes))
}

/// Puts elements of `size` bytes whose first axis varies fastest into the order in which the last one does.
fn to_row_major(bytes: &[u8], dims: &[usize], size: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut index = vec![0; dims.len()];
    while out.len() < bytes.len() {
        let from = index.iter().zip(dims).rev().fold(0, |at, (i, d)| at * d + i) * size;
        out.extend_from_slice(&bytes[from..from + size]);
        for (i, d) in index.iter_mut().zip(dims).rev() {
            *i += 1;
            if *i < *d {
                break;
            }
            *i = 0;
        }
    }
    out
}

struct Header {
    dtype: DType,
    order: ByteOrder,
    fortran: bool,
    shape: Shape,
}

/// What is wrong with a header, and at which of its bytes.
struct Complaint {
    at: usize,
    found: String,
    wanted: String,
}

impl Header {
    fn parse(text: &[u8]) -> Result<Header, Complaint> {
        let mut p = Parser { text, at: 0 };
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        p.expect(b'{')?;
        while !p.eat(b'}') {
            let at = p.at;
            match p.string()?.as_str() {
                "descr" => {
                    p.expect(b':')?;
                    descr = Some(p.descr()?);
                }
                "fortran_order" => {
                    p.expect(b':')?;
                    fortran = Some(p.boolean()?);
                }
                "shape" => {
                    p.expect(b':')?;
                    shape = Some(p.shape()?);
                }
                key => return Err(complaint(at, format!("the key {key:?}"), "descr, fortran_order or shape")),
            }
            if !p.eat(b',') {
                p.expect(b'}')?;
                break;
            }
        }
        p.skip_space();
        if p.at < text.len() {
            return Err(p.unexpected("the end of the header"));
        }
        let missing = |key: &str| complaint(0, format!("a header without {key}"), "descr, fortran_order and shape");
        let (dtype, order) = descr.ok_or_else(|| missing("descr"))?;
        let fortran = fortran.ok_or_else(|| missing("fortran_order"))?;
        Ok(Header { dtype, order, fortran, shape: shape.ok_or_else(|| missing("shape"))? })
    }
}

fn complaint(at: usize, found: impl Into<String>, wanted: impl Into<String>) -> Complaint {
    Complaint { at, found: found.into(), wanted: wanted.into() }
}

/// Reads the few Python literals that a header is made of.
struct Parser<'a> {
    text: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    fn skip_space(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }

    fn peek(&mut self) -> Option<u8> {
        self.skip_space();
        self.text.get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), Complaint> {
        if self.eat(byte) { Ok(()) } else { Err(self.unexpected(&format!("'{}'", byte as char))) }
    }

    fn unexpected(&mut self, wanted: &str) -> Complaint {
        let found = match self.peek() {
            Some(byte) => format!("'{}' in the header", byte.escape_ascii()),
            None => "the end of the header".to_string(),
        };
        complaint(self.at, found, wanted)
    }

    fn string(&mut self) -> Result<String, Complaint> {
        let quote = self.peek().filter(|b| matches!(b, b'\'' | b'"'));
        let quote = quote.ok_or_else(|| self.unexpected("a quoted name"))?;
        let rest = &self.text[self.at + 1..];
        let len = rest.iter().position(|b| *b == quote);
        let Some(len) = len else { return Err(complaint(self.at, "a name without an end", "a closing quote")) };
        self.at += len + 2;
        Ok(String::from_utf8_lossy(&rest[..len]).into_owned())
    }

    fn descr(&mut self) -> Result<(DType, ByteOrder), Complaint> {
        const WANTED: &str = "a number type: b1, u1 to u8, i1 to i8, f2, f4 or f8 after '<', '>', '=' or '|'";
        if self.peek() == Some(b'[') {
            return Err(complaint(self.at, "a record type", WANTED));
        }
        let at = self.at;
        let text = self.string()?;
        let order = match text.as_bytes().first() {
            Some(b'>') => Some(ByteOrder::Big),
            Some(b'<' | b'=' | b'|') => Some(ByteOrder::Little),
            _ => None,
        };
        let dtype = TYPES.iter().find(|t| text.get(1..) == Some(t.0)).map(|t| t.1);
        dtype.zip(order).ok_or_else(|| complaint(at, format!("the type {text:?}"), WANTED))
    }

    fn boolean(&mut self) -> Result<bool, Complaint> {
        self.skip_space();
        for (word, value) in [("True", true), ("False", false)] {
            if self.text[self.at..].starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.unexpected("True or False"))
    }

    fn shape(&mut self) -> Result<Shape, Complaint> {
        let mut dims = Vec::new();
        self.expect(b'(')?;
        while !self.eat(b')') {
            if dims.len() == MAX_RANK {
                return Err(complaint(self.at, "more axes", format!("at most {MAX_RANK}")));
            }
            dims.push(self.number()?);
            if !self.eat(b',') {
                self.expect(b')')?;
                break;
            }
        }
        Ok(Shape::new(&dims))
    }

    fn number(&mut self) -> Result<usize, Complaint> {
        self.skip_space();
        let rest = &self.text[self.at..];
        let digits = &rest[..rest.iter().take_while(|b| b.is_ascii_digit()).count()];
        let value = std::str::from_utf8(digits).ok().and_then(|d| d.parse().ok());
        let value = value.ok_or_else(|| self.unexpected("a dimension that fits into the address space"))?;
        self.at += digits.len();
        self.eat(b'L'); // Python 2 wrote long integers so
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::f16;
    use proptest::prelude::*;

    /// Files written by NumPy 1.23.5.
    fn fixture(name: &str) -> Result<Array> {
        read_npy(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/npy").join(format!("{name}.npy")))
    }

    #[test]
    fn reads_what_numpy_wrote() {
        let shape = [2, 3];
        let of = |f: fn(f64) -> f64| (0..6).map(|i| f(f64::from(i))).collect::<Vec<f64>>();
        let c = fixture("f32_c").unwrap();
        assert_eq!(c, Array::new(shape, of(|i| i * 1.5).iter().map(|v| *v as f32).collect()).unwrap());
        assert_eq!(fixture("f64_fortran").unwrap(), Array::new(shape, of(|i| i - 2.5)).unwrap());
        let big = fixture("i16_big").unwrap();
        assert_eq!(big, Array::new(shape, of(|i| i * 300.0 - 700.0).iter().map(|v| *v as i16).collect()).unwrap());
        assert_eq!(fixture("u8_v2").unwrap(), Array::new(shape, vec![0_u8, 1, 2, 3, 4, 5]).unwrap());
        assert_eq!(fixture("i64_v3").unwrap(), Array::new(shape, vec![-3_i64, -2, -1, 0, 1, 2]).unwrap());
        assert_eq!(fixture("bool_1d").unwrap(), Array::new([3], vec![1_u8, 0, 1]).unwrap());
        assert_eq!(fixture("f16_scalar").unwrap(), Array::new(Shape::default(), vec![f16::from_f32(0.5)]).unwrap());
        assert_eq!(fixture("empty").unwrap(), Array::new([0, 4], Vec::<u32>::new()).unwrap());
    }

    #[test]
    fn writes_what_numpy_would() {
        for name in ["f32_c", "bool_1d", "empty", "f16_scalar"] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/npy").join(format!("{name}.npy"));
            let theirs = std::fs::read(path).unwrap();
            let ours = encode_npy(&fixture(name).unwrap()).unwrap();
            let as_text = |b: &[u8]| b.escape_ascii().to_string().replace("|b1", "|u1");
            assert_eq!(as_text(&ours), as_text(&theirs), "{name}");
        }
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        let told = fixture("struct").unwrap_err().to_string();
        assert!(told.contains("struct.npy: at byte 20: found a record type, wanted a number type"), "{told}");
        let told = fixture("complex").unwrap_err().to_string();
        assert!(told.contains("at byte 20: found the type \"<c8\""), "{told}");
        let file = |header: &str, data: &[u8]| {
            let len = (header.len() as u16).to_le_bytes();
            [b"\x93NUMPY\x01\x00", &len[..], header.as_bytes(), data].concat()
        };
        let refuse = |bytes: &[u8]| decode_npy("f", bytes).unwrap_err().to_string();
        assert_eq!(refuse(b"PK\x03\x04....."), "f: at byte 0: found \"PK\\\\x03\\\\x04..\", wanted \"\\x93NUMPY\"");
        assert_eq!(
            refuse(b"\x93NUMPY\x09\x00\x00\x00"),
            "f: at byte 6: found npy version 9.0, wanted version 1.0, 2.0 or 3.0"
        );
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}";
        assert_eq!(
            refuse(&file(header, &[0; 7])),
            "f: at byte 72: found the end of the file, wanted 1 more bytes of float32 elements of shape (2,)"
        );
        assert!(refuse(&file(header, &[0; 9])).contains("at byte 73: found more bytes, wanted the end of the file"));
        let vast = "{'descr': '<f8', 'fortran_order': True, 'shape': (4294967296, 4294967296)}";
        assert!(refuse(&file(vast, &[])).contains("one whose elements can be counted"));
        assert_eq!(
            refuse(&file("{'shape': (-1,)}", &[])),
            "f: at byte 21: found '-' in the header, wanted a dimension that fits into the address space"
        );
        assert!(refuse(&file("{'descr': '<f4', 'shape': (1,)}", &[])).contains("a header without fortran_order"));
        assert!(refuse(&file("{'descr", &[])).contains("a name without an end"));
        let long = [b"\x93NUMPY\x02\x00", &[0xff; 4][..]].concat();
        assert_eq!(refuse(&long), "f: at byte 8: found a header of 4294967295 bytes, wanted at most 10000");
    }

    proptest! {
        #[test]
        fn round_trip(dims in proptest::collection::vec(0_usize..5, 0..5), seed in any::<u32>()) {
            let n = dims.iter().product::<usize>();
            let of = |i: usize| (i as u32).wrapping_mul(seed);
            let arrays = [
                Array::new(dims.clone(), (0..n).map(|i| of(i) as u8).collect()).unwrap(),
                Array::new(dims.clone(), (0..n).map(|i| f16::from_f32(of(i) as f32)).collect()).unwrap(),
                Array::new(dims.clone(), (0..n).map(|i| u64::from(of(i)) << 20).collect()).unwrap(),
                Array::new(dims, (0..n).map(|i| f64::from(of(i))).collect()).unwrap(),
            ];
            for array in arrays {
                prop_assert_eq!(&decode_npy("f", &encode_npy(&array).unwrap()).unwrap(), &array);
            }
        }

        #[test]
        fn column_major_is_the_transpose(rows in 1_usize..6, cols in 1_usize..6, deep in 1_usize..4) {
            let fortran: Vec<u8> = (0..rows * cols * deep).map(|i| i as u8).collect();
            let c = to_row_major(&fortran, &[rows, cols, deep], 1);
            for (r, col, d) in (0..rows).flat_map(|r| (0..cols).flat_map(move |c| (0..deep).map(move |d| (r, c, d)))) {
                prop_assert_eq!(c[(r * cols + col) * deep + d], fortran[r + rows * (col + cols * d)]);
            }
        }
    }
}
