//! Devices by name.

use crate::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// The kind of a device. Kernels are installed for a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DeviceKind {
    /// The host's processors.
    Cpu,
    /// An NVIDIA GPU.
    Cuda,
}

/// A device: `cpu(0)`, `gpu(1)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Device {
    /// Its kind.
    pub kind: DeviceKind,
    /// Its number among those of its kind.
    pub id: usize,
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DeviceKind::Cpu => "cpu",
            DeviceKind::Cuda => "gpu",
        })
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.kind, self.id)
    }
}

impl FromStr for Device {
    type Err = Error;

    fn from_str(text: &str) -> Result<Device> {
        let refuse = || Error::Param(format!("\"{text}\" is no device: wanted cpu, cpu(0), gpu(0), …"));
        let (kind, id) = match text.split_once('(') {
            Some((kind, id)) => (kind, id.strip_suffix(')').and_then(|id| id.parse().ok()).ok_or_else(refuse)?),
            None => (text, 0),
        };
        let kind = match kind {
            "cpu" => DeviceKind::Cpu,
            "gpu" | "cuda" => DeviceKind::Cuda,
            _ => return Err(refuse()),
        };
        Ok(Device { kind, id })
    }
}

/// A host device.
#[must_use]
pub fn cpu(id: usize) -> Device {
    Device { kind: DeviceKind::Cpu, id }
}

/// An NVIDIA GPU.
#[must_use]
pub fn gpu(id: usize) -> Device {
    Device { kind: DeviceKind::Cuda, id }
}
