//! Files that are either the old one or the new one, whole.

use std::fs::{self, File, OpenOptions};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use varflow_ops::{Error, Result};

/// Writes a file so that, whatever happens on the way, `path` holds its old contents or the new ones: `write` goes to a temporary
/// file in the same folder, which is brought to disk and then renamed.
///
/// # Errors
/// What `write` says, or the file operation that failed. The temporary file is then gone and the old file is as it was; only
/// when the last step, bringing the folder to disk, fails is the new file there already.
pub fn save_atomically(path: impl AsRef<Path>, write: impl FnOnce(&mut BufWriter<File>) -> Result<()>) -> Result<()> {
    let path = path.as_ref();
    let failed = |what: &str, e| Error::io(format!("cannot {what} {}", path.display()), e);
    if fs::metadata(path).is_ok_and(|m| !m.is_file()) {
        return Err(Error::Data(format!("cannot write {}: it is there and not a regular file", path.display())));
    }
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (temporary, file) = create_beside(path, folder).map_err(|e| failed("create a file beside", e))?;
    let written = (|| {
        let mut out = BufWriter::with_capacity(1 << 16, file);
        write(&mut out)?;
        let file = out.into_inner().map_err(|e| failed("write", e.into_error()))?;
        file.sync_all().map_err(|e| failed("bring to disk", e))?;
        fs::rename(&temporary, path).map_err(|e| failed("replace", e))
    })();
    if written.is_err() {
        // The first error is the one to tell; that its leftover could not be removed adds nothing.
        let _ = fs::remove_file(&temporary);
        return written;
    }
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| failed("bring to disk the folder of", e))
}

fn create_beside(path: &Path, folder: &Path) -> std::io::Result<(PathBuf, File)> {
    let name = path.file_name().ok_or_else(|| std::io::Error::other("it names no file"))?;
    let mut attempt = 0;
    loop {
        let mut temporary = std::ffi::OsString::from(".");
        temporary.push(name);
        temporary.push(format!(".{}.{attempt}.tmp", std::process::id()));
        let temporary = folder.join(temporary);
        match OpenOptions::new().write(true).create_new(true).open(&temporary) {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists && attempt < 1000 => attempt += 1,
            opened => return opened.map(|file| (temporary, file)),
        }
    }
}
