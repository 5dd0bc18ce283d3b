//! Safetensors files: a JSON header of names, dtypes, shapes and offsets, then the elements.
//!
//! Names are those of `.params` files (`arg:fc1_weight`, `aux:bn_moving_mean`), and the header's metadata says `format: varflow`.
//! Files of others are read too, with whatever names they have. The larger elements come first, so that every array lies at
//! a multiple of its element's size; arrays are read in the order in which they lie.

use crate::HostArray;
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;
use varflow_ops::{DType, Error, Result, Shape, TensorDesc, save_atomically};

/// Bytes of the header's length, with which a file begins.
const PREFIX_BYTES: u64 = 8;
/// The longest header that is read, as the format's own library has it.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// Reads the named arrays of a file.
///
/// # Errors
/// As [`read`], or the file operation that failed.
pub fn load(path: impl AsRef<Path>) -> Result<Vec<(String, HostArray)>> {
    let path = path.as_ref();
    let failed = |e| Error::io(format!("cannot read {}", path.display()), e);
    let file = File::open(path).map_err(failed)?;
    let len_bytes = file.metadata().map_err(failed)?.len();
    read(BufReader::with_capacity(1 << 16, file), len_bytes, &path.display().to_string())
}

/// Reads named arrays from a stream of `len_bytes`, called `place` in errors. No array is made before it is known that the
/// stream has bytes for all of them.
///
/// # Errors
/// [`Error::Data`] with what is there and what was expected: a header that is cut off, that is no JSON or whose offsets leave
/// gaps, overlap or end elsewhere than the stream; a dtype that there is not here, with the array's name.
pub fn read(mut from: impl Read, len_bytes: u64, place: &str) -> Result<Vec<(String, HostArray)>> {
    let refuse = |has: String, wanted: &dyn Display| Error::Data(format!("{place}: has {has}, expected {wanted}"));
    let failed = |e| Error::io(format!("cannot read {place}"), e);
    let Some(left) = len_bytes.checked_sub(PREFIX_BYTES) else {
        return Err(refuse(format!("{len_bytes} bytes"), &"a safetensors file, which begins with its header's length"));
    };
    let mut prefix = [0; PREFIX_BYTES as usize];
    from.read_exact(&mut prefix).map_err(failed)?;
    let header_bytes = u64::from_le_bytes(prefix);
    let most = left.min(MAX_HEADER_BYTES);
    if header_bytes > most {
        return Err(refuse(format!("a header of {header_bytes} bytes"), &format_args!("at most {most}")));
    }
    let mut header = Vec::new();
    from.by_ref().take(header_bytes).read_to_end(&mut header).map_err(failed)?;
    let metadata: Metadata =
        serde_json::from_slice(&header).map_err(|e| refuse(format!("a header that is wrong: {e}"), &"a sound one"))?;
    let (data, there) = (metadata.data_len() as u64, left - header_bytes);
    if data != there {
        return Err(refuse(format!("{there} bytes of elements"), &format_args!("{data}, as the header says")));
    }
    let keys = metadata.offset_keys();
    let infos = keys.into_iter().filter_map(|name| Some((metadata.info(&name)?, name)));
    let mut infos: Vec<_> = infos.collect();
    // Arrays without elements lie where others begin: their names tell them apart.
    infos.sort_by(|(a, name), (b, other)| a.data_offsets.cmp(&b.data_offsets).then_with(|| name.cmp(other)));
    let mut arrays = Vec::new();
    for (TensorInfo { dtype, shape, data_offsets: (start, end) }, name) in infos {
        let dtype = ours(*dtype).ok_or_else(|| {
            let all: Vec<_> = DType::ALL.iter().map(|d| d.name()).collect();
            refuse(format!("array \"{name}\" of dtype {dtype:?}"), &format_args!("one of {}", all.join(", ")))
        })?;
        let mut bytes = Vec::new();
        from.by_ref().take((end - start) as u64).read_to_end(&mut bytes).map_err(failed)?;
        let array = HostArray { desc: TensorDesc { shape: Shape::new(shape), dtype }, bytes };
        array.check().map_err(|e| e.at(format!("{place}: array \"{name}\"")))?;
        arrays.push((name, array));
    }
    Ok(arrays)
}

/// Writes named arrays to a file, [atomically](save_atomically).
///
/// # Errors
/// As [`write()`].
pub fn save(path: impl AsRef<Path>, arrays: &[(String, HostArray)]) -> Result<()> {
    let path = path.as_ref();
    save_atomically(path, |out| write(out, &path.display().to_string(), arrays))
}

/// Writes named arrays to a stream called `place` in errors.
///
/// # Errors
/// An array whose bytes are not as many as its shape says, and a name that is there twice or reserved; the write that failed.
pub fn write(out: &mut impl Write, place: &str, arrays: &[(String, HostArray)]) -> Result<()> {
    const RESERVED: &str = "__metadata__";
    let mut seen = HashSet::new();
    for (name, array) in arrays {
        let refuse = |what: &str| Error::Data(format!("{place}: array \"{name}\" {what}"));
        array.check().map_err(|e| e.at(format!("array \"{name}\"")))?;
        if name == RESERVED {
            return Err(refuse("has a name that safetensors files keep for themselves, wanted another"));
        }
        if !seen.insert(name) {
            return Err(refuse("is there twice, wanted names that differ"));
        }
    }
    let mut order: Vec<&(String, HostArray)> = arrays.iter().collect();
    order.sort_by_key(|(_, array)| Reverse(array.desc.dtype.size_bytes()));
    let mut at = 0;
    let info = |(name, array): &&(String, HostArray)| {
        let start = at;
        at += array.bytes.len();
        let (dtype, shape) = (theirs(array.desc.dtype), array.desc.shape.dims().to_vec());
        (name.clone(), TensorInfo { dtype, shape, data_offsets: (start, at) })
    };
    let infos = order.iter().map(info).collect();
    let format = HashMap::from([("format".to_string(), "varflow".to_string())]);
    let refuse = |e: String| Error::Data(format!("cannot write {place}: {e}"));
    let metadata = Metadata::new(Some(format), infos).map_err(|e| refuse(e.to_string()))?;
    let mut header = serde_json::to_vec(&metadata).map_err(|e| refuse(e.to_string()))?;
    // Spaces, so that the elements begin at a multiple of the largest element's size.
    header.resize(header.len().next_multiple_of(PREFIX_BYTES as usize), b' ');
    let failed = |e| Error::io(format!("cannot write {place}"), e);
    out.write_all(&(header.len() as u64).to_le_bytes()).map_err(failed)?;
    out.write_all(&header).map_err(failed)?;
    order.iter().try_for_each(|(_, array)| out.write_all(&array.bytes)).map_err(failed)
}

/// Each dtype, and what the format calls it.
const DTYPES: [(DType, Dtype); 13] = [
    (DType::F32, Dtype::F32),
    (DType::F64, Dtype::F64),
    (DType::F16, Dtype::F16),
    (DType::U8, Dtype::U8),
    (DType::I32, Dtype::I32),
    (DType::I8, Dtype::I8),
    (DType::I64, Dtype::I64),
    (DType::Bool, Dtype::BOOL),
    (DType::I16, Dtype::I16),
    (DType::U16, Dtype::U16),
    (DType::U32, Dtype::U32),
    (DType::U64, Dtype::U64),
    (DType::BF16, Dtype::BF16),
];

fn ours(theirs: Dtype) -> Option<DType> {
    DTYPES.iter().find(|(_, t)| *t == theirs).map(|(ours, _)| *ours)
}

fn theirs(ours: DType) -> Dtype {
    DTYPES[ours as usize].1
}
