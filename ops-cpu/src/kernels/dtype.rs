//! The element types that kernels work in.

use crate::compute::{Float, Mismatch};
use varflow_ops::{DType, Element, Error, Kernel, KernelCall, Result};

/// `f32` or `f64`: an element that the compute functions know.
pub(super) trait Real: Float + Element {}

impl Real for f32 {}
impl Real for f64 {}

/// Makes the kernel of one use of an operator, for elements of one type.
pub(super) type Make = fn(&KernelCall<'_>) -> Result<Box<dyn Kernel>>;

/// The dtype that a use of an operator works in: that of its first input, or, without inputs, of its first output.
pub(super) fn working_dtype(call: &KernelCall<'_>) -> Result<DType> {
    let first = call.inputs.first().or(call.outputs.first());
    first.map(|desc| desc.dtype).ok_or_else(|| Error::Contract("has neither inputs nor outputs".to_string()))
}

/// The kernel for the dtype that `call` works in, which must be float32 or float64.
pub(super) fn by_float(call: &KernelCall<'_>, single: Make, double: Make) -> Result<Box<dyn Kernel>> {
    by_float_dtype(working_dtype(call)?, call, single, double)
}

/// The kernel for the dtype of input `i`, likewise.
pub(super) fn by_float_of(call: &KernelCall<'_>, i: usize, single: Make, double: Make) -> Result<Box<dyn Kernel>> {
    by_float_dtype(call.inputs[i].dtype, call, single, double)
}

fn by_float_dtype(dtype: DType, call: &KernelCall<'_>, single: Make, double: Make) -> Result<Box<dyn Kernel>> {
    match dtype {
        DType::F32 => single(call),
        DType::F64 => double(call),
        other => Err(Error::DType(format!("data holds {other}, wanted float32 or float64"))),
    }
}

impl From<Mismatch> for Error {
    fn from(mismatch: Mismatch) -> Error {
        Error::Shape(mismatch.to_string())
    }
}
