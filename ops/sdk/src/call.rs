//! One use of an operator with everything known about it.
#![expect(unsafe_code, reason = "reads the host's vf_call")]

use crate::context::list;
use crate::{DType, Error, Result, boundary, tensor};
use varflow_abi::DLTensor;

/// One use of an operator with everything known about it: what [`prepare`](crate::Operator::prepare) may plan by.
pub struct Call<'a> {
    call: varflow_abi::Call,
    inputs: &'a [DLTensor],
    outputs: &'a [DLTensor],
}

impl Call<'_> {
    /// # Safety
    /// `call` is the host's, with all that it leads to, and stays for as long as this.
    pub(crate) unsafe fn new(call: *const varflow_abi::Call) -> Result<Self> {
        // SAFETY: by the contract.
        let call = unsafe { varflow_abi::read(call) }
            .map_err(|size| Error::new(format!("the host's vf_call has {size} bytes, which is none")))?;
        // SAFETY: by the contract.
        let (inputs, outputs) = unsafe { (list(call.inputs, call.num_inputs), list(call.outputs, call.num_outputs)) };
        Ok(Call { call, inputs, outputs })
    }

    /// The node's name.
    #[must_use]
    pub fn node(&self) -> String {
        // SAFETY: by the contract of `new`.
        unsafe { boundary::text(self.call.node) }.into_owned()
    }

    /// Whether this is for training passes.
    #[must_use]
    pub fn is_train(&self) -> bool {
        self.call.is_train != 0
    }

    /// Number of inputs, auxiliary states included.
    #[must_use]
    pub fn num_inputs(&self) -> usize {
        self.inputs.len()
    }

    /// Number of outputs, unwanted ones included.
    #[must_use]
    pub fn num_outputs(&self) -> usize {
        self.outputs.len()
    }

    /// Whether anyone looks at output `o`. Others get no memory.
    #[must_use]
    pub fn is_wanted(&self, o: usize) -> bool {
        // SAFETY: by the contract of `new`: as many as outputs.
        let wanted = unsafe { list(self.call.wanted, self.outputs.len()) };
        // No list: all.
        wanted.get(o).map_or(o < self.outputs.len(), |w| *w != 0)
    }

    /// The dimensions of input `i`.
    ///
    /// # Errors
    /// When there is no such input.
    pub fn input_shape(&self, i: usize) -> Result<&[usize]> {
        shape_of(self.inputs, i, "input")
    }

    /// The dimensions of output `o`.
    ///
    /// # Errors
    /// When there is no such output.
    pub fn output_shape(&self, o: usize) -> Result<&[usize]> {
        shape_of(self.outputs, o, "output")
    }

    /// The element type of input `i`.
    ///
    /// # Errors
    /// When there is no such input.
    pub fn input_dtype(&self, i: usize) -> Result<DType> {
        dtype_of(self.inputs, i, "input")
    }

    /// The element type of output `o`.
    ///
    /// # Errors
    /// When there is no such output.
    pub fn output_dtype(&self, o: usize) -> Result<DType> {
        dtype_of(self.outputs, o, "output")
    }
}

fn find<'t>(tensors: &'t [DLTensor], i: usize, what: &str) -> Result<&'t DLTensor> {
    tensors.get(i).ok_or_else(|| Error::new(format!("{what} {i} is asked for, and there are {}", tensors.len())))
}

fn shape_of<'t>(tensors: &'t [DLTensor], i: usize, what: &str) -> Result<&'t [usize]> {
    // SAFETY: the host's tensors, which stay as long as the call.
    unsafe { tensor::shape(find(tensors, i, what)?) }
}

fn dtype_of(tensors: &[DLTensor], i: usize, what: &str) -> Result<DType> {
    let dtype = DType::from_abi(find(tensors, i, what)?.dtype)?;
    dtype.ok_or_else(|| Error::dtype(format!("{what} {i} has no dtype")))
}
