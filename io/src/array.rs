//! Numbers in memory as a file holds them: a shape and elements of one dtype, outside the engine.

use half::{bf16, f16};
use varflow_ops::{DType, Element, Error, Result, Shape, TensorDesc};

/// A dense row-major array. What readers return and iterators cut batches from.
///
/// ```
/// let a = varflow_io::Array::new([2, 2], vec![1_u8, 2, 3, 4])?;
/// assert_eq!((a.shape().to_string(), a.dtype()), ("(2, 2)".to_string(), varflow_ops::DType::U8));
/// assert_eq!(a.as_slice::<u8>()?, [1, 2, 3, 4]);
/// assert_eq!(a.to_f32(), [1.0, 2.0, 3.0, 4.0]);
/// # Ok::<(), varflow_ops::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    shape: Shape,
    elements: Elements,
}

macro_rules! elements {
    ($($dtype:ident($t:ty) $x:ident => $to_f32:expr;)*) => {
        #[derive(Clone, Debug, PartialEq)]
        enum Elements { $($dtype(Vec<$t>)),* }

        impl Elements {
            /// `None` where `T` is an element type that this crate does not know.
            fn from_vec<T: Element>(values: Vec<T>) -> Option<Elements> {
                match T::DTYPE {
                    $(DType::$dtype => bytemuck::allocation::try_cast_vec(values).ok().map(Elements::$dtype),)*
                    DType::Bool => None,
                }
            }

            /// From bytes in this machine's order. Booleans become `u8`.
            fn from_bytes(dtype: DType, bytes: Vec<u8>) -> Elements {
                match dtype {
                    DType::U8 | DType::Bool => Elements::U8(bytes),
                    $(#[allow(unreachable_patterns)]
                    DType::$dtype => Elements::$dtype(bytemuck::pod_collect_to_vec(&bytes)),)*
                }
            }

            fn as_bytes(&self) -> &[u8] {
                match self { $(Elements::$dtype(v) => bytemuck::cast_slice(v),)* }
            }

            fn as_slice<T: Element>(&self) -> Option<&[T]> {
                match self {
                    $(Elements::$dtype(v) if T::DTYPE == DType::$dtype => bytemuck::try_cast_slice(v).ok(),)*
                    _ => None,
                }
            }

            fn dtype(&self) -> DType {
                match self { $(Elements::$dtype(_) => DType::$dtype,)* }
            }

            fn to_f32(&self) -> Vec<f32> {
                match self { $(Elements::$dtype(v) => v.iter().map(|$x| $to_f32).collect(),)* }
            }

            fn truncate(&mut self, len: usize) {
                match self { $(Elements::$dtype(v) => v.truncate(len),)* }
            }
        }
    };
}

elements! {
    U8(u8) x => f32::from(*x);
    I8(i8) x => f32::from(*x);
    U16(u16) x => f32::from(*x);
    I16(i16) x => f32::from(*x);
    U32(u32) x => *x as f32;
    I32(i32) x => *x as f32;
    U64(u64) x => *x as f32;
    I64(i64) x => *x as f32;
    F16(f16) x => x.to_f32();
    BF16(bf16) x => x.to_f32();
    F32(f32) x => *x;
    F64(f64) x => *x as f32;
}

/// In which order a file holds the bytes of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ByteOrder {
    Little,
    Big,
}

impl ByteOrder {
    const NATIVE: ByteOrder = if cfg!(target_endian = "big") { ByteOrder::Big } else { ByteOrder::Little };

    /// Turns elements of `size_bytes` from this order into the machine's, or back.
    fn swap(self, bytes: &mut [u8], size_bytes: usize) {
        if self != ByteOrder::NATIVE && size_bytes > 1 {
            bytes.chunks_exact_mut(size_bytes).for_each(<[u8]>::reverse);
        }
    }
}

impl Array {
    /// An array of these elements.
    ///
    /// # Errors
    /// When their number is not that of the shape.
    pub fn new<T: Element>(shape: impl Into<Shape>, values: Vec<T>) -> Result<Array> {
        let shape = shape.into();
        check_len(&shape, values.len())?;
        let unknown = || Error::DType(format!("an array cannot hold elements of a foreign {} type", T::DTYPE));
        Ok(Array { shape, elements: Elements::from_vec(values).ok_or_else(unknown)? })
    }

    /// An array of the elements that these bytes are, in this machine's order. Booleans become `u8`.
    ///
    /// # Errors
    /// When they are not as many as `desc` says.
    pub fn from_bytes(desc: TensorDesc, bytes: Vec<u8>) -> Result<Array> {
        let TensorDesc { shape, dtype } = desc;
        if shape.checked_len().and_then(|n| n.checked_mul(dtype.size_bytes())) != Some(bytes.len()) {
            let found = bytes.len();
            return Err(Error::Shape(format!("a {dtype} array of shape {shape} cannot be {found} bytes")));
        }
        Ok(Array { shape, elements: Elements::from_bytes(dtype, bytes) })
    }

    /// The bytes of the elements in this machine's order.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.elements.as_bytes()
    }

    /// One array of all the samples of several, in order.
    ///
    /// # Errors
    /// No arrays; arrays that differ in dtype or in the shape of a sample.
    pub fn concat(arrays: &[Array]) -> Result<Array> {
        let Some(first) = arrays.first() else {
            return Err(Error::Shape("there are no arrays to put together".to_string()));
        };
        let sample = |a: &Array| a.shape.dims().get(1..).map(<[usize]>::to_vec);
        if let Some(other) = arrays.iter().find(|a| sample(a) != sample(first) || a.dtype() != first.dtype()) {
            let (a, b) = (first.describe(), other.describe());
            return Err(Error::Shape(format!("{a} and {b} cannot be put together along their first axis")));
        }
        let mut dims = first.shape.dims().to_vec();
        match dims.first_mut() {
            Some(samples) => *samples = arrays.iter().map(Array::num_samples).sum(),
            None => return Err(Error::Shape("scalars have no axis to be put together along".to_string())),
        }
        let bytes = arrays.iter().flat_map(Array::as_bytes).copied().collect();
        Array::from_bytes(TensorDesc { shape: Shape::from(dims), dtype: first.dtype() }, bytes)
    }

    /// `float32 of shape (2, 3)`.
    fn describe(&self) -> String {
        format!("{} of shape {}", self.dtype(), self.shape)
    }

    /// From the bytes of a file. `bytes` are as many as `desc` says.
    pub(crate) fn from_file_bytes(desc: TensorDesc, order: ByteOrder, mut bytes: Vec<u8>) -> Array {
        debug_assert_eq!(bytes.len(), desc.len_bytes());
        order.swap(&mut bytes, desc.dtype.size_bytes());
        Array { shape: desc.shape, elements: Elements::from_bytes(desc.dtype, bytes) }
    }

    /// The bytes of the elements, as a file holds them.
    pub(crate) fn to_file_bytes(&self, order: ByteOrder) -> Vec<u8> {
        let mut bytes = self.elements.as_bytes().to_vec();
        order.swap(&mut bytes, self.dtype().size_bytes());
        bytes
    }

    /// Extent along each axis.
    #[must_use]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Element type.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.elements.dtype()
    }

    /// The extent of the first axis: how many samples there are. 1 for a scalar.
    #[must_use]
    pub fn num_samples(&self) -> usize {
        self.shape.dims().first().copied().unwrap_or(1)
    }

    /// The elements, row-major.
    ///
    /// # Errors
    /// When they are of another type.
    pub fn as_slice<T: Element>(&self) -> Result<&[T]> {
        let other = || Error::DType(format!("the array holds {}, not {}", self.dtype(), T::DTYPE));
        self.elements.as_slice().ok_or_else(other)
    }

    /// The elements as `f32`, rounded where that has to be.
    #[must_use]
    pub fn to_f32(&self) -> Vec<f32> {
        self.elements.to_f32()
    }

    /// The same elements under another shape of as many.
    ///
    /// # Errors
    /// When the number of elements differs.
    pub fn reshape(self, shape: impl Into<Shape>) -> Result<Array> {
        let shape = shape.into();
        check_len(&shape, self.shape.len())?;
        Ok(Array { shape, ..self })
    }

    /// The first `n` samples; all if there are no more.
    #[must_use]
    pub fn first(mut self, n: usize) -> Array {
        if n < self.num_samples() && self.shape.rank() > 0 {
            let mut dims = self.shape.dims().to_vec();
            dims[0] = n;
            self.shape = Shape::new(&dims);
            self.elements.truncate(self.shape.len());
        }
        self
    }
}

fn check_len(shape: &Shape, len: usize) -> Result<()> {
    match shape.checked_len() {
        Some(n) if n == len => Ok(()),
        Some(n) => Err(Error::Shape(format!("an array of shape {shape} has {n} elements, not {len}"))),
        None => Err(Error::Shape(format!("an array of shape {shape} is too large, it was given {len} elements"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_cross_in_either_order() {
        let desc = TensorDesc::new([2], DType::I16);
        let big = Array::from_file_bytes(desc.clone(), ByteOrder::Big, vec![1, 2, 255, 254]);
        let little = Array::from_file_bytes(desc, ByteOrder::Little, vec![2, 1, 254, 255]);
        assert_eq!(big.as_slice::<i16>().unwrap(), [0x0102, -2]);
        assert_eq!(big, little);
        assert_eq!(big.to_file_bytes(ByteOrder::Little), [2, 1, 254, 255]);
        assert_eq!(big.to_file_bytes(ByteOrder::Big), [1, 2, 255, 254]);
    }

    #[test]
    fn wrong_counts_and_types_are_refused() {
        let told = Array::new([2, 3], vec![0_f32; 5]).unwrap_err().to_string();
        assert_eq!(told, "an array of shape (2, 3) has 6 elements, not 5");
        assert!(Array::new([usize::MAX, 2], Vec::<u8>::new()).unwrap_err().to_string().contains("too large"));
        let a = Array::new([2], vec![f16::from_f32(1.5), f16::ONE]).unwrap();
        assert_eq!(a.as_slice::<f32>().unwrap_err().to_string(), "the array holds float16, not float32");
        assert_eq!(a.to_f32(), [1.5, 1.0]);
        assert_eq!(a.reshape([3]).unwrap_err().to_string(), "an array of shape (3,) has 3 elements, not 2");
    }

    #[test]
    fn samples_are_put_together() {
        let a = Array::new([1, 2], vec![1_i16, 2]).unwrap();
        let b = Array::new([2, 2], vec![3_i16, 4, 5, 6]).unwrap();
        assert_eq!(Array::concat(&[a.clone(), b]).unwrap(), Array::new([3, 2], vec![1_i16, 2, 3, 4, 5, 6]).unwrap());
        assert_eq!(Array::from_bytes(TensorDesc::new([1, 2], DType::I16), a.as_bytes().to_vec()).unwrap(), a);
        assert!(Array::from_bytes(TensorDesc::new([1, 2], DType::I32), a.as_bytes().to_vec()).is_err());
        let wide = Array::new([1, 3], vec![0_i16; 3]).unwrap();
        let told = Array::concat(&[a.clone(), wide]).unwrap_err().to_string();
        assert!(told.starts_with("int16 of shape (1, 2) and int16 of shape (1, 3) cannot"), "{told}");
        assert!(Array::concat(&[a, Array::new([1, 2], vec![0_u8; 2]).unwrap()]).is_err());
        assert!(Array::concat(&[]).is_err() && Array::concat(&[Array::new([], vec![1_u8]).unwrap()]).is_err());
    }

    #[test]
    fn first_cuts_whole_samples() {
        let a = Array::new([3, 2], vec![1_i32, 2, 3, 4, 5, 6]).unwrap();
        assert_eq!(a.clone().first(9), a);
        assert_eq!(a.first(2), Array::new([2, 2], vec![1_i32, 2, 3, 4]).unwrap());
    }
}
