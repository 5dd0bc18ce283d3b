//! Whether an ELF file is all there.
//!
//! The system's loader maps the segments that the file's header lists without comparing them with its length: a file that was
//! cut off, as by a copy that was interrupted, ends the process by a bus error when its missing part is touched.

use crate::{Error, Result};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

/// The sizes of the header and of one entry of the program header table, 64-bit form.
const HEADER_BYTES: usize = 64;
const SEGMENT_BYTES: usize = 56;
/// The type of a segment that is mapped.
const PT_LOAD: u32 = 1;

/// Refuses a 64-bit little-endian ELF file that is shorter than its segments say. Other files are for the system to judge.
///
/// # Errors
/// The length that the file has, and that it should have.
pub(super) fn check_whole(file: &mut File) -> Result<()> {
    let Ok(has) = file.metadata().map(|m| m.len()) else { return Ok(()) };
    let mut header = [0; HEADER_BYTES];
    if file.read_exact(&mut header).is_err() || !header.starts_with(b"\x7fELF\x02\x01") {
        return Ok(());
    }
    let (entry_bytes, count) = (number(&header, 54, 2) as usize, number(&header, 56, 2));
    let mut least = 0;
    if file.seek(SeekFrom::Start(number(&header, 32, 8))).is_err() || entry_bytes < SEGMENT_BYTES {
        return Ok(());
    }
    let mut entry = vec![0; entry_bytes];
    for _ in 0..count {
        if file.read_exact(&mut entry).is_err() {
            break; // the loader reads the table too, and says so
        }
        if number(&entry, 0, 4) == u64::from(PT_LOAD) {
            least = number(&entry, 8, 8).saturating_add(number(&entry, 32, 8)).max(least);
        }
    }
    if has < least {
        return Err(Error::Plugin(format!("is cut off: it has {has} bytes, wanted {least} at least by its header")));
    }
    Ok(())
}

fn number(bytes: &[u8], at: usize, len: usize) -> u64 {
    bytes[at..at + len].iter().rev().fold(0, |n, b| n << 8 | u64::from(*b))
}
