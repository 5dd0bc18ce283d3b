//! What a plug-in's operator says that planners of memory make use of.
#![expect(unsafe_code, reason = "calls the functions of a plug-in's operator")]

use super::kernel::with_call;
use super::operator::PluginOperator;
use super::tensors::Tensors;
use crate::TensorDesc;
use crate::kernel::KernelCall;
use crate::operator::Operator;
use crate::schema::Params;
use std::slice::from_ref;
use varflow_abi as abi;

impl PluginOperator {
    /// Calls a function of the table with what is known of one use. `None`: it cannot be told to a plug-in.
    pub(super) fn ask<R>(&self, of: &KernelCall<'_>, function: impl FnOnce(*const abi::Call) -> R) -> Option<R> {
        let tensors = Tensors::new(abi::device::CPU, of.inputs, of.outputs).ok()?;
        with_call(of, &tensors, function).ok()
    }

    pub(super) fn says_is_cheap(&self, params: &Params) -> bool {
        let (Some(function), Ok(values)) = (self.table.table.is_cheap, self.values(params)) else { return false };
        // SAFETY: a function of the table, called as the header says.
        unsafe { function(self.table.table.context, values.as_ptr()) != 0 }
    }

    /// Not of one that draws random numbers: each part would draw others than the whole.
    pub(super) fn says_per_sample(&self, params: &Params, inputs: &[TensorDesc]) -> Option<Vec<usize>> {
        let function = self.table.table.per_sample.filter(|_| self.is_deterministic())?;
        let of = KernelCall { op: self, node: "", params, inputs, outputs: &[], wanted: &[], is_train: false };
        let mut holds_samples = vec![0_u8; inputs.len()];
        let context = self.table.table.context;
        // SAFETY: a function of the table, called as the header says: there is a byte for each input.
        let is = self.ask(&of, |about| unsafe { function(context, about, holds_samples.as_mut_ptr()) })?;
        (is != 0).then(|| (0..inputs.len()).filter(|i| holds_samples[*i] != 0).collect())
    }

    /// Not of one that does more than computing its output.
    pub(super) fn says_view(&self, params: &Params, input: &TensorDesc, output: &TensorDesc) -> Option<usize> {
        let function = self.table.table.view?;
        if !self.is_deterministic() || !self.mutates(params).is_empty() {
            return None;
        }
        let (inputs, outputs) = (from_ref(input), from_ref(output));
        let of = KernelCall { op: self, node: "", params, inputs, outputs, wanted: &[true], is_train: false };
        let context = self.table.table.context;
        // SAFETY: a function of the table, called as the header says.
        let offset = self.ask(&of, |about| unsafe { function(context, about) })?;
        usize::try_from(offset).ok()
    }
}
