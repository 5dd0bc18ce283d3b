//! A file or a byte string being read: it knows its name and how far it is read, so that every complaint can say where.

use flate2::bufread::MultiGzDecoder;
use std::fmt::Display;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use varflow_ops::{Error, Result};

const BUFFER_BYTES: usize = 1 << 16;

/// A byte stream. Gzip is recognised by its first two bytes and unpacked; positions are then those of the contents.
pub(crate) struct Input<'a> {
    name: String,
    reader: Box<dyn Read + 'a>,
    /// Bytes read so far.
    offset: u64,
    packed: bool,
    /// Bytes in all, where that is known beforehand.
    len: Option<u64>,
}

impl Input<'static> {
    /// Opens a file.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let fail = |e| Error::io(format!("cannot read {name}"), e);
        let file = File::open(path).map_err(fail)?;
        let meta = file.metadata().map_err(fail)?;
        let len = meta.is_file().then_some(meta.len());
        Input::new(&name, BufReader::with_capacity(BUFFER_BYTES, file), len)
    }
}

impl<'a> Input<'a> {
    /// Reads from memory. `name` is what errors call it.
    pub(crate) fn from_bytes(name: &str, bytes: &'a [u8]) -> Result<Self> {
        Input::new(name, bytes, Some(bytes.len() as u64))
    }

    fn new(name: &str, mut reader: impl BufRead + 'a, len: Option<u64>) -> Result<Self> {
        let start = reader.fill_buf().map_err(|e| Error::io(format!("cannot read {name}"), e))?;
        let packed = start.starts_with(&[0x1f, 0x8b]);
        let reader: Box<dyn Read> = if packed { Box::new(MultiGzDecoder::new(reader)) } else { Box::new(reader) };
        Ok(Input { name: name.to_string(), reader, offset: 0, packed, len: len.filter(|_| !packed) })
    }

    /// What errors call it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Bytes read so far.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next `N` bytes; `what` says what they are, for the error at an early end.
    pub(crate) fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        let mut out = [0; N];
        let mut have = 0;
        while have < N {
            match self.read(&mut out[have..])? {
                0 => return Err(self.ended(what, (N - have) as u64)),
                n => have += n,
            }
        }
        Ok(out)
    }

    /// The next `n` bytes. Memory grows with what is really there, never ahead of it, whatever `n` claims.
    pub(crate) fn bytes(&mut self, n: u64, what: &str) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        if let Some(there) = self.len.map(|len| len.saturating_sub(self.offset).min(n)) {
            let refuse = |_| Error::Data(format!("{}: there is no memory for its {there} bytes of {what}", self.name));
            out.try_reserve_exact(usize::try_from(there).unwrap_or(usize::MAX)).map_err(refuse)?;
        }
        let read = self.reader.by_ref().take(n).read_to_end(&mut out);
        self.offset += out.len() as u64;
        read.map_err(|e| self.unreadable(e))?;
        match n - out.len() as u64 {
            0 => Ok(out),
            missing => Err(self.ended(what, missing)),
        }
    }

    /// Hands the rest to `take`, piece by piece.
    pub(crate) fn drain(&mut self, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            match self.read(&mut buffer)? {
                0 => return Ok(()),
                n => take(&buffer[..n])?,
            }
        }
    }

    /// Refuses bytes after the last one that belongs there.
    pub(crate) fn expect_end(&mut self, what: &str) -> Result<()> {
        let at = self.offset;
        match self.read(&mut [0])? {
            0 => Ok(()),
            _ => Err(self.malformed(at, "more bytes", format!("the end of the file, after {what}"))),
        }
    }

    /// The error for something at byte `at` that is not what it should be.
    pub(crate) fn malformed(&self, at: u64, found: impl Display, wanted: impl Display) -> Error {
        let of = if self.packed { " of the unpacked contents" } else { "" };
        Error::Data(format!("{}: at byte {at}{of}: found {found}, wanted {wanted}", self.name))
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        loop {
            match self.reader.read(buffer) {
                Ok(n) => {
                    self.offset += n as u64;
                    return Ok(n);
                }
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.unreadable(e)),
            }
        }
    }

    fn ended(&self, what: &str, missing: u64) -> Error {
        self.malformed(self.offset, "the end of the file", format!("{missing} more bytes of {what}"))
    }

    fn unreadable(&self, e: std::io::Error) -> Error {
        if self.packed {
            return self.malformed(self.offset, format!("damaged gzip data ({e})"), "an intact gzip file");
        }
        Error::io(format!("cannot read {} at byte {}", self.name, self.offset), e)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut to = GzEncoder::new(Vec::new(), Compression::fast());
        to.write_all(bytes).unwrap();
        to.finish().unwrap()
    }

    #[test]
    fn gzip_is_told_by_content() {
        for bytes in [b"abcdef".to_vec(), gzip(b"abcdef"), [gzip(b"abc"), gzip(b"def")].concat()] {
            let mut input = Input::from_bytes("x", &bytes).unwrap();
            assert_eq!(input.array::<2>("head").unwrap(), *b"ab");
            assert_eq!(input.bytes(4, "tail").unwrap(), b"cdef");
            input.expect_end("tail").unwrap();
        }
    }

    #[test]
    fn damage_is_told_with_its_place() {
        let mut whole = gzip(b"abcdef");
        whole.extend(b"junk");
        let cut = &gzip(b"abcdef")[..12];
        for bytes in [&whole[..], cut] {
            let mut input = Input::from_bytes("x.gz", bytes).unwrap();
            let told = input.drain(|_| Ok(())).unwrap_err().to_string();
            assert!(told.starts_with("x.gz: at byte ") && told.contains("damaged gzip"), "{told}");
        }
        let mut short = Input::from_bytes("x", b"abc").unwrap();
        let told = short.bytes(u64::MAX, "pixels").unwrap_err().to_string();
        let wanted = u64::MAX - 3;
        assert_eq!(told, format!("x: at byte 3: found the end of the file, wanted {wanted} more bytes of pixels"));
    }
}
