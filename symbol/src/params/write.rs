//! Writing `.params`.

use super::{LIST_MAGIC, V2_MAGIC, V3_MAGIC};
use crate::HostArray;
use std::collections::HashSet;
use std::io::{self, Write};
use std::path::Path;
use varflow_ops::{Error, Result, save_atomically};

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
/// The form is V2, or V3 if there is an array of rank 0, since V2 has none. MXNet reads V3 only with its NumPy semantics
/// switched on, and V2 only with them switched off, so that one file is of one form.
///
/// # Errors
/// An array whose bytes are not as many as its shape says, and a name that is there twice; the write that failed.
pub fn write(out: &mut impl Write, place: &str, arrays: &[(String, HostArray)]) -> Result<()> {
    let mut seen = HashSet::new();
    for (name, array) in arrays {
        array.check().map_err(|e| e.at(format!("array \"{name}\"")))?;
        if !seen.insert(name) {
            return Err(Error::Data(format!("{place}: array \"{name}\" is there twice, wanted names that differ")));
        }
    }
    write_all(out, arrays).map_err(|e| Error::io(format!("cannot write {place}"), e))
}

fn write_all(out: &mut impl Write, arrays: &[(String, HostArray)]) -> io::Result<()> {
    let count = (arrays.len() as u64).to_le_bytes();
    out.write_all(&LIST_MAGIC.to_le_bytes())?;
    out.write_all(&0_u64.to_le_bytes())?;
    out.write_all(&count)?;
    let has_scalar = arrays.iter().any(|(_, array)| array.desc.shape.rank() == 0);
    let magic = if has_scalar { V3_MAGIC } else { V2_MAGIC };
    for (_, array) in arrays {
        write_array(out, magic, array)?;
    }
    out.write_all(&count)?;
    for (name, _) in arrays {
        out.write_all(&(name.len() as u64).to_le_bytes())?;
        out.write_all(name.as_bytes())?;
    }
    Ok(())
}

fn write_array(out: &mut impl Write, magic: u32, array: &HostArray) -> io::Result<()> {
    const DENSE: i32 = 0;
    const CPU: i32 = 1;
    const DEVICE_ID: i32 = 0;
    let dims = array.desc.shape.dims();
    let rank = i32::try_from(dims.len()).map_err(io::Error::other)?;
    out.write_all(&magic.to_le_bytes())?;
    out.write_all(&DENSE.to_le_bytes())?;
    out.write_all(&rank.to_le_bytes())?;
    for dim in dims {
        out.write_all(&(*dim as u64).to_le_bytes())?;
    }
    for field in [CPU, DEVICE_ID, array.desc.dtype as i32] {
        out.write_all(&field.to_le_bytes())?;
    }
    out.write_all(&array.bytes)
}
