//! What the system says of this process's memory.

use crate::Result;

/// A figure of `/proc/self/status` that it tells in kB, such as `VmRSS`, in bytes.
///
/// # Errors
/// When there is none.
pub fn bytes(key: &str) -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let value = |line: &str| line.strip_prefix(key)?.strip_prefix(':')?.trim().strip_suffix(" kB")?.parse::<f64>().ok();
    let kilobytes = status.lines().find_map(value);
    kilobytes.map(|k| k * 1024.0).ok_or_else(|| format!("/proc/self/status has no {key}").into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_is_no_less_than_what_is_resident_now() {
        let now = bytes("VmRSS").unwrap();
        assert!(now > 0.0 && bytes("VmHWM").unwrap() >= now);
        assert!(bytes("VmNothing").unwrap_err().to_string().contains("VmNothing"));
    }
}
