//! How an executor is to be bound.

use std::collections::BTreeMap;
use varflow_ops::{DType, Tensor};

/// What becomes of the gradient of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GradReq {
    /// It is not computed.
    Null,
    /// Each backward pass replaces what the gradient's tensor holds.
    Write,
    /// Each backward pass adds to what the gradient's tensor holds. A failed pass poisons it until it is overwritten.
    Add,
}

/// How an executor is to be bound. The default is for inference.
#[derive(Clone, Debug, Default)]
pub struct BindOptions {
    /// Whether there are to be backward passes. If not, `grad_req` has no effect.
    pub for_training: bool,
    /// What becomes of gradients, by argument. Arguments left out: `Null` for those whose shape is given when binding
    /// (data and labels), `Write` for the others (parameters).
    pub grad_req: BTreeMap<String, GradReq>,
    /// Dtypes of variables, by name; float32 where nothing says otherwise.
    pub dtypes: Vec<(String, DType)>,
    /// Arguments and auxiliary states to be used instead of fresh ones, by name: so that a training and a scoring executor
    /// have the same parameters.
    pub shared: BTreeMap<String, Tensor>,
    /// The seed of random operators.
    pub seed: u64,
}
