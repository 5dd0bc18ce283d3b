//! The CUDA driver library, opened at run time: a machine without it gets an error, not a link failure.
#![expect(unsafe_code, reason = "calls the CUDA driver's C functions")]

use libloading::{Library, Symbol};
use std::ffi::{CStr, c_char, c_int, c_uint};

/// Why there is no CUDA device to use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The driver library is not on this machine.
    #[error("no CUDA device: {library} cannot be loaded: {reason}")]
    NoDriver {
        /// The library's file name.
        library: &'static str,
        /// The loader's answer.
        reason: String,
    },
    /// The library lacks a function.
    #[error("no CUDA device: the driver library has no function {0}")]
    NoFunction(String),
    /// A driver call failed.
    #[error("no CUDA device: {call} answered {code}{}", if *.code == 100 { " (no device)" } else { "" })]
    Driver {
        /// The C function.
        call: &'static str,
        /// Its `CUresult`.
        code: i32,
    },
    /// The driver works and counts no device.
    #[error("no CUDA device: the driver counts none")]
    None,
}

/// A CUDA device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CudaDevice {
    /// Its number, as in `gpu(0)`.
    pub id: usize,
    /// Its name, as the driver tells it.
    pub name: String,
}

const LIBRARY: &str = "libcuda.so.1";

type Init = unsafe extern "C" fn(c_uint) -> c_int;
type GetCount = unsafe extern "C" fn(*mut c_int) -> c_int;
type GetName = unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int;

/// The devices that the driver counts, at least one.
///
/// # Errors
/// No driver library, a driver that fails, or no device: the text begins with "no CUDA device".
pub fn devices() -> Result<Vec<CudaDevice>, Error> {
    // SAFETY: the driver's initialisers are meant to run in any process that loads it.
    let library =
        unsafe { Library::new(LIBRARY) }.map_err(|e| Error::NoDriver { library: LIBRARY, reason: innermost(&e) })?;
    let init: Symbol<'_, Init> = function(&library, "cuInit")?;
    let get_count: Symbol<'_, GetCount> = function(&library, "cuDeviceGetCount")?;
    let get_name: Symbol<'_, GetName> = function(&library, "cuDeviceGetName")?;
    // SAFETY: cuInit takes flags, which must be 0.
    check("cuInit", unsafe { init(0) })?;
    let mut count = 0;
    // SAFETY: the pointer is valid for one int.
    check("cuDeviceGetCount", unsafe { get_count(&raw mut count) })?;
    let mut devices = Vec::new();
    for ordinal in 0..count {
        let mut name: [c_char; 256] = [0; 256];
        // SAFETY: the buffer has room for 256 bytes; an ordinal below the count is a device handle.
        check("cuDeviceGetName", unsafe { get_name(name.as_mut_ptr(), 256, ordinal) })?;
        name[255] = 0;
        // SAFETY: the last byte is 0, so the text ends inside the buffer.
        let name = unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned();
        devices.push(CudaDevice { id: devices.len(), name });
    }
    // The driver's own threads may outlive this call: leave the library where it is.
    std::mem::forget(library);
    if devices.is_empty() { Err(Error::None) } else { Ok(devices) }
}

fn function<'a, F>(library: &'a Library, name: &str) -> Result<Symbol<'a, F>, Error> {
    // SAFETY: the callers give the signatures of cuda.h.
    unsafe { library.get(name) }.map_err(|_| Error::NoFunction(name.to_string()))
}

/// What the loader itself said.
fn innermost(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |e| e.source()).last().unwrap_or(error).to_string()
}

fn check(call: &'static str, code: c_int) -> Result<(), Error> {
    if code == 0 { Ok(()) } else { Err(Error::Driver { call, code }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_there_or_why_nothing_is() {
        match devices() {
            Ok(devices) => assert!(devices.iter().enumerate().all(|(i, d)| d.id == i && !d.name.is_empty())),
            Err(e) => assert!(e.to_string().starts_with("no CUDA device: "), "{e}"),
        }
    }
}
