//! Element types as DLPack has them.

use crate::device::DeviceKind;
use crate::{DType, Error, Result};
use varflow_abi::{self as abi, DLDataType, type_code};

/// DLPack's name of a dtype.
#[must_use]
pub fn to_dlpack(dtype: DType) -> DLDataType {
    let code = match dtype {
        DType::F32 | DType::F64 | DType::F16 => type_code::FLOAT,
        DType::BF16 => type_code::BFLOAT,
        DType::Bool => type_code::BOOL,
        DType::I8 | DType::I16 | DType::I32 | DType::I64 => type_code::INT,
        DType::U8 | DType::U16 | DType::U32 | DType::U64 => type_code::UINT,
    };
    DLDataType { code, bits: (8 * dtype.size_bytes()) as u8, lanes: 1 }
}

/// The dtype that DLPack names so.
///
/// # Errors
/// When there is none.
pub fn from_dlpack(dtype: DLDataType) -> Result<DType> {
    let DLDataType { code, bits, lanes } = dtype;
    let found = DType::ALL.into_iter().map(|d| (d, to_dlpack(d)));
    let mut found = found.filter(|(_, d)| (d.code, d.bits, d.lanes) == (code, bits, lanes));
    found.next().map(|(d, _)| d).ok_or_else(|| {
        Error::DType(format!(
            "{{code {code}, bits {bits}, lanes {lanes}}} is no dtype; float32, for one, is {{code {}, bits 32, lanes 1}}",
            type_code::FLOAT
        ))
    })
}

/// The kind of a device.
///
/// # Errors
/// When it is none that kernels are installed for.
pub(super) fn device_kind(device: i32) -> Result<DeviceKind> {
    match device {
        abi::device::CPU => Ok(DeviceKind::Cpu),
        abi::device::CUDA => Ok(DeviceKind::Cuda),
        _ => Err(Error::Plugin(format!(
            "has device {device}, wanted {} (cpu) or {} (gpu)",
            abi::device::CPU,
            abi::device::CUDA
        ))),
    }
}
