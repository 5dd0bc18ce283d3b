//! From reductions and tensors to engine tasks.
#![expect(unsafe_code, reason = "names the accesses of a task and hands their views to a reduction")]

use crate::async_run::AsyncRun;
use crate::reduction::{Direction, Reduction};
use crate::rng::name_hash;
use crate::{Error, KernelCtx, Philox, Result, Tensor};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use varflow_engine::{Engine, Mode, TaskCtx, Var};

/// A reduction on an engine: each call is a task over the tensors that it reads and writes.
///
/// Calls for one key, and those whose keys have one [ordering key](Reduction::ordering_key), run in the order in which they are
/// pushed. A call that fails does not keep later ones from running.
pub struct Reducer {
    engine: Engine,
    reduction: Arc<dyn Reduction>,
    /// What orders calls, one for each ordering key.
    orders: Mutex<HashMap<Order, Var>>,
}

#[derive(PartialEq, Eq, Hash)]
enum Order {
    Shared(u64),
    Own(String),
}

/// One call, with all that it needs.
struct Call {
    key: String,
    inputs: Vec<Tensor>,
    outputs: Vec<Option<Tensor>>,
}

impl Reducer {
    /// A reduction on an engine.
    #[must_use]
    pub fn new(engine: &Engine, reduction: Arc<dyn Reduction>) -> Self {
        Reducer { engine: engine.clone(), reduction, orders: Mutex::default() }
    }

    /// The reduction.
    #[must_use]
    pub fn reduction(&self) -> &dyn Reduction {
        &*self.reduction
    }

    /// Pushes a task that computes `output` from all `inputs`.
    ///
    /// # Errors
    /// No inputs, tensors that are not all of one shape and dtype, or an output that shares memory with an input. What the
    /// reduction itself says fails the task.
    pub fn push_reduce(&self, key: &str, inputs: &[Tensor], output: &Tensor, priority: i32) -> Result<()> {
        self.push(Direction::Reduce, key, inputs, std::slice::from_ref(output), priority)
    }

    /// Pushes a task that computes all `outputs` from `input`.
    ///
    /// # Errors
    /// As [`push_reduce`](Self::push_reduce); also two outputs that share memory.
    pub fn push_broadcast(&self, key: &str, input: &Tensor, outputs: &[Tensor], priority: i32) -> Result<()> {
        self.push(Direction::Broadcast, key, std::slice::from_ref(input), outputs, priority)
    }

    fn push(
        &self,
        direction: Direction,
        key: &str,
        inputs: &[Tensor],
        outputs: &[Tensor],
        priority: i32,
    ) -> Result<()> {
        check(inputs, outputs).map_err(|e| e.at(format!("reduction {} of key \"{key}\"", self.reduction.name())))?;
        let order = self.order(key);
        let name = match direction {
            Direction::Reduce => format!("reduce {key}"),
            Direction::Broadcast => format!("broadcast {key}"),
        };
        // Overwritten, so that the failure of one call is not that of all after it.
        let mut task = self.engine.raw(name).priority(priority).overwrite(&order);
        for tensor in inputs {
            task = task.access(tensor.var(), Mode::Read);
        }
        for tensor in outputs {
            task = task.access(tensor.var(), Mode::Overwrite);
        }
        let reduction = self.reduction.clone();
        let call = Call::new(key, inputs, outputs);
        if reduction.is_async(direction) {
            task.run_async(move |_, done| {
                let call = Arc::new(call);
                // SAFETY: an `Arc` that the run below keeps.
                let kept: &'static Call = unsafe { &*Arc::as_ptr(&call) };
                // SAFETY: as below, until `done` is used.
                let ctx = unsafe { kept.ctx(None) };
                reduction.start(direction, &call.key, AsyncRun::new(ctx, call.clone(), done));
            });
        } else {
            task.run(move |task| {
                // SAFETY: the task reads the inputs and has the outputs alone; `call` lives until it returns.
                let mut ctx = unsafe { call.ctx(Some(task)) };
                match direction {
                    Direction::Reduce => reduction.reduce(&call.key, &mut ctx),
                    Direction::Broadcast => reduction.broadcast(&call.key, &mut ctx),
                }
            });
        }
        Ok(())
    }

    fn order(&self, key: &str) -> Var {
        let order = self.reduction.ordering_key(key).map_or_else(|| Order::Own(key.to_string()), Order::Shared);
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        orders.entry(order).or_insert_with(|| self.engine.var()).clone()
    }
}

impl Call {
    fn new(key: &str, inputs: &[Tensor], outputs: &[Tensor]) -> Call {
        Call { key: key.to_string(), inputs: inputs.to_vec(), outputs: outputs.iter().cloned().map(Some).collect() }
    }

    /// # Safety
    /// For `'a` a task is running, or is not completed, that reads the inputs and overwrites the outputs, which [`check`] has let
    /// through.
    unsafe fn ctx<'a>(&'a self, task: Option<&'a TaskCtx<'a>>) -> KernelCtx<'a> {
        let rng = Philox::new(0, name_hash(&self.key), 0);
        // SAFETY: by the contract.
        unsafe { KernelCtx::new(task, &self.inputs, &[], &self.outputs, None, rng) }
    }
}

fn check(inputs: &[Tensor], outputs: &[Tensor]) -> Result<()> {
    let (Some(first), false) = (inputs.first(), outputs.is_empty()) else {
        let (i, o) = (inputs.len(), outputs.len());
        return Err(Error::Contract(format!("has {i} inputs and {o} outputs, wanted one at least of both")));
    };
    let all = || inputs.iter().map(|t| ("input", t)).chain(outputs.iter().map(|t| ("output", t)));
    for (what, tensor) in all() {
        if tensor.shape() != first.shape() {
            let (has, wanted) = (tensor.shape(), first.shape());
            return Err(Error::Shape(format!("an {what} has shape {has}, wanted {wanted} as the first input has")));
        }
        if tensor.dtype() != first.dtype() {
            let (has, wanted) = (tensor.dtype(), first.dtype());
            return Err(Error::DType(format!("an {what} holds {has}, wanted {wanted} as the first input does")));
        }
    }
    for (o, output) in outputs.iter().enumerate() {
        if inputs.iter().chain(&outputs[..o]).any(|other| other.overlaps(output)) {
            return Err(Error::Contract(format!("output {o} shares memory with another tensor of the call")));
        }
    }
    Ok(())
}
