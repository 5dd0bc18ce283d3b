//! Reads the host's tensors.
#![expect(unsafe_code, reason = "reads DLPack tensors")]

use crate::{DType, Element, Error, Result};
use std::ops::Range;
use varflow_abi::{DLTensor, device};

// Shapes are handed on as they lie in memory; a negative dimension is refused before.
const _: () = assert!(size_of::<usize>() == size_of::<i64>(), "plug-ins are for 64-bit machines");

/// Address, number of elements and shape of a tensor.
#[derive(Clone, Copy)]
pub(crate) struct Tensor<'a, T> {
    pub(crate) at: *mut T,
    pub(crate) len: usize,
    pub(crate) shape: &'a [usize],
}

impl<'a, T: Element> Tensor<'a, T> {
    /// # Safety
    /// The tensor is one of the host's, which with its shape stays for `'a`.
    pub(crate) unsafe fn read(tensor: &DLTensor, what: &str, i: usize) -> Result<Self> {
        let is = DType::from_abi(tensor.dtype)?;
        if is != Some(T::DTYPE) {
            let is = is.map_or("no dtype", DType::name);
            return Err(Error::dtype(format!("{what} {i} holds {is}, the kernel asks for {}", T::DTYPE)));
        }
        if tensor.device.device_type != device::CPU {
            let kind = tensor.device.device_type;
            return Err(Error::unsupported(format!("{what} {i} lies on a device of type {kind}, wanted the CPU")));
        }
        // SAFETY: by the contract.
        let shape = unsafe { shape(tensor) }?;
        // SAFETY: as above; strides are null or as many as dimensions.
        if !unsafe { is_dense(tensor, shape) } {
            return Err(Error::unsupported(format!("{what} {i} is not dense and row-major")));
        }
        let len = num_elements(shape)?;
        let at = (tensor.data as usize).wrapping_add(tensor.byte_offset as usize);
        if len == 0 {
            return Ok(Tensor { at: std::ptr::NonNull::dangling().as_ptr(), len, shape });
        }
        if tensor.data.is_null() || !at.is_multiple_of(align_of::<T>()) {
            return Err(Error::new(format!("{what} {i} is at address {at:#x}, wanted one aligned for {}", T::DTYPE)));
        }
        let at = tensor.data.cast::<u8>().wrapping_add(tensor.byte_offset as usize).cast();
        Ok(Tensor { at, len, shape })
    }

    /// The addresses that it covers.
    pub(crate) fn bytes(&self) -> Range<usize> {
        let start = self.at as usize;
        start..start + self.len * size_of::<T>()
    }
}

/// The dimensions of a tensor.
///
/// # Safety
/// The tensor is one of the host's, whose shape stays for `'a`.
pub(crate) unsafe fn shape<'a>(tensor: &DLTensor) -> Result<&'a [usize]> {
    let rank = usize::try_from(tensor.ndim).map_err(|_| Error::shape(format!("has {} axes", tensor.ndim)))?;
    if rank == 0 {
        return Ok(&[]);
    }
    // SAFETY: by the contract there are as many dimensions.
    let dims = unsafe { std::slice::from_raw_parts(tensor.shape.cast_const(), rank) };
    if let Some(dim) = dims.iter().find(|d| **d < 0) {
        return Err(Error::shape(format!("has an axis of length {dim}")));
    }
    // SAFETY: the same memory; both types have 64 bits (above), and no dimension is negative.
    Ok(unsafe { std::slice::from_raw_parts(dims.as_ptr().cast(), rank) })
}

/// The addresses that a tensor of whatever dtype covers; none for one without memory.
///
/// # Safety
/// As [`shape`].
pub(crate) unsafe fn bytes(tensor: &DLTensor) -> Range<usize> {
    // SAFETY: by the contract.
    let len = unsafe { shape(tensor) }.and_then(num_elements).unwrap_or(0);
    let start = (tensor.data as usize).wrapping_add(tensor.byte_offset as usize);
    let is_none = tensor.data.is_null();
    start..start.saturating_add(if is_none { 0 } else { len.saturating_mul(usize::from(tensor.dtype.bits) / 8) })
}

/// Whether two address ranges have a byte in common.
pub(crate) fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start.max(b.start) < a.end.min(b.end)
}

fn num_elements(shape: &[usize]) -> Result<usize> {
    let len = shape.iter().try_fold(1_usize, |n, d| n.checked_mul(*d));
    // So that lengths in bytes fit an isize, as slices want.
    len.filter(|n| *n <= isize::MAX as usize / 8)
        .ok_or_else(|| Error::shape(format!("has shape {shape:?}, which is too large")))
}

/// # Safety
/// Strides are null, or there are as many as dimensions.
unsafe fn is_dense(tensor: &DLTensor, shape: &[usize]) -> bool {
    if tensor.strides.is_null() {
        return true;
    }
    let mut wanted = 1;
    shape.iter().enumerate().rev().all(|(axis, dim)| {
        // SAFETY: by the contract.
        let stride = unsafe { *tensor.strides.add(axis) };
        let fits = *dim == 1 || stride == wanted;
        wanted = wanted.saturating_mul(*dim as i64);
        fits
    })
}
