//! Elements of tensors: typed, raw, or in a file beside the model.

use super::proto::Tensor;
use crate::HostArray;
use crate::host_array::len_bytes;
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};
use varflow_ops::{DType, Error, Result, Shape, TensorDesc};

/// What a dtype of ONNX files becomes. Networks in halves are computed in float32, since most operators have no kernels for
/// halves.
///
/// # Errors
/// Texts, complex numbers and numbers of less than a byte.
pub(super) fn dtype(code: i64) -> Result<DType> {
    stored(code).map(|dtype| if matches!(dtype, DType::F16 | DType::BF16) { DType::F32 } else { dtype })
}

/// The dtype of a number in ONNX files, as it is stored.
fn stored(code: i64) -> Result<DType> {
    Ok(match code {
        1 => DType::F32,
        2 => DType::U8,
        3 => DType::I8,
        4 => DType::U16,
        5 => DType::I16,
        6 => DType::I32,
        7 => DType::I64,
        9 => DType::Bool,
        10 => DType::F16,
        11 => DType::F64,
        12 => DType::U32,
        13 => DType::U64,
        16 => DType::BF16,
        other => {
            let wanted = "1 (float) to 7 (int64), 9 (bool) to 13 (uint64) or 16 (bfloat16)";
            return Err(Error::DType(format!("has elements of type {other}, wanted {wanted}")));
        }
    })
}

/// Halves as float32, other elements as they are.
fn widened(array: HostArray) -> Result<HostArray> {
    let shape = array.desc.shape.clone();
    match array.desc.dtype {
        DType::F16 => {
            let values: Vec<f32> = array.to_vec::<half::f16>()?.into_iter().map(f32::from).collect();
            HostArray::from_slice(shape, &values)
        }
        DType::BF16 => {
            let values: Vec<f32> = array.to_vec::<half::bf16>()?.into_iter().map(f32::from).collect();
            HostArray::from_slice(shape, &values)
        }
        _ => Ok(array),
    }
}

/// Where tensors kept outside of the model's file are.
pub(super) struct External {
    /// The model's folder; `None` where there is no file.
    folder: Option<PathBuf>,
    /// Bytes read so far of each file: a small model could else name one large file many times.
    read: HashMap<PathBuf, u64>,
}

impl External {
    /// Files in this folder.
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        External { folder, read: HashMap::new() }
    }

    /// The tensor as an array.
    ///
    /// # Errors
    /// Elements that are not as many as its shape says; another file that is outside of the folder, absent or too short.
    pub(super) fn array(&mut self, tensor: &Tensor<'_>) -> Result<HostArray> {
        let dtype = stored(tensor.data_type)?;
        let extent = |d: &i64| {
            usize::try_from(*d).map_err(|_| Error::Data(format!("has an extent of {d}, wanted one of at least 0")))
        };
        let shape = Shape::from(tensor.dims.iter().map(extent).collect::<Result<Vec<_>>>()?);
        let wanted = len_bytes(&shape, dtype)
            .ok_or_else(|| Error::Data(format!("has shape {shape}, which is more than memory can hold")))?;
        let bytes = if tensor.is_external {
            self.read(tensor, wanted)?
        } else if let Some(raw) = tensor.raw {
            raw.to_vec()
        } else if matches!(dtype, DType::F32 | DType::F64) {
            tensor.floats.clone()
        } else {
            // Halves are kept as the integers of the same bits.
            let size = dtype.size_bytes();
            tensor.ints.iter().flat_map(|v| v.to_le_bytes().into_iter().take(size)).collect()
        };
        let array = HostArray { desc: TensorDesc { shape, dtype }, bytes };
        array.check()?;
        widened(array)
    }

    fn read(&mut self, tensor: &Tensor<'_>, wanted: usize) -> Result<Vec<u8>> {
        let entry = |key: &str| tensor.external.iter().find(|(k, _)| *k == key).map(|(_, value)| *value);
        let number = |key: &str| {
            let parse = |v: &str| v.parse::<u64>();
            let read = entry(key).map(parse).transpose();
            read.map_err(|_| Error::Data(format!("has {key} \"{}\", wanted a number", entry(key).unwrap_or_default())))
        };
        let location = entry("location").unwrap_or_default();
        let path = self.inside(location)?;
        let failed = |e| Error::io(format!("cannot read {}", path.display()), e);
        let mut file = File::open(&path).map_err(failed)?;
        let len = file.metadata().map_err(failed)?.len();
        let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?.unwrap_or(wanted as u64));
        if length != wanted as u64 || offset.checked_add(length).is_none_or(|end| end > len) {
            return Err(Error::Data(format!(
                "lies at byte {offset} of {}, {length} bytes long, wanted {wanted} bytes inside the file's {len}",
                path.display()
            )));
        }
        let read = self.read.entry(path.clone()).or_insert(0);
        *read += length;
        if *read > len.saturating_mul(2) {
            let what =
                format!("{} is named by tensors of {read} bytes, wanted at most twice its {len}", path.display());
            return Err(Error::Data(what));
        }
        file.seek(SeekFrom::Start(offset)).map_err(failed)?;
        let mut bytes = Vec::new();
        file.take(length).read_to_end(&mut bytes).map_err(failed)?;
        Ok(bytes)
    }

    /// The path of a file in the folder. Links out of it are refused too.
    fn inside(&self, location: &str) -> Result<PathBuf> {
        let refuse = |why: &str| {
            let wanted = "wanted the relative path of a file in the model's folder";
            Error::Data(format!("is kept in the file \"{location}\", {why}: {wanted}"))
        };
        let folder = self.folder.as_ref().ok_or_else(|| refuse("but the model came without a folder"))?;
        let relative = Path::new(location);
        let is_plain = relative.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
        if location.is_empty() || !is_plain {
            return Err(refuse("which is no path in that folder"));
        }
        let whole =
            |path: &Path| path.canonicalize().map_err(|e| Error::io(format!("cannot read {}", path.display()), e));
        let (folder, path) = (whole(folder)?, whole(&folder.join(relative))?);
        if path.starts_with(&folder) && path.is_file() {
            Ok(path)
        } else {
            Err(refuse("which is elsewhere or no file"))
        }
    }
}
