//! What the system says of this process's memory.

use crate::Result;
use std::fs;

const STATUS: &str = "/proc/self/status";

/// A figure of `/proc/self/status` that it tells in kB, such as `VmRSS`, in bytes. The kernel tells it within some tens of pages
/// a core.
///
/// # Errors
/// When there is none.
pub fn bytes(key: &str) -> Result<f64> {
    figure(STATUS, key)
}

/// The bytes that are resident and no file's, to the page.
///
/// # Errors
/// When the system does not tell.
pub fn anonymous_bytes() -> Result<f64> {
    figure("/proc/self/smaps_rollup", "Anonymous")
}

/// From now on `VmHWM` is the peak.
///
/// # Errors
/// When the system does not let us.
pub fn forget_peak() -> Result<()> {
    Ok(fs::write("/proc/self/clear_refs", "5")?)
}

fn figure(file: &str, key: &str) -> Result<f64> {
    let text = fs::read_to_string(file)?;
    let value = |line: &str| line.strip_prefix(key)?.strip_prefix(':')?.trim().strip_suffix(" kB")?.parse::<f64>().ok();
    let kilobytes = text.lines().find_map(value);
    kilobytes.map(|k| k * 1024.0).ok_or_else(|| format!("{file} has no {key}").into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    // One test, over more than the tests beside it take.
    #[test]
    fn figures_are_told_as_they_are() {
        const HALF: f64 = (128 << 20) as f64;
        let (before, all_before) = (anonymous_bytes().unwrap(), bytes("VmRSS").unwrap());
        let written = vec![1u8; 256 << 20];
        assert!(anonymous_bytes().unwrap() - before > HALF, "{}", written[5]);
        drop(written);
        assert!(bytes("VmHWM").unwrap() - all_before > HALF);
        forget_peak().unwrap();
        assert!(bytes("VmHWM").unwrap() - all_before < HALF);
        assert!(bytes("VmNothing").unwrap_err().to_string().contains("VmNothing"));
    }
}
