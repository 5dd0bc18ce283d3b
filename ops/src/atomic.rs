//! Files that are either the old one or the new one, whole.

use crate::{Error, Result};
use std::fs::{self, File, OpenOptions};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

/// Writes a file so that, whatever happens on the way, `path` holds its old contents or the new ones: `write` goes to a temporary
/// file in the same folder, which is brought to disk and then renamed.
///
/// # Errors
/// What `write` says, or the file operation that failed. The temporary file is then gone and the old file is as it was; only
/// when the last step, bringing the folder to disk, fails is the new file there already.
pub fn save_atomically(path: impl AsRef<Path>, write: impl FnOnce(&mut BufWriter<File>) -> Result<()>) -> Result<()> {
    StagedFile::write(path, write)?.commit()
}

/// A file written under a temporary name beside the one that it is to replace. Dropped before it is [committed](Self::commit), it
/// is removed. So files that belong together can all be written before any of them is replaced.
#[derive(Debug)]
pub struct StagedFile {
    temporary: PathBuf,
    path: PathBuf,
}

impl StagedFile {
    /// Writes the temporary file and brings it to disk.
    ///
    /// # Errors
    /// What `write` says, or the file operation that failed; a `path` that is there and not a regular file.
    pub fn write(path: impl AsRef<Path>, write: impl FnOnce(&mut BufWriter<File>) -> Result<()>) -> Result<StagedFile> {
        let path = path.as_ref();
        let failed = |what: &str, e| Error::io(format!("cannot {what} {}", path.display()), e);
        if fs::metadata(path).is_ok_and(|m| !m.is_file()) {
            return Err(Error::Data(format!("cannot write {}: it is there and not a regular file", path.display())));
        }
        let (temporary, file) = create_beside(path).map_err(|e| failed("create a file beside", e))?;
        let staged = StagedFile { temporary, path: path.to_path_buf() };
        let mut out = BufWriter::with_capacity(1 << 16, file);
        write(&mut out)?;
        let file = out.into_inner().map_err(|e| failed("write", e.into_error()))?;
        file.sync_all().map_err(|e| failed("bring to disk", e))?;
        Ok(staged)
    }

    /// Puts files in their places, one after the other.
    ///
    /// # Errors
    /// As [`commit`](Self::commit): files after the one that failed are removed.
    pub fn commit_all(files: Vec<StagedFile>) -> Result<()> {
        files.into_iter().try_for_each(StagedFile::commit)
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    /// The file operation that failed. The old file is as it was, unless that was bringing the folder to disk.
    pub fn commit(self) -> Result<()> {
        let failed = |what: &str, e| Error::io(format!("cannot {what} {}", self.path.display()), e);
        fs::rename(&self.temporary, &self.path).map_err(|e| failed("replace", e))?;
        let folder = File::open(folder_of(&self.path)).and_then(|folder| folder.sync_all());
        folder.map_err(|e| failed("bring to disk the folder of", e))
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        // Once committed it is gone; that a leftover could not be removed adds nothing to the error that left it.
        let _ = fs::remove_file(&self.temporary);
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn create_beside(path: &Path) -> std::io::Result<(PathBuf, File)> {
    let name = path.file_name().ok_or_else(|| std::io::Error::other("it names no file"))?;
    let folder = folder_of(path);
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
