//! Reading `.params`.

use super::{LIST_MAGIC, V1_MAGIC, V2_MAGIC, V3_MAGIC};
use crate::HostArray;
use crate::host_array::len_bytes;
use std::collections::HashSet;
use std::fmt::Display;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use varflow_ops::{DType, Error, Result, Shape, TensorDesc};

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

/// Reads named arrays from a stream of `len_bytes`, called `place` in errors. No more memory is asked for than the stream has
/// bytes.
///
/// Arrays of a file without names are called by their numbers. An array that MXNet saved before it had a shape has shape `(0,)`.
///
/// # Errors
/// [`Error::Data`] with byte offset, what is there and what was expected; sparse arrays are refused by name.
pub fn read(from: impl Read, len_bytes: u64, place: &str) -> Result<Vec<(String, HostArray)>> {
    Reader { from, at: 0, len: len_bytes, place }.read()
}

struct Reader<'a, R> {
    from: R,
    /// Bytes read so far.
    at: u64,
    /// Bytes there are.
    len: u64,
    place: &'a str,
}

impl<R: Read> Reader<'_, R> {
    fn read(mut self) -> Result<Vec<(String, HostArray)>> {
        const RANK: u64 = 4;
        const LEN: u64 = 8;
        self.expect("the magic number of a list of arrays", LIST_MAGIC)?;
        self.expect("a reserved word", 0)?;
        let n = self.count("arrays", RANK)?;
        let mut arrays = Vec::new();
        for _ in 0..n {
            arrays.push(self.array()?);
        }
        let start = self.at;
        let m = self.count("names", LEN)?;
        if m != 0 && m != n {
            return Err(self.refuse(
                start,
                format_args!("{m} names"),
                format_args!("none or {n}, as there are arrays"),
            ));
        }
        let mut names = Vec::new();
        let mut seen = HashSet::new();
        for i in 0..m {
            let start = self.at;
            let name = self.name()?;
            if !seen.insert(name.clone()) {
                return Err(self.refuse(
                    start,
                    format_args!("the name \"{name}\" again"),
                    format_args!("another, for array {i}"),
                ));
            }
            names.push(name);
        }
        if self.at != self.len {
            return Err(self.refuse(self.at, format_args!("{} bytes more", self.len - self.at), "the end"));
        }
        if m == 0 {
            names.extend((0..n).map(|i| i.to_string()));
        }
        let dense = |(name, (start, array)): (String, (u64, Array))| match array {
            Array::Dense(array) => Ok((name, array)),
            Array::Sparse(kind) => {
                let has = format!("array \"{name}\", which is sparse ({kind})");
                Err(self.refuse(start, has, "a dense one: sparse arrays are not read"))
            }
        };
        names.into_iter().zip(arrays).map(dense).collect()
    }

    fn array(&mut self) -> Result<(u64, Array)> {
        let start = self.at;
        let magic = self.u32("an array")?;
        let mut kind = "default";
        let mut aux = 0;
        if matches!(magic, V2_MAGIC | V3_MAGIC) {
            (kind, aux) = match self.i32("a storage type")? {
                0 => ("default", 0),
                1 if magic == V2_MAGIC => ("row_sparse", 1),
                2 if magic == V2_MAGIC => ("csr", 2),
                other => {
                    let wanted = "0 for dense, or in the form V2 1 for row_sparse, 2 for csr";
                    return Err(self.refuse(self.at - 4, format_args!("storage type {other}"), wanted));
                }
            };
        }
        let stored = if aux > 0 { Some(self.dims(V2_MAGIC)?) } else { None };
        let shape = self.dims(magic)?;
        if shape.rank() == 0 && magic != V3_MAGIC {
            return Ok((start, Array::Dense(HostArray { desc: TensorDesc::new([0], DType::F32), bytes: Vec::new() })));
        }
        self.device()?;
        let dtype = self.dtype()?;
        let mut parts = Vec::new();
        for _ in 0..aux {
            parts.push((self.dtype()?, self.dims(V2_MAGIC)?));
        }
        if let Some(mut stored) = stored {
            // MXNet may leave the storage shape as it was before the array was filled. Values of a csr array are as many as
            // its column numbers, rows of a row-sparse one as many as its row numbers.
            if let Some((_, numbers)) = parts.last() {
                let row: &[usize] = if kind == "csr" { &[] } else { stored.dims().get(1..).unwrap_or_default() };
                stored = numbers.dims().iter().chain(row).copied().collect();
            }
            for (dtype, shape) in std::iter::once((dtype, stored)).chain(parts) {
                self.skip_data(&shape, dtype)?;
            }
            return Ok((start, Array::Sparse(kind)));
        }
        let bytes = self.data_len(&shape, dtype)?;
        let bytes = self.bytes(bytes, format_args!("the elements of a {dtype} array of shape {shape}"))?;
        Ok((start, Array::Dense(HostArray { desc: TensorDesc { shape, dtype }, bytes })))
    }

    /// Reads a shape. In the oldest form `magic` is the rank, and dimensions are narrower.
    fn dims(&mut self, magic: u32) -> Result<Shape> {
        let start = self.at;
        let old = !matches!(magic, V1_MAGIC | V2_MAGIC | V3_MAGIC);
        let (rank, width) = if old { (i64::from(magic), 4) } else { (i64::from(self.i32("a rank")?), 8) };
        let room = (self.len - self.at) / width;
        let rank = u64::try_from(rank).ok().filter(|r| *r <= room).ok_or_else(|| {
            let what = if old { "a magic number or rank" } else { "a rank" };
            self.refuse(
                if old { start - 4 } else { start },
                format_args!("{what} of {rank}"),
                format_args!("a rank for which there is room, 0 to {room}"),
            )
        })?;
        let mut dims = Vec::new();
        for _ in 0..rank {
            let start = self.at;
            let dim = if old { i64::from(self.u32("a dimension")?) } else { self.i64("a dimension")? };
            let dim =
                usize::try_from(dim).map_err(|_| self.refuse(start, format_args!("dimension {dim}"), "0 or more"))?;
            dims.push(dim);
        }
        Ok(Shape::from(dims))
    }

    fn device(&mut self) -> Result<()> {
        match self.i32("a device type")? {
            1..=3 => self.i32("a device number").map(|_| ()),
            other => {
                let has = format!("device type {other}");
                Err(self.refuse(self.at - 4, has, "1 for cpu, 2 for gpu or 3 for pinned memory"))
            }
        }
    }

    fn dtype(&mut self) -> Result<DType> {
        let code = self.i32("a dtype")?;
        let refuse = || self.refuse(self.at - 4, format_args!("dtype {code}"), "0 (float32) to 12 (bfloat16)");
        DType::from_code(code).ok_or_else(refuse)
    }

    fn name(&mut self) -> Result<String> {
        let n = self.u64("the length of a name")?;
        let start = self.at;
        let bytes = self.bytes(n, format_args!("a name of {n} bytes"))?;
        let refuse = |e: std::string::FromUtf8Error| self.refuse(start, e.utf8_error(), "a name in UTF-8");
        String::from_utf8(bytes).map_err(refuse)
    }

    /// How many things follow, each of at least `least` bytes.
    fn count(&mut self, of: &str, least: u64) -> Result<u64> {
        let n = self.u64(of)?;
        let room = (self.len - self.at) / least;
        if n <= room {
            return Ok(n);
        }
        Err(self.refuse(self.at - 8, format_args!("{n} {of}"), format_args!("at most {room}, for which there is room")))
    }

    fn data_len(&self, shape: &Shape, dtype: DType) -> Result<u64> {
        let n = len_bytes(shape, dtype).map(|n| n as u64).filter(|n| *n <= self.len - self.at);
        n.ok_or_else(|| {
            let has = format!("a {dtype} array of shape {shape}");
            self.refuse(self.at, has, format_args!("no more than the {} bytes left", self.len - self.at))
        })
    }

    fn skip_data(&mut self, shape: &Shape, dtype: DType) -> Result<()> {
        let n = self.data_len(shape, dtype)?;
        let copied = std::io::copy(&mut self.from.by_ref().take(n), &mut std::io::sink());
        let copied = copied.map_err(|e| self.failed(e))?;
        self.at += copied;
        if copied == n {
            Ok(())
        } else {
            Err(self.refuse(self.at, "the end", format_args!("{} bytes more", n - copied)))
        }
    }

    fn bytes(&mut self, n: u64, what: impl Display) -> Result<Vec<u8>> {
        let left = self.len - self.at;
        let room = usize::try_from(n).ok().filter(|_| n <= left);
        let room = room.ok_or_else(|| self.refuse(self.at, format_args!("{left} bytes to the end"), &what))?;
        let mut bytes = Vec::with_capacity(room);
        let read = self.from.by_ref().take(n).read_to_end(&mut bytes).map_err(|e| self.failed(e))?;
        self.at += read as u64;
        if read == room { Ok(bytes) } else { Err(self.refuse(self.at, "the end", what)) }
    }

    fn array_of<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        let mut word = [0; N];
        let left = self.len - self.at;
        if left < N as u64 {
            return Err(self.refuse(self.at, format_args!("{left} bytes to the end"), what));
        }
        self.from.read_exact(&mut word).map_err(|e| self.failed(e))?;
        self.at += N as u64;
        Ok(word)
    }

    fn u32(&mut self, what: &str) -> Result<u32> {
        self.array_of(what).map(u32::from_le_bytes)
    }

    fn i32(&mut self, what: &str) -> Result<i32> {
        self.array_of(what).map(i32::from_le_bytes)
    }

    fn u64(&mut self, what: &str) -> Result<u64> {
        self.array_of(what).map(u64::from_le_bytes)
    }

    fn i64(&mut self, what: &str) -> Result<i64> {
        self.array_of(what).map(i64::from_le_bytes)
    }

    fn expect(&mut self, what: &str, wanted: u64) -> Result<()> {
        let has = self.u64(what)?;
        if has == wanted {
            return Ok(());
        }
        Err(self.refuse(self.at - 8, format_args!("{has:#x}"), format_args!("{what}, {wanted:#x}")))
    }

    fn refuse(&self, at: u64, has: impl Display, wanted: impl Display) -> Error {
        Error::Data(format!("{}: byte {at}: has {has}, expected {wanted}", self.place))
    }

    fn failed(&self, e: std::io::Error) -> Error {
        Error::io(format!("cannot read {} at byte {}", self.place, self.at), e)
    }
}

enum Array {
    Dense(HostArray),
    Sparse(&'static str),
}
