//! Tensors as plug-ins see them.

use super::dlpack::to_dlpack;
use crate::kernel::RawView;
use crate::storage::ALIGN_BYTES;
use crate::{Error, KernelCtx, Result, TensorDesc};
use smallvec::SmallVec;
use std::ffi::c_void;
use std::ptr;
use varflow_abi::{DLDevice, DLTensor, MAX_NDIM};

/// The inputs, then the outputs of a run.
pub(super) type Filled = SmallVec<[DLTensor; 8]>;

/// Inputs and outputs of known shapes, prepared but for their addresses.
pub(super) struct Tensors {
    descs: Vec<TensorDesc>,
    /// Where shapes are. Never changed, so that the tensors may point there.
    _dims: Vec<i64>,
    tensors: Vec<DLTensor>,
    num_inputs: usize,
}

impl Tensors {
    /// # Errors
    /// Too many axes.
    pub(super) fn new<'t>(
        device: i32,
        inputs: impl IntoIterator<Item = &'t TensorDesc>,
        outputs: impl IntoIterator<Item = &'t TensorDesc>,
    ) -> Result<Tensors> {
        let mut descs: Vec<TensorDesc> = inputs.into_iter().cloned().collect();
        let num_inputs = descs.len();
        descs.extend(outputs.into_iter().cloned());
        if let Some(desc) = descs.iter().find(|d| d.shape.rank() > MAX_NDIM) {
            let (rank, shape) = (desc.shape.rank(), &desc.shape);
            return Err(Error::Shape(format!("shape {shape} has {rank} axes, and plug-ins take at most {MAX_NDIM}")));
        }
        // No axis exceeds i64: a tensor of such a shape cannot be made.
        let mut dims: Vec<i64> = descs.iter().flat_map(|d| d.shape.dims()).map(|d| *d as i64).collect();
        let mut shape = dims.as_mut_ptr();
        let tensors = descs.iter().map(|desc| {
            let tensor = DLTensor {
                data: ptr::null_mut(),
                device: DLDevice { device_type: device, device_id: 0 },
                ndim: desc.shape.rank() as i32,
                dtype: to_dlpack(desc.dtype),
                shape,
                strides: ptr::null_mut(),
                byte_offset: 0,
            };
            shape = shape.wrapping_add(desc.shape.rank());
            tensor
        });
        let tensors = tensors.collect();
        Ok(Tensors { descs, _dims: dims, tensors, num_inputs })
    }

    pub(super) fn inputs(&self) -> &[DLTensor] {
        &self.tensors[..self.num_inputs]
    }

    pub(super) fn outputs(&self) -> &[DLTensor] {
        &self.tensors[self.num_inputs..]
    }

    /// The tensors with the addresses that a run has.
    ///
    /// # Errors
    /// [`Error::Contract`] when the run has others than these were prepared for.
    pub(super) fn fill(&self, ctx: &KernelCtx<'_>) -> Result<Filled> {
        let (ins, outs) = (ctx.input_views(), ctx.output_views());
        let (has, has_more) = (ins.len(), outs.len());
        let (wanted, more) = (self.num_inputs, self.tensors.len() - self.num_inputs);
        if (has, has_more) != (wanted, more) {
            return Err(Error::Contract(format!(
                "is run with {has} inputs and {has_more} outputs, and was made for {wanted} and {more}"
            )));
        }
        let mut filled = Filled::from_slice(&self.tensors);
        let views = ins.map(Some).chain(outs);
        for ((to, desc), view) in filled.iter_mut().zip(&self.descs).zip(views) {
            let Some(view) = view else { continue };
            to.data = address(view, desc)?;
        }
        Ok(filled)
    }
}

/// The address of a tensor that is as the header promises it to plug-ins.
fn address(view: &RawView, wanted: &TensorDesc) -> Result<*mut c_void> {
    let address = view.address();
    if view.desc() != wanted {
        let has = view.desc();
        return Err(Error::Contract(format!(
            "is run with a {} tensor of shape {}, and was made for {} of shape {}",
            has.dtype, has.shape, wanted.dtype, wanted.shape
        )));
    }
    if !(address as usize).is_multiple_of(ALIGN_BYTES) {
        return Err(Error::Contract(format!(
            "is run with a tensor at {address:p}, which is not aligned to {ALIGN_BYTES} bytes as plug-ins want it"
        )));
    }
    Ok(address.cast())
}
