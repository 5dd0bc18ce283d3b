//! Arrays between files, where they are bytes, tensors and plain numbers.

use crate::Result;
use varflow::engine::Engine;
use varflow::ops::{DType, Shape, Tensor};
use varflow::symbol::HostArray;

/// An array by name.
pub type NamedArray = (String, HostArray);

/// Evaluates `$body` with `$t` as the Rust type of a dtype.
macro_rules! with_type {
    ($dtype:expr, $t:ident => $body:expr) => {
        match $dtype {
            DType::F32 => {
                type $t = f32;
                $body
            }
            DType::F64 => {
                type $t = f64;
                $body
            }
            DType::I8 => {
                type $t = i8;
                $body
            }
            DType::U8 => {
                type $t = u8;
                $body
            }
            DType::I32 => {
                type $t = i32;
                $body
            }
            DType::I64 => {
                type $t = i64;
                $body
            }
            dtype => return Err(format!("{dtype} arrays are not compared").into()),
        }
    };
}

/// An array of these values, rounded to `dtype`.
pub fn from_values(shape: &Shape, dtype: DType, values: &[f64]) -> Result<HostArray> {
    with_type!(dtype, T => {
        let values: Vec<T> = values.iter().map(|v| *v as T).collect();
        Ok(HostArray::from_slice(shape.clone(), &values)?)
    })
}

/// Its elements as numbers.
#[expect(clippy::unnecessary_cast, reason = "one of the types is that of the numbers")]
pub fn values(array: &HostArray) -> Result<Vec<f64>> {
    with_type!(array.desc.dtype, T => Ok(array.to_vec::<T>()?.into_iter().map(|v| v as f64).collect()))
}

/// The array in `float`, if it is one of floating-point numbers; any other as it is.
pub fn in_float(array: &HostArray, float: DType) -> Result<HostArray> {
    if !array.desc.dtype.is_float() || array.desc.dtype == float {
        return Ok(array.clone());
    }
    from_values(&array.desc.shape, float, &values(array)?)
}

/// A tensor that holds it.
pub fn to_tensor(engine: &Engine, array: &HostArray) -> Result<Tensor> {
    let shape = array.desc.shape.clone();
    with_type!(array.desc.dtype, T => Ok(Tensor::from_slice(engine, shape, &array.to_vec::<T>()?)?))
}

/// What a tensor holds.
pub fn of_tensor(tensor: &Tensor) -> Result<HostArray> {
    with_type!(tensor.dtype(), T => Ok(HostArray::from_slice(tensor.shape().clone(), &tensor.to_vec::<T>()?)?))
}
