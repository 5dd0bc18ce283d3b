//! `Activation` and its gradient: functions of one tensor, chosen by a parameter.

use super::dtype::Real;
use super::unary;
use crate::compute::Unary;
use varflow_ops::{Error, Kernel, KernelCall, Result};

fn function(call: &KernelCall<'_>) -> Result<Unary> {
    Ok(match call.params.text("act_type") {
        "relu" => Unary::Relu,
        "sigmoid" => Unary::Sigmoid,
        "tanh" => Unary::Tanh,
        "softrelu" => Unary::SoftRelu,
        "softsign" => Unary::SoftSign,
        other => return Err(Error::Param(format!("parameter \"act_type\" is \"{other}\", which has no cpu kernel"))),
    })
}

pub(super) fn forward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    unary::forward::<T>(call, function(call)?)
}

/// The derivatives of all of them are functions of the output, which is what the operator gives.
pub(super) fn backward<T: Real>(call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
    unary::backward::<T>(call, function(call)?)
}
