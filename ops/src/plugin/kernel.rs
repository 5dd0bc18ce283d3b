//! A plug-in's kernel as one of the registry's.
#![expect(unsafe_code, reason = "calls a kernel of a plug-in")]

use super::call::{Place, Values, c_text, call};
use super::library::Source;
use super::run::{self, Draws};
use super::tables::KernelTable;
use super::tensors::Tensors;
use crate::async_run::AsyncRun;
use crate::kernel::{Kernel, KernelCall, KernelCtx, KernelFactory};
use crate::operator::Operator;
use crate::{Error, Result};
use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;
use varflow_abi as abi;

/// What no machine has: so much is a mistake, and sums of such sizes would overflow.
const MOST_WORKSPACE_BYTES: usize = 1 << 46;

/// Makes instances of the kernel, which was written for the operator `of`. `what` is that as errors say it: `operator Swish`.
pub(super) fn factory(source: Arc<Source>, of: Arc<dyn Operator>, what: String, kernel: KernelTable) -> KernelFactory {
    Arc::new(move |call| {
        check_meaning(&*of, call).map_err(|e| e.at(source.to_string()))?;
        let place = Place { source: source.clone(), what: format!("{what} \"{}\"", call.node) };
        let kernel = Instance::new(&kernel, call, place.clone());
        Ok(Box::new(kernel.map_err(|e| e.at(place.source.to_string()))?))
    })
}

/// Of two operators of one name the preferred one counts, and it need not come from who brought the kernel: the kernel then
/// reads parameters and writes inputs that the operator in use does not have.
fn check_meaning(own: &dyn Operator, call: &KernelCall<'_>) -> Result<()> {
    let (op, params) = (call.op, call.params);
    let differs = if own.schema() != op.schema() {
        "other parameters"
    } else if (own.inputs(params).len() + own.auxiliaries(params).len(), own.outputs(params).len())
        != (call.inputs.len(), call.outputs.len())
    {
        "other inputs or outputs"
    } else if own.mutates(params) != op.mutates(params) || own.inplace(params) != op.inplace(params) {
        "other inputs that it changes, or other in-place pairs"
    } else {
        return Ok(());
    };
    let name = op.name();
    Err(Error::Contract(format!("its kernel of {name} is for an operator with {differs} than the {name} in use has")))
}

/// A kernel that is made for one use of its operator.
struct Instance {
    table: abi::Kernel,
    instance: *mut c_void,
    workspace_bytes: usize,
    tensors: Arc<Tensors>,
    draws: Draws,
    place: Place,
}

// SAFETY: the header lets every function be called from any thread, and several at once.
unsafe impl Send for Instance {}
// SAFETY: as above.
unsafe impl Sync for Instance {}

impl Instance {
    fn new(kernel: &KernelTable, of: &KernelCall<'_>, place: Place) -> Result<Instance> {
        let first = of.inputs.first().or(of.outputs.first());
        if let (Some(dtypes), Some(desc)) = (&kernel.dtypes, first)
            && !dtypes.contains(&desc.dtype)
        {
            let served: Vec<_> = dtypes.iter().map(ToString::to_string).collect();
            let (dtype, served, device) = (desc.dtype, served.join(", "), kernel.device);
            return Err(Error::DType(format!("has no {device} kernel for {dtype}: it serves {served}")));
        }
        let tensors = Tensors::new(kernel.table.device, of.inputs, of.outputs)?;
        let mut made = Instance {
            table: abi::Kernel { destroy: None, ..kernel.table },
            instance: ptr::null_mut(),
            workspace_bytes: 0,
            tensors: Arc::new(tensors),
            // What passes over the graph go by, which need not be the operator that came with the kernel.
            draws: if of.op.is_deterministic() { Draws::Refused } else { Draws::Allowed },
            place,
        };
        if let Some(create) = kernel.table.create {
            made.create(create, of)?;
            made.table.destroy = kernel.table.destroy; // of what is made; not of what failed
        }
        Ok(made)
    }

    fn create(&mut self, create: Create, of: &KernelCall<'_>) -> Result<()> {
        let (instance, bytes) = (&raw mut self.instance, &raw mut self.workspace_bytes);
        with_call(of, &self.tensors, |about| {
            // SAFETY: a function of the table, called as the header says.
            call(|message| unsafe { create(self.table.context, about, instance, bytes, message) })
        })??;
        if self.workspace_bytes > MOST_WORKSPACE_BYTES {
            let bytes = self.workspace_bytes;
            let text = format!("wants a workspace of {bytes} bytes, wanted at most {MOST_WORKSPACE_BYTES}");
            return Err(Error::Plugin(text));
        }
        Ok(())
    }

    /// The function may use all of the workspace that it asked for.
    fn check_workspace(&self, ctx: &KernelCtx<'_>) -> Result<()> {
        let has = ctx.workspace_view().map_or(0, |w| w.desc().len_bytes());
        if has >= self.workspace_bytes {
            return Ok(());
        }
        let text = format!("is run with a workspace of {has} bytes, wanted {}", self.workspace_bytes);
        Err(Error::Contract(text).at(self.place.to_string()))
    }

    fn missing<T>(&self) -> Result<T> {
        Err(Error::Plugin("has no function to run".to_string()).at(self.place.to_string()))
    }
}

/// Calls `function` with what is known of one use of an operator.
///
/// # Errors
/// Texts with a zero byte inside.
pub(super) fn with_call<R>(
    of: &KernelCall<'_>,
    tensors: &Tensors,
    function: impl FnOnce(*const abi::Call) -> R,
) -> Result<R> {
    let values = Values::new(of.op.schema(), of.params)?;
    let node = c_text("the node's name", of.node)?;
    let wanted: Vec<u8> = (0..of.outputs.len()).map(|o| u8::from(of.wanted.get(o) == Some(&true))).collect();
    let (inputs, outputs) = (tensors.inputs(), tensors.outputs());
    let about = abi::Call {
        struct_size: size_of::<abi::Call>() as u32,
        is_train: i32::from(of.is_train),
        node: node.as_ptr(),
        values: values.as_ptr(),
        num_inputs: inputs.len(),
        num_outputs: outputs.len(),
        inputs: inputs.as_ptr(),
        outputs: outputs.as_ptr(),
        wanted: wanted.as_ptr(),
    };
    Ok(function(&raw const about))
}

type Create =
    unsafe extern "C" fn(*mut c_void, *const abi::Call, *mut *mut c_void, *mut usize, *mut abi::Message) -> abi::Status;

impl Kernel for Instance {
    fn workspace_bytes(&self) -> usize {
        self.workspace_bytes
    }

    fn run(&self, ctx: &mut KernelCtx<'_>) -> Result<()> {
        let Some(function) = self.table.run else { return self.missing() };
        self.check_workspace(ctx)?;
        // SAFETY: a function of the table, called as the header says: the task of `ctx` holds the tensors until it returns.
        run::run(&self.tensors, ctx, self.draws, |run, message| unsafe {
            function(self.table.context, self.instance, run, message)
        })
        .map_err(|e| e.at(self.place.to_string()))
    }

    fn is_async(&self) -> bool {
        self.table.run_async.is_some()
    }

    fn start(&self, mut run: AsyncRun) {
        let Some(function) = self.table.run_async else { return run.complete(self.missing()) };
        let checked = self.check_workspace(&run.ctx());
        if checked.is_err() {
            return run.complete(checked);
        }
        // SAFETY: as in `run`, but that `run` holds the tensors until it is completed.
        run::start(&self.tensors, self.tensors.clone(), run, &self.place, self.draws, |run, done, message| unsafe {
            function(self.table.context, self.instance, run, done, message)
        });
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(destroy) = self.table.destroy {
            // SAFETY: made by `create` of the same table; no run of it is left, since each keeps the kernel.
            unsafe { destroy(self.table.context, self.instance) };
        }
    }
}
