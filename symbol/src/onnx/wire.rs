//! Protocol buffers, as far as files of models need them: fields by number, borrowed from the bytes.
//!
//! The wire format is four kinds of fields; reading it here instead of by generated code keeps the weights where they are in
//! the file's bytes and gives errors the place of the fault.

use std::fmt::Display;
use varflow_ops::{Error, Result};

/// A message, being read.
#[derive(Clone, Copy)]
pub(super) struct Wire<'a> {
    bytes: &'a [u8],
    /// Where `bytes` begin in the file.
    start: usize,
}

/// What a field holds.
#[derive(Clone, Copy)]
pub(super) enum Field<'a> {
    /// An integer.
    Varint(u64),
    /// Four bytes, a float.
    Fixed32([u8; 4]),
    /// Eight bytes, a double.
    Fixed64([u8; 8]),
    /// A text, bytes, a message or packed numbers.
    Bytes(Wire<'a>),
}

impl<'a> Wire<'a> {
    /// The message that a file is.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Wire { bytes, start: 0 }
    }

    /// All bytes that are left.
    pub(super) fn rest(self) -> &'a [u8] {
        self.bytes
    }

    /// The next field and its number; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Field<'a>)>> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let at = self.start;
        let key = self.varint()?;
        let field = match key & 7 {
            0 => Field::Varint(self.varint()?),
            1 => Field::Fixed64(self.array()?),
            2 => {
                let n = self.varint()?;
                Field::Bytes(self.take(n)?)
            }
            5 => Field::Fixed32(self.array()?),
            other => return Err(refuse(at, format_args!("a field of wire type {other}"), "0, 1, 2 or 5")),
        };
        Ok(Some((key >> 3, field)))
    }

    /// The next integer: seven bits a byte, least significant first.
    pub(super) fn varint(&mut self) -> Result<u64> {
        let mut value = 0;
        for i in 0..10 {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(refuse(self.start, "an integer that goes on", "its end within ten bytes"))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let Some((first, rest)) = self.bytes.split_first_chunk::<N>() else {
            let has = format_args!("{} bytes to the end of a message", self.bytes.len());
            return Err(refuse(self.start, has, format_args!("{N}")));
        };
        (self.bytes, self.start) = (rest, self.start + N);
        Ok(*first)
    }

    fn take(&mut self, n: u64) -> Result<Wire<'a>> {
        let part = usize::try_from(n).ok().and_then(|n| self.bytes.split_at_checked(n));
        let (first, rest) = part.ok_or_else(|| {
            let has = format_args!("a part of {n} bytes");
            refuse(self.start, has, format_args!("at most {} to the end of its message", self.bytes.len()))
        })?;
        let taken = Wire { bytes: first, start: self.start };
        (self.bytes, self.start) = (rest, self.start + first.len());
        Ok(taken)
    }

    fn wrong(&self, wanted: &str) -> Error {
        refuse(self.start, "a field of another kind", wanted)
    }
}

impl<'a> Field<'a> {
    /// A message.
    pub(super) fn message(self) -> Result<Wire<'a>> {
        match self {
            Field::Bytes(wire) => Ok(wire),
            _ => Err(Error::Data("has a number in place of a message".to_string())),
        }
    }

    /// A text.
    pub(super) fn text(self) -> Result<&'a str> {
        let wire = self.message()?;
        std::str::from_utf8(wire.bytes).map_err(|e| refuse(wire.start, e, "a text in UTF-8"))
    }

    /// An integer; negative ones are written as large ones.
    pub(super) fn int(self) -> Result<i64> {
        match self {
            Field::Varint(value) => Ok(value.cast_signed()),
            Field::Bytes(wire) => Err(wire.wrong("an integer")),
            _ => Err(Error::Data("has a float in place of an integer".to_string())),
        }
    }

    /// A float.
    pub(super) fn float(self) -> Result<f32> {
        match self {
            Field::Fixed32(bytes) => Ok(f32::from_le_bytes(bytes)),
            Field::Bytes(wire) => Err(wire.wrong("a float")),
            _ => Err(Error::Data("has another number in place of a float".to_string())),
        }
    }

    /// Adds integers, packed or one alone.
    pub(super) fn ints(self, to: &mut Vec<i64>) -> Result<()> {
        let Field::Bytes(mut wire) = self else {
            to.push(self.int()?);
            return Ok(());
        };
        while !wire.bytes.is_empty() {
            to.push(wire.varint()?.cast_signed());
        }
        Ok(())
    }

    /// Adds the bytes of floats of `N` bytes, packed or one alone.
    pub(super) fn fixed<const N: usize>(self, to: &mut Vec<u8>) -> Result<()> {
        match self {
            Field::Bytes(wire) if wire.bytes.len() % N == 0 => to.extend_from_slice(wire.bytes),
            Field::Fixed32(bytes) if N == 4 => to.extend_from_slice(&bytes),
            Field::Fixed64(bytes) if N == 8 => to.extend_from_slice(&bytes),
            Field::Bytes(wire) => return Err(wire.wrong("numbers, packed")),
            _ => return Err(Error::Data(format!("has another number in place of one of {N} bytes"))),
        }
        Ok(())
    }
}

fn refuse(at: usize, has: impl Display, wanted: impl Display) -> Error {
    Error::Data(format!("byte {at}: has {has}, expected {wanted}"))
}
