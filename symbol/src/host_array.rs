//! Arrays outside the engine.

use varflow_ops::{DType, Error, Permutation, Result, Shape, TensorDesc};

/// A dense array as plain bytes, row-major and little-endian: what files hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostArray {
    /// Shape and dtype.
    pub desc: TensorDesc,
    /// The elements; as many bytes as `desc` says.
    pub bytes: Vec<u8>,
}

impl HostArray {
    /// An array of these elements.
    ///
    /// # Errors
    /// [`Error::Shape`] when their number is not that of the shape.
    pub fn from_slice<T: varflow_ops::Element>(shape: impl Into<Shape>, values: &[T]) -> Result<HostArray> {
        let shape = shape.into();
        if shape.checked_len() != Some(values.len()) {
            return Err(Error::Shape(format!("an array of shape {shape} cannot hold {} elements", values.len())));
        }
        let bytes = bytemuck::cast_slice(values).to_vec();
        Ok(HostArray { desc: TensorDesc { shape, dtype: T::DTYPE }, bytes })
    }

    /// The elements.
    ///
    /// # Errors
    /// [`Error::DType`] when the array holds another type, [`Error::Shape`] when bytes are missing or left over.
    pub fn to_vec<T: varflow_ops::Element>(&self) -> Result<Vec<T>> {
        self.check()?;
        if T::DTYPE != self.desc.dtype {
            return Err(Error::DType(format!("the array holds {}, not {}", self.desc.dtype, T::DTYPE)));
        }
        let mut values = vec![T::zeroed(); self.bytes.len() / size_of::<T>()];
        bytemuck::cast_slice_mut(&mut values).copy_from_slice(&self.bytes);
        Ok(values)
    }

    /// The array with its axes in another order; `None` if it has not as many.
    pub(crate) fn permuted(&self, order: &Permutation) -> Option<HostArray> {
        let TensorDesc { shape, dtype } = &self.desc;
        let (size, to) = (dtype.size_bytes(), order.apply(shape)?);
        let mut strides = vec![size; shape.rank()];
        (1..shape.rank()).rev().for_each(|axis| strides[axis - 1] = strides[axis] * shape[axis]);
        let mut bytes = Vec::with_capacity(self.bytes.len());
        for i in 0..to.len() {
            let (mut rest, mut start) = (i, 0);
            for (axis, len) in to.dims().iter().enumerate().rev() {
                start += rest % len * strides[order.axes()[axis]];
                rest /= len;
            }
            bytes.extend_from_slice(self.bytes.get(start..start + size)?);
        }
        Some(HostArray { desc: TensorDesc { shape: to, dtype: *dtype }, bytes })
    }

    /// Checks that there are as many bytes as shape and dtype say.
    ///
    /// # Errors
    /// [`Error::Shape`] with both numbers.
    pub fn check(&self) -> Result<()> {
        let TensorDesc { shape, dtype } = &self.desc;
        if len_bytes(shape, *dtype) == Some(self.bytes.len()) {
            return Ok(());
        }
        Err(Error::Shape(format!("a {dtype} array of shape {shape} cannot be {} bytes", self.bytes.len())))
    }
}

/// Bytes of an array, or `None` if they are more than an address space.
pub(crate) fn len_bytes(shape: &Shape, dtype: DType) -> Option<usize> {
    shape.checked_len()?.checked_mul(dtype.size_bytes())
}
